"""The rounds of TRACE's selection: their plan, one round, its record, and all of them during a training."""
