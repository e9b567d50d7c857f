"""All kinds of forecasting heads by name; a new kind is imported here."""

from tracetune.heads import flatten, pooling, projection
from tracetune.heads.head import HEADS

__all__ = ["HEADS", "flatten", "pooling", "projection"]
