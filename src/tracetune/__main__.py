"""Run the command line as ``python -m tracetune``, which launchers of several processes need."""

from tracetune.cli.app import main

main()
