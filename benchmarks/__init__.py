"""Scripts that make the numbers of docs/results; none of them is a test."""
