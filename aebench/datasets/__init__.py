"""Datasets: catalogue, sources, checksums, cache and splits.

`load` hands out verified pixels as read-only uint8 arrays N x C x H x W, wherever they come
from. Scaling them to [0, 1] and moving them to a device is left to the engines. Importing this
loads neither numpy nor torch.
"""

from aebench.datasets.access import (
    Status,
    add,
    cached,
    check_pixels,
    is_ours,
    load,
    pixels,
    status,
)
from aebench.datasets.cache import Dataset, cache_directory
from aebench.datasets.catalogue import (
    BadData,
    DatasetInfo,
    DataUnavailable,
    Member,
    Source,
    UnknownDataset,
    info,
    names,
    register,
)
from aebench.datasets.splits import split

__all__ = [
    "BadData",
    "DataUnavailable",
    "Dataset",
    "DatasetInfo",
    "Member",
    "Source",
    "Status",
    "UnknownDataset",
    "add",
    "cache_directory",
    "cached",
    "check_pixels",
    "info",
    "is_ours",
    "load",
    "names",
    "pixels",
    "register",
    "split",
    "status",
]
