"""Forecaster: from tables to forecasts, intervals and backtests."""
