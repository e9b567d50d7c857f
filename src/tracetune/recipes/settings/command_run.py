"""Settings that all commands share which run a model: outputs, and the device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CommandRun:
    """Outputs of the command, and the device that it runs on.

    Attributes:
        output: file for the results: .csv, .tsv, .xlsx, .parquet, .json or .jsonl.
        plot: file for a picture: .png, .svg, .pdf, or .html with tables.
        device: auto, cpu or cuda.
        overwrite: replace the output files if they exist.
    """

    output: str | None = None
    plot: str | None = None
    device: str = "auto"
    overwrite: bool = False
