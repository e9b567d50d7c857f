"""Foundation models that are known by name; importable without PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelInfo:
    """One line of the model list: a name, where its weights are, what they are."""

    name: str
    family: str
    parameters: str
    licence: str
    description: str
    embedded: bool = False


EMBEDDED_MODEL = "tracetune/tiny"
"""The model that ships with the package, with which commands start where no other is named."""

MODELS = {
    info.name: info
    for info in (
        ModelInfo(EMBEDDED_MODEL, "moment", "1.3 M", "Apache-2.0", "ships with tracetune; synthetic pretraining", True),
        ModelInfo("AutonLab/MOMENT-1-small", "moment", "38 M", "MIT", "MOMENT, T5-small geometry; Hugging Face hub"),
        ModelInfo("AutonLab/MOMENT-1-base", "moment", "114 M", "MIT", "MOMENT, T5-base geometry; Hugging Face hub"),
        ModelInfo("AutonLab/MOMENT-1-large", "moment", "348 M", "MIT", "MOMENT, T5-large geometry; Hugging Face hub"),
        ModelInfo("amazon/chronos-bolt-tiny", "chronos-bolt", "9 M", "Apache-2.0", "Chronos-Bolt; extra 'chronos'"),
        ModelInfo("amazon/chronos-bolt-mini", "chronos-bolt", "21 M", "Apache-2.0", "Chronos-Bolt; extra 'chronos'"),
        ModelInfo("amazon/chronos-bolt-small", "chronos-bolt", "48 M", "Apache-2.0", "Chronos-Bolt; extra 'chronos'"),
        ModelInfo("amazon/chronos-bolt-base", "chronos-bolt", "205 M", "Apache-2.0", "Chronos-Bolt; extra 'chronos'"),
    )
}
