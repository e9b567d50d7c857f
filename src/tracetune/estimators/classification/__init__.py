"""Classifier: labels of whole series, with probabilities."""
