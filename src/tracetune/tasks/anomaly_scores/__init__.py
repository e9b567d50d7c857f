"""Anomaly scores of series: how unlike the normal windows every window is, in shape and in level."""
