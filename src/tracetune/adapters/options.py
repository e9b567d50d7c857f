"""Options of PEFT's adapters under PEFT's names; importable without PyTorch."""

import math
from dataclasses import dataclass

from tracetune.base.argument_types import checked_fields
from tracetune.base.errors import InputError, argument, either


@checked_fields
@dataclass(frozen=True)
class LoraOptions:
    """PEFT's LoRA options under PEFT's names.

    >>> LoraOptions(r=8, lora_alpha=16.0, target_modules=("*.q", "*.v")).target_modules
    ('*.q', '*.v')

    Attributes:
        r: rank of every module (the paper's default: 2).
        lora_alpha: the adapter's output is scaled by ``lora_alpha / r``.
        lora_dropout: dropout before A.
        use_dora: decompose weights into magnitude and direction (DoRA).
        target_modules: glob patterns over full layer names; None adapts every linear layer of the encoder.
    """

    r: int = 2
    lora_alpha: float = 4.0
    lora_dropout: float = 0.0
    use_dora: bool = False
    target_modules: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.r < 1:
            raise InputError(f"Expected a LoRA rank {argument('r')} of at least 1, found {self.r}.")
        if not (math.isfinite(self.lora_alpha) and self.lora_alpha > 0):
            raise InputError(f"Expected {argument('lora_alpha')} above 0, found {self.lora_alpha}.")
        if not 0 <= self.lora_dropout < 1:
            raise InputError(
                f"Expected {either('lora_dropout', 'a dropout of LoRA')} in [0, 1), found {self.lora_dropout}."
            )


@checked_fields
@dataclass(frozen=True)
class AdaLoraOptions:
    """PEFT's AdaLoRA options under PEFT's names; scale, dropout and layers come from `LoraOptions`.

    PEFT's adapter output is scaled by ``lora_alpha / init_r``, whatever ranks are left.

    Attributes:
        init_r: rank of every module at the start.
        target_r: mean rank at the end.
        tinit: steps before ranks fall: a share of the run (float) or a number (int).
        tfinal: steps after the last change of a rank: likewise.
        deltaT: steps between two changes.
        beta1: weight of the past in the smoothed sensitivity.
        beta2: weight of the past in its uncertainty.
        orth_reg_weight: weight of the regulariser that keeps A and B orthogonal. PEFT's default, 0.5, drives them more
            than the training loss does.
        lora_alpha: PEFT's scale of the adapter, divided by ``init_r``; None takes the one at which a step changes a
            layer as much as with LoRA of the given options.
    """

    init_r: int = 3
    target_r: int = 2
    tinit: float | int = 0.1
    tfinal: float | int = 0.4
    deltaT: int = 1
    beta1: float = 0.85
    beta2: float = 0.85
    orth_reg_weight: float = 0.01
    lora_alpha: float | None = None

    def __post_init__(self) -> None:
        # Without a rank to remove PEFT asks for the 0th smallest score, and fails in the middle of the run.
        if not 1 <= self.target_r < self.init_r:
            raise InputError(
                f"Expected 1 <= target_r < init_r: AdaLoRA takes ranks away. Found target_r={self.target_r} and "
                f"init_r={self.init_r}. Raise init_r, e.g. to {max(2, round(1.5 * self.target_r))}."
            )
        for name in ("beta1", "beta2"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"Expected {name} between 0 and 1, found {getattr(self, name)}.")
        if self.lora_alpha is not None and not (math.isfinite(self.lora_alpha) and self.lora_alpha > 0):
            raise InputError(f"Expected {argument('lora_alpha')} above 0, or none, found {self.lora_alpha}.")
        if self.deltaT < 1 or self.orth_reg_weight < 0 or self.tinit < 0 or self.tfinal < 0:
            raise InputError(f"Expected deltaT of at least 1 and nothing negative, found {self}.")

    def schedule(self, total_steps: int) -> tuple[int, int]:
        """Return ``tinit`` and ``tfinal`` in steps.

        Raises:
            InputError: ranks could not fall: they are scored in the steps before ``total_steps - tfinal``.
        """
        tinit, tfinal = (
            round(value * total_steps) if isinstance(value, float) else value for value in (self.tinit, self.tfinal)
        )
        if total_steps - tfinal < max(2, tinit + 1):
            last = either(f"tfinal={tfinal}", str(tfinal))
            longer = either(", or lower tinit and tfinal", ": raise --max-steps or --num-train-epochs")
            raise InputError(
                f"Expected at least {max(2, tinit + 1)} of the training steps before the last {last}, in which AdaLoRA "
                f"chooses ranks; found {total_steps - tfinal} of {total_steps}. Train longer{longer}."
            )
        return tinit, tfinal
