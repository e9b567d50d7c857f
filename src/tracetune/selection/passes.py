"""Cost of passes over a batch, in forward passes: a backward pass counts as two."""

FORWARD = 1.0
FORWARD_BACKWARD = 3.0
