"""List the foundation models that are known by name."""

from dataclasses import asdict, dataclass

from tracetune.backbones.loading import MODELS
from tracetune.report.tables import print_table


@dataclass(frozen=True)
class ModelsConfig:
    """Nothing to choose."""


def show_models(config: ModelsConfig) -> None:
    """List the foundation models that are known by name; any local folder or hub id of their family works too."""
    print_table("Models", [asdict(info) for info in MODELS.values()], ["name", "parameters", "licence", "description"])
