"""TextClassifier: labels of sentences and pairs of sentences."""
