"""Kinds of forecasting heads, one a file, and their registry; a new kind is imported here."""

from tracetune.heads.kinds import flatten, pooling, projection
from tracetune.heads.kinds.kind import HEADS, HeadKind, register_head

__all__ = ["HEADS", "HeadKind", "flatten", "pooling", "projection", "register_head"]
