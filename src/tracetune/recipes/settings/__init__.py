"""Settings of commands without a task, and those that tasks share; importable without PyTorch: help is quick."""
