"""Models and data sets of a script, a prompt or a notebook, carried to a worker by their value.

No worker can import these: a notebook has no file, and a script that is imported runs again. So
the functions themselves are sent, with all that they name (by `cloudpickle`); what they import from
elsewhere, the worker imports too. Only a run tells its own workers so, never the other way round.
"""

from __future__ import annotations

import base64
import dataclasses
import pickle

from aebench import architectures, datasets, fingerprint
from aebench.architectures import registry
from aebench.datasets import catalogue
from aebench.errors import RequestError, printable
from aebench.job import Job

_MAIN = "__main__"


def packed(job: Job) -> str:
    """What of a job's model and data is written in `__main__`, as text; empty if nothing is.

    Raises:
        RequestError: it has changed since the job was made, or it holds what cannot be sent.
    """
    import cloudpickle

    family, loader = architectures.get(job.architecture), catalogue.loader(job.dataset)
    of_family = fingerprint.module_of(family.build) == _MAIN
    of_data = loader is not None and fingerprint.module_of(loader) == _MAIN
    if not (of_family or of_data):
        return ""
    if of_family:
        architectures.check_code(job)
        family = dataclasses.replace(family, carried=job.code)
    if of_data and datasets.pixels(job.dataset) != job.pixels:
        raise RequestError(
            f"{printable(job.name)}: its data set has changed since the job was made: load the grid"
            " again"
        )
    data = (catalogue.info(job.dataset), loader) if of_data else None
    try:
        content = cloudpickle.dumps((family if of_family else None, data))
    except Exception as error:  # whatever an object raises that will not be copied
        raise RequestError(
            f"{printable(job.name)}: its code uses something that no other process can be given"
            f" ({printable(f'{type(error).__name__}: {error}')}); make it inside the function that"
            " needs it"
        ) from error
    return base64.b64encode(content).decode()


def unpack(text: str) -> None:
    """Register what `packed` says, in a worker."""
    family, data = pickle.loads(base64.b64decode(text))
    if family is not None:
        registry.adopt(family)
    if data is not None:
        catalogue.register(*data)
