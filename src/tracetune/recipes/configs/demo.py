"""Settings of `tracetune demo`."""

from dataclasses import dataclass

from tracetune.base.errors import InputError, argument


@dataclass(frozen=True)
class DemoConfig:
    """Settings of `tracetune demo`.

    Attributes:
        output: new folder for co2.csv, forecast.csv, forecast.png and the adapter.
        model: foundation model to fine-tune.
        method: trace, lora, adalora, dora, linear_probe or full.
        prediction_length: weeks to forecast.
        seed: fixes the result.
        device: auto, cpu or cuda.
    """

    output: str = "demo"
    model: str = "tracetune/tiny"
    method: str = "trace"
    prediction_length: int = 52
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.prediction_length <= 260:
            raise InputError(
                f"Expected {argument('prediction_length')} of 1 to 260 weeks, found {self.prediction_length}."
            )
