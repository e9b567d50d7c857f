"""Selection of LoRA modules: gates, importance scores, Shapley values, schedule."""
