"""Forecasting heads: the linear probe and the compact ones."""

from tracetune.heads.compact import ConvolutionHead, PoolingHead, ProjectionHead
from tracetune.heads.flatten import FlattenHead
from tracetune.heads.head import HEADS, HeadConfig, HeadKind, build_head, head_parameters

__all__ = [
    "HEADS",
    "ConvolutionHead",
    "FlattenHead",
    "HeadConfig",
    "HeadKind",
    "PoolingHead",
    "ProjectionHead",
    "build_head",
    "head_parameters",
]
