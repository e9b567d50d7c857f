"""What each command takes: one class a command, importable without PyTorch, so that help is quick."""
