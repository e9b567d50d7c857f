"""PEFT adapters in and out: configuration, checkpoint, merge, counts."""
