"""Settings of `tracetune inspect`."""

from dataclasses import dataclass, field

from tracetune.base.errors import InputError
from tracetune.recipes.data_source import DataSource


@dataclass(frozen=True)
class InspectRun:
    """The page to write.

    Attributes:
        output: file for the page with pictures: .html; without it only the terminal.
        overwrite: replace the page if it exists.
    """

    output: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class InspectConfig:
    """Settings of `tracetune inspect`."""

    source: DataSource
    run: InspectRun = field(default_factory=InspectRun)

    def __post_init__(self) -> None:
        if self.source.data is None:
            raise InputError("Expected a table, such as tracetune inspect sales.csv; known data sets are known.")
