"""Synthetic series for pretraining, so that every real series stays out of sample."""

from tracetune.data.synthetic.corpus import SyntheticCorpus
from tracetune.data.synthetic.families import FAMILIES

__all__ = ["FAMILIES", "SyntheticCorpus"]
