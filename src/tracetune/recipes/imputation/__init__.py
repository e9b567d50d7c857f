"""Commands for imputation: fine-tune, impute, evaluate, importance, demo."""
