"""Names of the linear layers of a block, the same for every architecture: query, key, value, output, gate, up, down."""

from collections.abc import Sequence

MODULE_KINDS: dict[str, tuple[str, ...]] = {
    "Query": ("q", "query", "q_lin", "q_proj", "query_proj"),
    "Key": ("k", "key", "k_lin", "k_proj", "key_proj"),
    "Value": ("v", "value", "v_lin", "v_proj", "value_proj"),
    "Query, key, value": ("c_attn", "Wqkv", "qkv", "qkv_proj", "query_key_value"),
    "Output": (
        "o", "o_proj", "out_proj", "out_lin", "attn.c_proj", "attn.Wo", "attention.dense", "attention.output.dense",
    ),
    "Gate": ("wi_0", "gate_proj"),
    "Gate, up": ("mlp.Wi", "gate_up_proj"),
    "Up": ("wi", "wi_1", "up_proj", "fc1", "lin1", "c_fc", "ffn", "intermediate.dense"),
    "Down": ("wo", "down_proj", "fc2", "lin2", "mlp.c_proj", "mlp.Wo", "ffn_output", "output.dense"),
}  # fmt: skip
"""Kinds of layers in the order of TRACE's Figure 3, and how names end in T5, BERT, DistilBERT, GPT-2, Llama, ..."""

_KIND_OF = {end: label for label, ends in MODULE_KINDS.items() for end in ends}


def kind_labels(kinds: Sequence[str]) -> dict[str, str]:
    """Return what kinds such as ``attention.output.dense`` are called, by the longest known end of the name.

    Others are called by their last part. Where a block holds several of one name, each keeps its own.
    """
    labels = {kind: _label(kind) for kind in kinds}
    names = list(labels.values())
    return {kind: kind if names.count(label) > 1 else label for kind, label in labels.items()}


def _label(kind: str) -> str:
    parts = kind.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    return next((_KIND_OF[end] for end in ends if end in _KIND_OF), parts[-1])
