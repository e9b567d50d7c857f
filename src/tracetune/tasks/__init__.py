"""What a batch, a loss and an output are, per task."""
