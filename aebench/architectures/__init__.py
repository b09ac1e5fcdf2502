"""The architectures: one module a family, and the registry that they and users' own join."""

from aebench.architectures.registry import (
    LAYERS,
    Architecture,
    Shape,
    Size,
    architecture,
    canonical,
    check_code,
    code,
    get,
    is_ours,
    layers,
    names,
    note_ours,
    registering,
)

# They register themselves, in this order.
from aebench.architectures import mlp, conv  # isort: skip

note_ours()

__all__ = [
    "LAYERS", "Architecture", "Shape", "Size", "architecture", "canonical", "check_code", "code",
    "conv", "get", "is_ours", "layers", "mlp", "names", "registering",
]  # fmt: skip
