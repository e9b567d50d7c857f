"""The times of a table: which column tells them, how they are read, and which regular grid they make."""
