"""Shared ground: errors, files, strict configuration, seeds, devices."""
