"""The geometry of a MOMENT model, as its config.json says it, checked key by key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tracetune.base.errors import InputError
from tracetune.base.json_types import JsonObject
from tracetune.base.schema import from_json

_MOST_PATCHES = 4096


@dataclass(frozen=True)
class T5Geometry:
    """The keys of a T5 configuration that change its encoder; others are ignored."""

    d_model: int
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_heads: int = 8
    feed_forward_proj: str = "relu"
    dropout_rate: float = 0.1
    layer_norm_epsilon: float = 1e-6
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128

    def __post_init__(self) -> None:
        for name in ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} of at least 1, found {getattr(self, name)}.")
        if not 0 <= self.dropout_rate < 1:
            raise InputError(f"Expected dropout_rate in [0, 1), found {self.dropout_rate}.")
        if not self.layer_norm_epsilon > 0:
            raise InputError(f"Expected layer_norm_epsilon above 0, found {self.layer_norm_epsilon}.")
        buckets, distance = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if buckets % 4 or distance <= buckets // 4:  # T5's buckets grow from a fourth of their number to this distance
            raise InputError(
                "Expected relative_attention_num_buckets to be a multiple of 4 and relative_attention_max_distance "
                f"above a fourth of it, found {buckets} and {distance}."
            )


@dataclass(frozen=True)
class MomentConfig:
    """Geometry of a MOMENT model, under the names of MOMENT's config.json.

    ``partial_patches`` says what happens to patches with some missing steps: ``"mask"`` hides the whole
    patch from attention, as momentfm does; ``"fill"`` interpolates the missing steps and keeps the patch.
    """

    t5_config: JsonObject
    seq_len: int = 512
    patch_len: int = 8
    patch_stride_len: int | None = None
    d_model: int | None = None
    patch_dropout: float = 0.1
    head_dropout: float = 0.1
    add_positional_embedding: bool = True
    value_embedding_bias: bool = False
    revin_affine: bool = False
    partial_patches: Literal["mask", "fill"] = "mask"
    other: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seq_len < 1 or not 1 <= self.patch_len <= self.seq_len:
            raise InputError(
                f"Expected seq_len of at least 1 and patch_len between 1 and seq_len, found {self.seq_len} and "
                f"{self.patch_len}."
            )
        if self.seq_len > _MOST_PATCHES * self.patch_len:
            raise InputError(
                f"Expected seq_len of at most {_MOST_PATCHES * self.patch_len} steps ({_MOST_PATCHES} patches), found "
                f"{self.seq_len}: attention over more takes more memory than there is."
            )
        for name, share in (("patch_dropout", self.patch_dropout), ("head_dropout", self.head_dropout)):
            if not 0 <= share < 1:
                raise InputError(f"Expected {name} in [0, 1), found {share}.")
        if self.width != self.t5.d_model:
            raise InputError(f"Expected d_model {self.t5.d_model}, as in t5_config, found {self.d_model}.")
        if self.patch_stride_len not in (None, self.patch_len):
            raise InputError(
                f"Expected patch_stride_len equal to patch_len ({self.patch_len}), found {self.patch_stride_len}: "
                "overlapping patches have no MOMENT weights."
            )
        if self.revin_affine:
            raise InputError("Expected revin_affine=false, as in all published MOMENT weights, found true.")
        if self.partial_patches not in ("mask", "fill"):
            raise InputError(f"Expected partial_patches 'mask' or 'fill', found {self.partial_patches!r}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "MomentConfig":
        """Read MOMENT's config.json; keys that do not bear on the geometry are kept in ``other``.

        Raises:
            InputError: ``t5_config`` is missing, or a value is of another type or not one that MOMENT has.
        """
        if "t5_config" not in values:
            raise InputError("config.json has no 't5_config': expected a MOMENT configuration, as AutonLab publishes.")
        known = {key: value for key, value in values.items() if key in cls.__dataclass_fields__ and key != "other"}
        other = {key: value for key, value in values.items() if key not in known}
        return from_json(cls, {**known, "other": other}, "config.json")

    def to_dict(self) -> JsonObject:
        """Return the mapping that config.json holds."""
        known = {key: getattr(self, key) for key in self.__dataclass_fields__ if key != "other"}
        known["t5_config"] = dict(self.t5_config)
        known["d_model"] = self.width
        known["patch_stride_len"] = self.patch_len
        return {"model_name": "MOMENT", "transformer_type": "encoder_only", **self.other, **known}

    @property
    def width(self) -> int:
        """Return the embedding width D."""
        return self.d_model or self.t5.d_model

    @property
    def t5(self) -> "T5Geometry":
        """Return the part of ``t5_config`` that decides what the encoder computes.

        Raises:
            InputError: a key is missing, of another type, or out of range.
        """
        return from_json(T5Geometry, self.t5_config, "t5_config in config.json")
