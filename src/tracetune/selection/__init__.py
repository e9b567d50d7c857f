"""Which LoRA modules matter: gates, importance scores, Shapley values, schedule."""
