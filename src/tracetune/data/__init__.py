"""Data: tables in and out, splits, windows, benchmark sets, synthetic series."""
