"""Which training images are held out for validation, and in which order the others pass.

Depends on the seed (and the epoch) alone: neither on the device, nor the platform, nor the
version of numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aebench.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]

# Sets the split's random numbers apart from any others drawn from the same seed: "split" in ASCII.
SPLIT_STREAM = int.from_bytes(b"split", "big")
_ORDER_STREAM = int.from_bytes(b"order", "big")


def split(count: int, validation_images: int, seed: int) -> tuple[Indices, Indices]:
    """Split `count` training images at random into (train, validation) indices, int64.

    The order is the order that sorts `count` raw 64-bit outputs of PCG64 seeded by
    SeedSequence([SPLIT_STREAM, seed]); the last `validation_images` are held out. numpy promises
    to keep both of these streams, but not that of `Generator.permutation` (NEP 19).

    Raises:
        RequestError: there would be no training image left, or a number is negative.
    """
    if not 0 <= validation_images < count or seed < 0:
        raise RequestError(
            f"cannot hold {validation_images:,} of {count:,} images out for validation "
            f"with seed {seed}"
        )
    order = _permutation(count, SPLIT_STREAM, seed)
    return order[: count - validation_images], order[count - validation_images :]


def shuffled(count: int, seed: int, epoch: int) -> Indices:
    """The order in which `count` training images pass in `epoch`, int64; drawn as in `split`."""
    return _permutation(count, _ORDER_STREAM, seed, epoch)


def _permutation(count: int, *stream: int) -> Indices:
    import numpy as np

    bits = np.random.PCG64(np.random.SeedSequence(stream))
    return np.argsort(bits.random_raw(count), kind="stable").astype(np.int64)
