"""Objects with five verbs: from_pretrained, fit, predict_df, evaluate, save_pretrained."""

from tracetune.estimators.forecaster import Forecaster

__all__ = ["Forecaster"]
