"""One function of a configuration per command."""
