"""Metrics, baselines and the statistics that compare them."""
