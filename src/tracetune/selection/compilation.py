"""Limits of torch.compile, raised: each set of open modules is compiled anew."""

_VARIANTS = 4
"""Programs for one set of open modules: in training and in evaluation, for a fixed and for any batch size."""


class RecompileLimits:
    """Raise torch.compile's limits on recompilation inside the context.

    Beyond its limit (8 by default) torch.compile runs a model eagerly from then on, and says so in a log alone.
    """

    def __init__(self) -> None:
        self._raised = 0

    def make_room(self) -> None:
        """Allow for the programs of one more set of open modules."""
        self._add(_VARIANTS)

    def restore(self) -> None:
        """Take back what was added."""
        self._add(-self._raised)

    def _add(self, count: int) -> None:
        import torch._dynamo.config as limits  # scoring loads it anyway, with torch.compiler.set_stance

        limits.recompile_limit += count
        limits.accumulated_recompile_limit += count
        self._raised += count
