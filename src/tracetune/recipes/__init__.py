"""What the commands do: a folder a task; beside them the commands without a task, and what tasks share."""
