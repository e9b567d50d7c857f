"""Forecasting heads: the linear probe and the compact ones."""
