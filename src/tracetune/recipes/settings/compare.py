"""Settings of `tracetune compare`."""

from dataclasses import dataclass, field

from tracetune.base.errors import InputError


@dataclass(frozen=True)
class CompareConfig:
    """Settings of `tracetune compare`.

    Attributes:
        runs: two folders of fine-tuned models (method trace), or of `tracetune importance`.
        keep: share of the modules that counts as kept where a run only scored them.
    """

    runs: tuple[str, ...] = field(default=(), metadata={"positional": True})
    keep: float = 0.5

    def __post_init__(self) -> None:
        if len(self.runs) != 2:
            raise InputError(f"Expected two folders to compare, found {len(self.runs)}: tracetune compare ONE OTHER.")
