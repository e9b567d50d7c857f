"""Commands to go on with after a demo: on what it made, and the same on a table of one's own."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from torch import nn

from tracetune.backbones.known_models import EMBEDDED_MODEL
from tracetune.selection.layers import lora_modules

_TABLE = "table.csv"


@dataclass(frozen=True)
class DemoCommands:
    """Builds commands from the places of what a demo read and made.

    Attributes:
        folder: of the demo.
        table: file in it that the commands read.
        model: folder in it of the model that was fine-tuned.
        task: that it was fine-tuned for.
        base: name or folder of the foundation model.
    """

    folder: str
    table: str
    model: str
    task: str
    base: str

    def on_made(self, verb: str, *more: str, output: str = "") -> list[str]:
        """Return a command with the model and the table that the demo made; ``output`` is a file in its folder."""
        place = ["--output", self._place(output)] if output else []
        return ["tracetune", verb, self._place(self.table), "--model", self._place(self.model), *more, *place]

    def importance(self, tuned: nn.Module | None, *more: str) -> list[str]:
        """Return the command that scores the LoRA modules of the model, or of one that is trained first."""
        if tuned is not None and lora_modules(tuned):
            return self.on_made("importance", output="importance")
        words = ["importance", self._place(self.table), *self._task(), "--model", self.base, *more]
        return ["tracetune", *words, "--output", self._place("importance")]

    def on_table(self, verb: str, *more: str, output: str = "") -> list[str]:
        """Return a command for a table of one's own: it fine-tunes, or uses what was fine-tuned."""
        if verb == "finetune":
            start = [] if self.base == EMBEDDED_MODEL else ["--model", self.base]
            return ["tracetune", verb, _TABLE, *self._task(), *start, *more, "--output", "runs/table"]
        return ["tracetune", verb, _TABLE, "--model", "runs/table", *more, "--output", output]

    def _task(self) -> list[str]:
        return [] if self.task == "forecasting" else ["--task", self.task]

    def _place(self, name: str) -> str:
        return str(Path(self.folder) / name)


def print_demo_commands(on_made: Sequence[Sequence[str]], on_table: Sequence[Sequence[str]]) -> None:
    """Print commands as a shell takes them."""
    console = Console(highlight=False, soft_wrap=True)
    for title, commands in (
        ("Go on with what was made:", on_made),
        (f"The same with a table of your own, here {_TABLE}:", on_table),
    ):
        console.print(f"\n{title}", markup=False)
        for words in commands:
            console.print(f"  {shlex.join(words)}", markup=False)
