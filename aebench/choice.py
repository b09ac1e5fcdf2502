"""Which engines a job cannot have. No torch here, so that grids are refused at once."""

from __future__ import annotations

BATCHED = ("mlp", "mlp-shared", "mlp-separate")
"""Families that engine `batched` can stack."""


def why_not(architecture: str, engine: str) -> str:
    """Why `engine` cannot train that family; empty if it can."""
    if engine == "batched" and architecture not in BATCHED:
        return (
            f"engine 'batched' trains {', '.join(BATCHED)}, not {architecture}; use another"
            " engine for it"
        )
    return ""
