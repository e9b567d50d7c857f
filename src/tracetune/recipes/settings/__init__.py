"""Settings of the commands: one class a command, importable without PyTorch, so that help is quick."""
