"""Estimators, one for each task: they load, fit, predict, evaluate and save a model."""
