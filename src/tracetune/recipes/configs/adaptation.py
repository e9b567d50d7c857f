"""Which backbone, head and adapters: what commands that train have in common; defaults are those of the library."""

from dataclasses import dataclass

from tracetune.adapters.options import LoraOptions
from tracetune.heads.config import FORECASTING_HEAD, HeadConfig


@dataclass(frozen=True)
class HeadChoice:
    """The forecasting head.

    Attributes:
        head: forecasting head: flatten, projection, convolution or pooling.
        beta: by how much a compact head (all but flatten) reduces its input.
        head_tokens: which tokens the head reads: context, future (hidden patches in place of the horizon; the head
            starts as the zero-shot forecast), all, or auto (future where the backbone has them).
    """

    head: str = FORECASTING_HEAD["kind"]
    beta: int = FORECASTING_HEAD["beta"]
    head_tokens: str = FORECASTING_HEAD["tokens"]

    def config(self) -> HeadConfig:
        """Return it as the library takes it."""
        return HeadConfig(self.head, 1 if self.head == "flatten" else self.beta, tokens=self.head_tokens)


@dataclass(frozen=True)
class LoraChoice:
    """The LoRA modules.

    Attributes:
        r: rank of the LoRA modules.
        lora_alpha: LoRA's scale is lora_alpha / r.
        target_modules: glob patterns of the layers to adapt, e.g. *.q,*.v; without it all linear layers of the encoder.
    """

    r: int = LoraOptions.r
    lora_alpha: float = LoraOptions.lora_alpha
    target_modules: tuple[str, ...] = ()

    def options(self) -> LoraOptions:
        """Return them as the library takes them."""
        return LoraOptions(self.r, self.lora_alpha, target_modules=self.target_modules or None)
