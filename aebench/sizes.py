"""What a job amounts to before anything is built, and whether it can exist at all. No torch."""

from __future__ import annotations

from aebench import architectures, datasets, engines
from aebench.errors import RequestError
from aebench.job import Job


def shape(job: Job) -> architectures.Shape:
    """Channels, height and width of the job's images."""
    info = datasets.info(job.dataset)
    return (info.channels, info.height, info.width)


def size(job: Job) -> architectures.Size | None:
    """What the job's model amounts to, or None for a family that can only be measured.

    Raises:
        RequestError: there is no such model for these images.
    """
    sizer = architectures.get(job.architecture).size
    return sizer(shape(job), job.latent, job.depth) if sizer else None


def steps(job: Job) -> int:
    """Training steps of the whole job; the last, partial batch of an epoch is dropped."""
    return _images(job) // job.batch_size * job.epochs


def _images(job: Job) -> int:
    """Images in the training split."""
    info = datasets.info(job.dataset)
    return info.train_images - info.validation_images


def why_impossible(job: Job) -> str:
    """Why there can be no such job, whatever machine it runs on; empty if there can."""
    try:
        size(job)
    except RequestError as error:
        return str(error)
    if steps(job) == 0:
        return (
            f"batch_size {job.batch_size} is more than the {_images(job):,} training images of"
            f" {job.dataset}, so no full batch is left; give --batch-size {_images(job)} or less"
        )
    return engines.untrainable(job.engine, job.architecture, job.depth)
