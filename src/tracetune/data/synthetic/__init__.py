"""Synthetic series for pretraining, so that every real series stays out of sample."""

from tracetune.data.synthetic.corpus import DEFAULT_MIX, GENERATORS, SyntheticCorpus

__all__ = ["DEFAULT_MIX", "GENERATORS", "SyntheticCorpus"]
