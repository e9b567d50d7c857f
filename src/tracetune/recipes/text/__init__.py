"""Commands for texts: fine-tune, classify, evaluate, importance, demo."""
