"""Anomaly detection: its model, samples of the normal part to learn from, and the scores of steps."""
