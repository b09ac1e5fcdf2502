"""One seed per purpose, derived from a job's seed, so that draws never share a stream."""

from __future__ import annotations

import hashlib


def torch_generator_seed(purpose: str, seed: int, index: int = 0) -> int:
    """A 63-bit seed that depends on `purpose` (``weights``, ``order``, ...), seed and index."""
    digest = hashlib.sha256(f"aebench {purpose} {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
