"""Outputs of the frozen blocks below the lowest open module, remembered window by window while training goes on."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.utils.data import Dataset

from tracetune.backbones.backbone import BlockwiseBackbone, frozen_blocks
from tracetune.data.batch_source import Batch, BatchSource, lengths_of
from tracetune.training.storage import Storage

logger = logging.getLogger(__name__)

INDEX = "window_index"


class PrefixCache:
    """Cache of the outputs of a backbone's frozen blocks for each window, from which the blocks above go on.

    Nothing is computed ahead: a window's states are kept when it first comes by, so that the cache never costs more
    than the passes it saves. They belong to the depth up to which blocks were frozen then. When that depth moves up,
    because lower modules were closed for good, a window's states are brought up from where they are at its next visit;
    when it moves down, they are computed anew from the window.

    States cannot be stale. The cache hands out the indices of the windows itself (`indexed`). It holds outputs of
    base weights only, since adapters of frozen blocks are closed, and forgets everything once a base weight has been
    written to. Blocks below the lowest trainable one run in evaluation mode, see ``Moment.train``, so that there is no
    dropout in what is remembered.

    Args:
        backbone: runs block by block; as it is before adapters are added.
        storage: where states go. Windows for which there is no room are computed each time.
        dtype: precision of what is kept; None keeps that of the hidden states.
        tokens: tokens C N of the largest sample, where they are not as many in every batch: samples are padded then.

    Attributes:
        computed: blocks that ran below the lowest open module, counted per window.
        reused: blocks that did not have to run, counted per window.
    """

    def __init__(
        self, backbone: BlockwiseBackbone, storage: Storage, dtype: torch.dtype | None = None, tokens: int = 0
    ) -> None:
        self.computed = self.reused = 0
        self._backbone = backbone
        self._storage = storage
        self._dtype = dtype
        self._tokens = tokens
        self._weights = list(backbone.parameters()) if isinstance(backbone, nn.Module) else []
        self._versions = self._weight_versions()
        self._windows = 0
        self._index: Tensor | None = None
        self._depth = torch.zeros(0, dtype=torch.int16)  # blocks that a window's states have behind them
        self._slot = torch.zeros(0, dtype=torch.int64)  # where they are
        self._parts: list[Tensor] | None = None  # [slots, C, N, D] each
        self._used = 0
        self._like = torch.empty(0)  # precision and place of states as blocks return them

    def indexed(self, windows: BatchSource) -> "IndexedWindows":
        """Return the same windows, each with its index in this cache."""
        first = self._windows
        self._windows += len(windows)
        self._depth = torch.zeros(self._windows, dtype=torch.int16)
        self._slot = torch.full((self._windows,), -1, dtype=torch.int64)
        return IndexedWindows(windows, first)

    @contextmanager
    def attached(self, model: nn.Module) -> Iterator[None]:
        """Let ``model`` take batches of `indexed` windows and go on from what is remembered of them."""
        hook = model.register_forward_pre_hook(self._take_index, with_kwargs=True)
        self._backbone.prefix = self
        try:
            yield
        finally:
            hook.remove()
            self._backbone.prefix = None
            self._index = None

    @torch.no_grad()
    def __call__(self, hidden: Tensor, attended: Tensor) -> tuple[Tensor, int]:
        """Return hidden states [B, C, N, D] after the frozen blocks, and how many those are; see ``Prefix``."""
        index, self._index = self._index, None
        changing = hidden.requires_grad  # with a trainable embedding
        frozen = 0 if index is None or changing else self._frozen()
        if index is None or frozen == 0:
            return hidden, 0
        self._forget_if_written_to()
        depth, slot = self._depth[index].long(), self._slot[index]
        depth[(depth > frozen) | (slot < 0)] = 0
        groups = [(start, (depth == start).nonzero().squeeze(1)) for start in depth.unique().tolist()]
        states = [self._after(start, frozen, index[rows], hidden[rows], attended[rows]) for start, rows in groups]
        if len(groups) == 1:
            return states[0], frozen
        result = states[0].new_empty(hidden.shape)
        for (_, rows), part in zip(groups, states, strict=True):
            result[rows] = part
        return result, frozen

    def _after(self, start: int, frozen: int, index: Tensor, hidden: Tensor, attended: Tensor) -> Tensor:
        """Return states of windows at depth ``frozen``; those at depth ``start`` are remembered (0: none are)."""
        if start:
            hidden = self._load(self._slot[index], hidden.shape[-2])
        self.reused += start * len(index)
        self.computed += (frozen - start) * len(index)
        if start < frozen:
            hidden = self._backbone.run_blocks(hidden, attended, start, frozen)
            self._store(index, hidden, frozen)
        return hidden

    def _load(self, slots: Tensor, tokens: int) -> Tensor:
        """Return states of the first N = ``tokens`` of each window; what is beyond is padding."""
        assert self._parts, "states are remembered only where there is room"
        if len(self._parts) == 1:
            return self._parts[0][slots, :, :tokens].to(self._like)
        channels, _, width = self._parts[0].shape[1:]
        states = self._parts[0].new_empty(len(slots), channels, tokens, width)
        for rows, part, local in self._by_part(slots):
            states[rows] = part[local, :, :tokens]
        return states.to(self._like)

    def _store(self, index: Tensor, states: Tensor, depth: int) -> None:
        if self._parts is None:
            self._parts = self._make_room(states)
        new = index[self._slot[index] < 0].unique()
        new = new[: sum(map(len, self._parts)) - self._used]
        self._slot[new] = torch.arange(self._used, self._used + len(new))
        self._used += len(new)
        kept = (self._slot[index] >= 0).nonzero().squeeze(1)
        for rows, part, local in self._by_part(self._slot[index[kept]]):
            part[local, :, : states.shape[-2]] = states[kept[rows]].to("cpu", part.dtype)
            part[local, :, states.shape[-2] :] = 0  # another batch may be padded further; no mask hides a NaN
        self._depth[index[kept]] = depth

    def _by_part(self, slots: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield which of the slots lie in each part, the part, and where in it."""
        first = 0
        for part in self._parts or ():
            rows = ((slots >= first) & (slots < first + len(part))).nonzero().squeeze(1)
            if len(rows):
                yield rows, part, slots[rows] - first
            first += len(part)

    def _make_room(self, states: Tensor) -> list[Tensor]:
        self._like = states[:0]
        dtype = states.dtype if self._dtype is None else self._dtype
        channels, tokens, width = states.shape[1:]
        shape = channels, max(tokens, self._tokens // channels), width
        parts = self._storage.rows(self._windows, *shape, dtype=dtype)
        room = sum(map(len, parts))
        if room < self._windows:
            logger.warning(
                "The prefix cache has room for %d of %d windows (%.2f GB allowed); the others are computed each time.",
                room,
                self._windows,
                self._storage.limit / 1e9,
            )
        return parts

    def _frozen(self) -> int:
        """Return how many of the first blocks have neither a trainable weight nor an open adapter."""
        frozen = frozen_blocks(self._backbone.blocks)
        for number, block in enumerate(self._backbone.blocks[:frozen]):
            if any(isinstance(m, BaseTunerLayer) and not m.disable_adapters and not m.merged for m in block.modules()):
                return number
        return frozen

    def _forget_if_written_to(self) -> None:
        versions = self._weight_versions()
        if versions != self._versions:
            self._versions = versions
            self._depth.zero_()

    def _weight_versions(self) -> list[int]:
        return [weight._version for weight in self._weights]

    def _take_index(
        self, module: nn.Module, args: tuple[Tensor, ...], kwargs: Batch
    ) -> tuple[tuple[Tensor, ...], Batch]:
        index = kwargs.pop(INDEX, None)
        self._index = None if index is None else index.cpu()
        return args, kwargs


class IndexedWindows(Dataset):
    """Windows whose batches say which windows they are, under ``window_index`` [B]."""

    def __init__(self, windows: BatchSource, first: int) -> None:
        self.windows = windows
        self.first = first

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def lengths(self) -> Sequence[int] | None:
        """Return the length of each window, where they differ."""
        return lengths_of(self.windows)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return windows ``indices`` as one batch."""
        return {**self.windows.__getitems__(indices), INDEX: self.first + torch.as_tensor(indices, dtype=torch.int64)}
