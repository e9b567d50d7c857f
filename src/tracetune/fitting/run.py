"""Where and how a fit runs: folder, device, callbacks. What it computes does not depend on any of them."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import TrainerCallback


@dataclass(frozen=True)
class Run:
    """Surroundings of a fit, or of one part of it.

    Attributes:
        folder: where checkpoints and cache files go; a run that was cut off goes on from the checkpoints in it.
        device: "cpu", "cuda", ...
        callbacks: of the Trainer, e.g. a progress bar; every phase has them.
    """

    folder: Path
    device: str = "cpu"
    callbacks: tuple[TrainerCallback, ...] = ()

    @classmethod
    @contextmanager
    def at(
        cls, checkpoints: str | Path | None, device: str = "cpu", callbacks: Sequence[TrainerCallback] = ()
    ) -> Iterator["Run"]:
        """Open a run in the folder ``checkpoints``; None takes a temporary one, deleted at the end."""
        with tempfile.TemporaryDirectory() as scratch:
            yield cls(Path(checkpoints or scratch), device, tuple(callbacks))

    def part(self, name: str) -> "Run":
        """Return the same surroundings for one phase, with a folder of its own."""
        return replace(self, folder=self.folder / name)
