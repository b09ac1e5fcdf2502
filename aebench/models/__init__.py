"""What is kept of trained models: their weights, and checkpoints of those in training.

Where such files lie, and to which record they belong, is decided in `store.kept`.
"""
