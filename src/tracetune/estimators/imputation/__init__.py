"""Imputer: gaps of a table filled and marked, with intervals."""
