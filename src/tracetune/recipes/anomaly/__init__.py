"""Commands for anomaly detection: fine-tune, detect, evaluate, importance, demo."""
