"""One function of a config per command."""
