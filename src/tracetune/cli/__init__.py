"""The command line: flags to configurations, errors to exit statuses; quick, since a command imports what it runs."""

from tracetune.cli.app import main

__all__ = ["main"]
