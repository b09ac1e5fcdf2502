"""Which jobs a worker takes together, because their engine trains them as one model.

All others go one by one. The executors know no more of it than that a worker gets a list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from aebench.errors import RequestError
from aebench.grid import shape, size
from aebench.job import Job

_MOST_MEMBERS = 32  # more gain nothing, and progress is told and lost in larger pieces
_MOST_BYTES = 4 * 2**30  # of weights, gradients, Adam's moments and one batch, over all members


def grouped(jobs: Iterable[Job]) -> list[list[Job]]:
    """Split `jobs` into lists to be run together, in the order of their first members.

    Only jobs of engine `batched` go together, and those alike in all but seed and repeat.
    """
    groups: list[list[Job]] = []
    open_groups: dict[Job, list[Job]] = {}
    for job in jobs:
        if job.engine != "batched":
            groups.append([job])
            continue
        alike = dataclasses.replace(job, seed=0, repeat=0)
        group = open_groups.get(alike)
        if group is None or len(group) >= _most(job):
            group = open_groups[alike] = []
            groups.append(group)
        group.append(job)
    return groups


def _most(job: Job) -> int:
    """How many of such jobs fit the memory that a group may take."""
    try:
        amount = size(job)
    except RequestError:
        return 1  # the job will say itself what is wrong with it
    if amount is None:
        return _MOST_MEMBERS
    channels, height, width = shape(job)
    # Weight, gradient and two moments; some eight numbers for every pixel of a batch.
    numbers = 4 * amount.parameters + 8 * job.batch_size * channels * height * width
    return max(1, min(_MOST_MEMBERS, _MOST_BYTES // (4 * numbers)))
