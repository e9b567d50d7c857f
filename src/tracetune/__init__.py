"""tracetune: parameter-efficient fine-tuning of time-series foundation models."""
