"""Heads, which read the tokens of a backbone; one file a kind."""
