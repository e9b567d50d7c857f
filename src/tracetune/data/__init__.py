"""From files to windows: frames, splits, windows, known data sets, synthetic series."""
