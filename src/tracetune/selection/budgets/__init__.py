"""Budgets for what stays open: in modules, in their parameters, and in the time of a training step."""
