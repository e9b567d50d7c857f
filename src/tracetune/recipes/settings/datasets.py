"""Settings of `tracetune datasets`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetsConfig:
    """Settings of `tracetune datasets`.

    Attributes:
        kind: list only long, short, anomaly, classification or text.
        download: name of a data set to download from its public address.
        folder: where to put it; without it $TRACETUNE_DATA or the user's cache.
    """

    kind: str | None = None
    download: str | None = None
    folder: str | None = None
