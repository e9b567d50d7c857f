"""Configuration of classification heads; importable without PyTorch."""

import math
from dataclasses import dataclass, field

from tracetune.base.errors import InputError, argument, unknown_name
from tracetune.base.schema import absent
from tracetune.heads.kernel_counts import GROUP, KERNELS

RIDGE, SVM = "ridge", "svm"
SOLVERS = (RIDGE, SVM)
CONVOLUTIONS = 24 * KERNELS
COMPETING_KERNELS = 32 * GROUP


@dataclass(frozen=True)
class ClassificationHeadConfig:
    """Configuration of a classification head, and of what it reads.

    Attributes:
        dropout: share of the pooled features that is dropped in training; none is dropped once a solution was found
            without gradient descent.
        scales: lengths to which every series is resampled, as shares of the context; a longer one is cut into windows
            that overlap by half. Those at which the backbone cannot encode, or makes fewer than four patches, are left
            out.
        solver: what solves the layer without gradient descent: "ridge" regression on the classes, or linear support
            vector machines ("svm").
        convolutions: features of the series itself besides those of its tokens, see `Convolutions`; rounded down to a
            multiple of 84, 0 for none.
        stretches: features of the same kernels, see `LongestStretches`: so many of the series, and as many of its
            differences; rounded down to a multiple of 84, 0 for none.
        competing_kernels: of each dilation, see `CompetingKernels`; rounded down to a multiple of 8, 0 for none.
    """

    dropout: float = 0.1
    scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    solver: str = RIDGE
    convolutions: int = field(default=CONVOLUTIONS, metadata=absent(0))  # saved heads once had none
    stretches: int = field(default=CONVOLUTIONS, metadata=absent(0))
    competing_kernels: int = field(default=COMPETING_KERNELS, metadata=absent(0))

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"Expected a head dropout in [0, 1), found {self.dropout}.")
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(math.isfinite(scale) and 0 < scale <= 16 for scale in self.scales):
            raise InputError(f"Expected scales above 0 and up to 16, such as (0.5, 1.0), found {self.scales}.")
        if self.solver not in SOLVERS:
            raise unknown_name("head solver", self.solver, SOLVERS)
        for name, least in (("convolutions", KERNELS), ("stretches", KERNELS), ("competing_kernels", GROUP)):
            if (found := getattr(self, name)) != 0 and found < least:
                raise InputError(f"Expected {argument(name)} of 0 or at least {least}, found {found}.")
