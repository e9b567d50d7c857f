"""Imputation: its model, its data, and the gaps of series."""
