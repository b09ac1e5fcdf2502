"""Evaluation: what a trained model is worth. Never timed as training."""
