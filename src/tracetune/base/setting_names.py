"""Names that other tools use for settings, to suggest ours in errors."""

from collections.abc import Iterable
from difflib import get_close_matches

from tracetune.base.errors import InputError, unknown_name

SYNONYMS = {
    "prediction_length": ("horizon", "h", "fh", "steps_ahead", "forecast_length", "forecast_horizon", "pred_len"),
    "context_length": ("history", "lookback", "input_size", "seq_len", "window", "context_size"),
    "learning_rate": ("lr", "rate", "fine_tune_lr"),
    "head_learning_rate": ("head_lr", "lr_head"),
    "num_train_epochs": ("epochs", "n_epochs", "num_epochs"),
    "max_steps": ("steps", "num_steps", "fine_tune_steps"),
    "batch_size": ("bs", "per_device_train_batch_size", "fine_tune_batch_size"),
    "r": ("rank", "lora_rank", "lora_r"),
    "lora_alpha": ("alpha",),
    "target_modules": ("lora_target", "modules"),
    "quantiles": ("quantile_levels", "quantile", "levels", "level"),
    "id_column": ("id_col", "item_id", "unique_id", "item_column", "series", "group", "groups"),
    "timestamp_column": ("time_col", "time_column", "date_column", "date", "ds", "timestamp", "time", "index"),
    "target": ("target_col", "target_column", "y", "value", "value_column"),
    "freq": ("frequency",),
    "season": ("seasonality", "season_length", "period", "sp"),
    "output": ("out", "output_dir", "out_dir", "save", "o"),
    "checkpoints": ("checkpoint_dir", "resume", "resume_from_checkpoint"),
    "seed": ("random_state", "random_seed"),
    "device": ("gpu", "cuda", "accelerator"),
    "keep": ("budget", "keep_share"),
    "test_length": ("test_size",),
    "separator": ("sep", "delimiter"),
    "config": ("yaml", "configuration", "cfg"),
    "model": ("name", "backbone", "checkpoint"),
    "max_tokens": ("max_memory",),
    "validation_data": ("val_data", "valid"),
    "decimal": ("decimal_separator", "dec"),
    "thousands": ("thousands_separator",),
    "missing": ("na_values", "null_values", "nan"),
    "day_first": ("dayfirst",),
    "sheet": ("sheet_name", "tab"),
    "duplicates": ("dedup", "on_duplicates"),
    "plot": ("picture", "figure", "png"),
    "non_negative": ("nonnegative", "positive", "clip"),
    "dataset": ("data_set",),
}
"""Our names, and what else a setting is called by users of other tools."""


def near_settings(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three settings among ``known`` that ``name`` may have meant, the likeliest first."""
    spelled = name.strip("-").replace("-", "_").lower()
    present = list(known)
    if alike := [ours for ours in present if spelled in SYNONYMS.get(ours, ())]:
        return alike
    close = get_close_matches(spelled, present, n=3, cutoff=0.6)
    begins = [ours for ours in present if len(spelled) > 2 and (ours.startswith(spelled) or ours.endswith(spelled))]
    return list(dict.fromkeys([*close, *begins]))[:3]


def unknown_setting(name: str, known: Iterable[str]) -> InputError:
    """Return the error for a setting that does not exist, with the nearest ones and all that there are."""
    names = list(known)
    return unknown_name("setting", name, names, near_settings(name, names))
