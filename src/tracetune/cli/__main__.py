"""Run the command line as ``python -m tracetune.cli``, which launchers of several processes need."""

from tracetune.cli.app import main

main()
