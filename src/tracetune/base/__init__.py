"""Errors, files, strict configuration, seeds and devices, which all other packages use."""
