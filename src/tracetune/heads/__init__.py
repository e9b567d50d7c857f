"""Heads: what reads the tokens of a backbone, one file a kind."""
