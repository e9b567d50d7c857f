"""All kinds of heads by name; a new one is listed here."""

from tracetune.heads import convolution, flatten, pooling, projection
from tracetune.heads.head import HEADS

__all__ = ["HEADS", "convolution", "flatten", "pooling", "projection"]
