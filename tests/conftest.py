"""What holds for every test: those marked `cuda` are skipped, by name, where no device is."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a CUDA device on a machine without one; torch is asked only if need be."""
    needy = [item for item in items if item.get_closest_marker("cuda")]
    if not needy:
        return
    import torch

    if not torch.cuda.is_available():
        for item in needy:
            item.add_marker(pytest.mark.skip(reason="torch finds no CUDA device on this machine"))
