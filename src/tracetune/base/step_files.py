"""Files that belong to checkpoints, one for each step, consistent wherever a run is cut off."""

from collections.abc import Collection
from pathlib import Path


class StepFiles:
    """A folder with one safetensors file for each of some steps.

    A file is written before any checkpoint that needs it is whole, and removed only when no checkpoint needs it any
    more: a run that is cut off at any moment finds what belongs to its last whole checkpoint.

    Args:
        folder: where the files are; made when the first one is written.
        writable: False for all but one of the processes that train together: they only read.
    """

    def __init__(self, folder: Path, writable: bool = True) -> None:
        self.folder = folder
        self.writable = writable

    def path(self, step: int) -> Path:
        """Return where the file of ``step`` is, or is to be."""
        return self.folder / f"{step}.safetensors"

    def new(self, step: int) -> Path:
        """Return where to write the file of ``step``, in a folder that exists."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.path(step)

    def keep(self, steps: Collection[int]) -> None:
        """Remove the files of all other steps, and the folder where none is left."""
        if not (self.writable and self.folder.is_dir()):
            return
        for path in self.folder.glob("*.safetensors"):
            if path.stem.isdecimal() and int(path.stem) not in steps:
                path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
