"""AnomalyDetector: scores of a series, thresholds, events, and new rows one by one."""
