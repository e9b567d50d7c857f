"""Settings of the commands without a task, and those that tasks share; importable without PyTorch, so that help is quick."""
