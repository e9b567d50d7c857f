"""Gates over LoRA modules, importance scores, schedule and pruning."""
