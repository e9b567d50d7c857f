"""List the foundation models that are known by name."""

from dataclasses import asdict

from tracetune.backbones.known_models import MODELS
from tracetune.recipes.settings.models import ModelsConfig
from tracetune.report.tables import print_table


def show_models(config: ModelsConfig) -> None:
    """List the foundation models that are known by name; any local folder or hub id of their family works too."""
    print_table("Models", [asdict(info) for info in MODELS.values()], ["name", "parameters", "licence", "description"])
