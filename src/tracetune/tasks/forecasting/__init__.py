"""Forecasting: its model, its data and losses, and the views of a context that a backbone reads."""
