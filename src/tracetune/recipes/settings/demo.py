"""Settings of `tracetune demo` that tasks share."""

from dataclasses import dataclass

from tracetune.backbones.known_models import EMBEDDED_MODEL


@dataclass(frozen=True)
class DemoChoice:
    """Settings of `tracetune demo`.

    Attributes:
        model: foundation model to fine-tune.
        method: trace, lora, adalora, dora, linear_probe or full.
        seed: fixes the result.
        device: auto, cpu or cuda.
    """

    output: str = "demo"
    model: str = EMBEDDED_MODEL
    method: str = "trace"
    seed: int = 0
    device: str = "auto"
