"""Searches for settings of training and of models, on validation error: spaces, rungs, a choice.

`reading` has the file of what may be tried, `space` its points, `running` trains within a budget,
`halving` says from the records where each search stands, `sampling` asks Optuna for candidates,
`choice` ranks them, and `file` writes what was chosen, for ``--protocol FILE.toml``.
"""
