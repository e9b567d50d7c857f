"""Commands for classification: fine-tune, classify, evaluate, importance, demo."""
