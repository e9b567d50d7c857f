"""Text encoders of transformers as backbones: token numbers in, hidden states out, block by block where possible.

A text is one channel whose steps are token numbers: values are [B, 1, N], and nothing is normalised.

Shapes: B batch, N tokens, D width.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.masking_utils import create_bidirectional_mask
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from tracetune.backbones.backbone import Backbone, Encoded, Prefix, evaluate_frozen
from tracetune.backbones.normalisation import InstanceStatistics
from tracetune.base.errors import InputError, shown

logger = logging.getLogger(__name__)

TokenNumbers = dict[str, list[list[int]]]
"""Numbers of tokens (and their types) of each text, by the argument of the model that they are."""

_BLOCKS = ("encoder.layer", "transformer.layer")  # where BERT and its relatives, and DistilBERT, keep their blocks
_UNLIMITED = 1_000_000  # tokenizers without a limit say something beyond
_SAME = 1e-5  # of the largest hidden state: how far block by block may be from the model's own forward pass
_MIXED = 1e-3  # likewise: from which on padding is taken for a part of the text
_TRIAL = "One text, to see what comes out."


class TextEncoder(Backbone):
    """An encoder of transformers and its tokenizer.

    Where the model is an embedding and a list of blocks that take a hidden state and an attention mask (BERT, RoBERTa,
    DistilBERT, MiniLM and others), blocks run one by one, so that frozen ones need not run again. Others run whole.

    Args:
        model: returns ``last_hidden_state`` [B, N, D] for ``input_ids`` and ``attention_mask``.
        tokenizer: of the model.
        layers: how many of its first layers it was loaded with; None for all.

    Attributes:
        context_length: most tokens of a text that the model takes.
        width: D.
        tokenizer: makes token numbers of texts.
        first_token_sees: whether the first hidden state depends on later tokens, as it does not in decoders.
        prefix: see `tracetune.backbones.backbone.BlockwiseBackbone`.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, layers: int | None = None) -> None:
        super().__init__()
        self.layers = layers
        if hasattr(model, "pooler"):
            model.pooler = nn.Identity()  # nothing reads it
        self.model = model
        self.tokenizer = tokenizer
        self.width = int(model.config.hidden_size)
        self.context_length = _token_limit(model, tokenizer)
        self.prefix: Prefix | None = None
        self.first_token_sees = True
        self._takes_types = "token_type_ids" in tokenizer.model_input_names
        self._blocks = next((name for name in _BLOCKS if _has_list(model, name)), None)
        self._layers = self._checked()

    @property
    def blocks(self) -> nn.ModuleList:
        """Return the blocks in the order in which they run; none where the model only runs whole."""
        return nn.ModuleList() if self._blocks is None else self.model.get_submodule(self._blocks)

    @property
    def padding(self) -> int:
        """Return the token number that fills up short texts; the attention mask hides it."""
        return int(self.tokenizer.pad_token_id or 0)

    def num_patches(self, context_length: int) -> int:
        """Return the number of hidden states N of a text of so many tokens: as many."""
        return context_length

    def adapted_layers(self) -> list[str]:
        """Return the names of all linear layers that run while encoding."""
        return list(self._layers)

    def tokenize(self, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int) -> tuple[TokenNumbers, int]:
        """Return token numbers of each text, and how many texts had to be cut.

        Args:
            texts: first texts.
            pairs: second texts, of pairs.
            max_length: most tokens, special ones included; of pairs the longer text is cut first.
        """
        second = None if pairs is None else list(pairs)
        found = self.tokenizer(list(texts), second, verbose=False)
        cut = sum(len(numbers) > max_length for numbers in found["input_ids"])
        if cut:
            found = self.tokenizer(list(texts), second, truncation=True, max_length=max_length, verbose=False)
        if empty := [text for text, numbers in zip(texts, found["input_ids"], strict=True) if not numbers]:
            raise InputError(
                f"Expected texts with a token each, found {shown(empty[0])}, of which the tokenizer of this encoder "
                "makes none. Leave it out, or take an encoder that knows its letters."
            )
        names = ("input_ids", "token_type_ids") if self._takes_types else ("input_ids",)
        return {name: found[name] for name in names}, cut

    def mostly_unknown(self, named: TokenNumbers) -> int:
        """Return how many texts consist by half or more of tokens that stand for anything the tokenizer cannot read."""
        unknown, special = self.tokenizer.unk_token_id, set(self.tokenizer.all_special_ids)
        others = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        if unknown is None or unknown in others:  # byte by byte everything can be read
            return 0
        texts = named["input_ids"]
        known = (sum(number not in special for number in numbers) for numbers in texts)
        return sum(0 < numbers.count(unknown) >= each for numbers, each in zip(texts, known, strict=True))

    def encode(
        self,
        values: Tensor,
        input_mask: Tensor | None = None,
        patch_mask: Tensor | None = None,
        token_types: Tensor | None = None,
    ) -> Encoded:
        """Encode token numbers.

        Args:
            values: [B, 1, N] token numbers.
            input_mask: [B, N], 1 for tokens, 0 for padding; None for no padding.
            patch_mask: None; hidden tokens have a number of their own.
            token_types: [B, N], which text of a pair a token belongs to; None where the model knows none.

        Returns:
            Hidden states [B, 1, N, D] of the last block, and statistics that change nothing.

        Raises:
            InputError: a ``patch_mask``.
        """
        if patch_mask is not None:
            raise InputError("Expected no patch_mask: hide tokens of a text by the number of the mask token.")
        numbers = values.squeeze(1)
        attended = torch.ones_like(numbers, dtype=torch.bool) if input_mask is None else input_mask.bool()
        types = {} if token_types is None or not self._takes_types else {"token_type_ids": token_types}
        if self._blocks is None:
            hidden = self._run_whole(numbers, attended, types).unsqueeze(1)
        else:
            hidden = self.model.embeddings(input_ids=numbers, **types).unsqueeze(1)
            mask = attended.unsqueeze(1)
            hidden, done = (hidden, 0) if self.prefix is None else self.prefix(hidden, mask)
            hidden = self.run_blocks(hidden, mask, done)
        location = hidden.new_zeros(len(numbers), 1, 1, dtype=torch.float32)
        return Encoded(hidden, InstanceStatistics(location, location + 1))

    def run_blocks(self, hidden: Tensor, attended: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return hidden states [B, 1, N, D] after blocks ``start`` to ``stop``; ``attended`` is [B, 1, N]."""
        rows = hidden.flatten(0, 1)
        mask = create_bidirectional_mask(
            config=self.model.config, inputs_embeds=rows, attention_mask=attended.flatten(0, 1).long()
        )
        for block in self.blocks[start:stop]:
            found = block(rows, mask)
            rows = found if isinstance(found, Tensor) else found[0]
        return rows.unflatten(0, hidden.shape[:2])

    def train(self, mode: bool = True) -> "TextEncoder":
        """Switch the mode, but leave what lies below the lowest trainable block as it is: its outputs are fixed."""
        super().train(mode)
        if self._blocks is not None:
            evaluate_frozen(self.model.get_submodule("embeddings"), self.blocks)
        return self

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model and tokenizer as transformers does."""
        with quiet_transformers():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def _run_whole(self, numbers: Tensor, attended: Tensor, types: dict[str, Tensor]) -> Tensor:
        states: Tensor = self.model(input_ids=numbers, attention_mask=attended.long(), **types).last_hidden_state
        return states

    @torch.no_grad()
    def _checked(self) -> list[str]:
        """Encode a text and a shorter one; return the linear layers that ran.

        Blocks are given up where running them one by one is not what the model itself does. Where padding changes what
        comes out, that is said.
        """
        self.eval()
        named, _ = self.tokenize([_TRIAL, _TRIAL[:9]], None, self.context_length)
        batch = padded(named, self.padding)
        types = {"token_type_ids": batch["token_type_ids"]} if self._takes_types else {}
        attended = batch["attention_mask"].bool()
        linear = {name: part for name, part in self.named_modules() if isinstance(part, (nn.Linear, Conv1D))}
        called: set[str] = set()
        handles = [part.register_forward_hook(lambda *_, name=name: called.add(name)) for name, part in linear.items()]
        try:
            expected = self._run_whole(batch["input_ids"], attended, types)
        finally:
            for handle in handles:
                handle.remove()
        if self._blocks is not None and not self._runs_in_blocks(batch, attended, expected):
            self._blocks = None
        self._examine(batch, types, expected)
        inside = None if self._blocks is None else f"model.{self._blocks}."
        return [name for name in linear if name in called and (inside is None or name.startswith(inside))]

    def _examine(self, batch: dict[str, Tensor], types: dict[str, Tensor], expected: Tensor) -> None:
        """Find out by a longer and a shorter text whether the first token sees others, and whether padding is seen."""
        length = int(batch["attention_mask"][1].sum())
        if length == len(expected[0]):
            return
        alone = (batch["input_ids"][1:, :length], batch["attention_mask"][1:, :length].bool())
        shorter = self._run_whole(*alone, {name: part[1:, :length] for name, part in types.items()})
        largest = shorter.abs().max()
        if (shorter[0] - expected[1, :length]).abs().max() > _MIXED * largest:
            logger.warning(
                "%s lets padding into its hidden states: what it makes of a text depends a little on the longest text "
                "in its batch.",
                type(self.model).__name__,
            )
        same_token = batch["input_ids"][0, 0] == batch["input_ids"][1, 0]
        self.first_token_sees = not (same_token and (expected[0, 0] - shorter[0, 0]).abs().max() <= _SAME * largest)

    def _runs_in_blocks(self, batch: dict[str, Tensor], attended: Tensor, expected: Tensor) -> bool:
        try:
            found = self.encode(batch["input_ids"].unsqueeze(1), attended, None, batch.get("token_type_ids")).tokens
        except Exception as error:  # blocks that want more than a hidden state and a mask
            logger.info("%s runs whole, not block by block: %s", type(self.model).__name__, error)
            return False
        difference = (found.squeeze(1) - expected)[attended].abs().max()
        return bool(difference <= _SAME * expected[attended].abs().max())


def padded(named: TokenNumbers, padding: int) -> dict[str, Tensor]:
    """Return token numbers of a batch of texts as tensors [B, N], N that of the longest, and their attention mask."""
    lengths = [len(numbers) for numbers in named["input_ids"]]
    batch = {
        name: torch.full((len(lengths), max(lengths)), padding if name == "input_ids" else 0, dtype=torch.int64)
        for name in named
    }
    batch["attention_mask"] = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        for name, lists in named.items():
            batch[name][row, :length] = torch.as_tensor(lists[row])
        batch["attention_mask"][row, :length] = 1
    return batch


def _token_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the most tokens of a text, by model and tokenizer.

    Positions of RoBERTa, CamemBERT, MPNet and others begin behind that of padding, which their table of positions has.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if positions is not None and (padding := getattr(table, "padding_idx", None)) is not None:
        positions -= padding + 1
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit and 0 < limit < _UNLIMITED]
    return int(min(limits, default=512))


def _has_list(model: nn.Module, name: str) -> bool:
    try:
        return isinstance(model.get_submodule(name), nn.ModuleList) and hasattr(model, "embeddings")
    except AttributeError:
        return False


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from reporting progress and the weights of heads that are left out."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
