"""Commands for forecasting: fine-tune, predict, evaluate, importance, demo."""
