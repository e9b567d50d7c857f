"""Tasks: batch, loss and output of each."""
