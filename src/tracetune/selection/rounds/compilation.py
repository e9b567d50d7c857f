"""Limits of torch.compile, raised: each set of open modules is compiled anew."""

import weakref

_VARIANTS = 4
"""Programs for one set of open modules: in training and in evaluation, for a fixed and for any batch size."""


class RecompileLimits:
    """Raise torch.compile's limits on recompilation, until `restore` is called or nobody holds this object any more.

    Beyond its limit (8 by default) torch.compile runs a model eagerly from then on, and says so in a log alone.
    """

    def __init__(self) -> None:
        self._raised: list[int] = []
        weakref.finalize(self, _take_back, self._raised)  # a training that fails elsewhere does not restore them

    def make_room(self) -> None:
        """Allow for the programs of one more set of open modules."""
        _raise(_VARIANTS)
        self._raised.append(_VARIANTS)

    def restore(self) -> None:
        """Take back what was added."""
        _take_back(self._raised)


def _take_back(raised: list[int]) -> None:
    while raised:
        _raise(-raised.pop())


def _raise(count: int) -> None:
    import torch._dynamo.config as limits  # scoring loads it anyway, with torch.compiler.set_stance

    limits.recompile_limit += count
    limits.accumulated_recompile_limit += count
