"""What ``aebench run`` is told of a cluster: whether it can be meant."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from aebench.errors import RequestError, printable


def check(given: Mapping[str, Any]) -> None:
    """That what the options `given` to a run say of a cluster can be meant.

    Raises:
        RequestError: it cannot, or Ray is not installed.
    """
    on = given["on"]
    if on is None:
        for name in ("cpus_per_job", "gpus_per_job"):
            if given[name] is not None:
                raise RequestError(f"--{name.replace('_', '-')} is of use with --on only")
        return
    kind, equals, address = on.partition("=")
    if kind != "ray" or bool(equals) != bool(address.strip()):
        raise RequestError(f"--on takes ray or ray=ADDRESS, not {printable(on)!r}")
    if given["checkpoint"]:
        raise RequestError(
            "--checkpoint is not for --on: a node's checkpoints would be lost with the node"
        )
    if given["budget"] and not given["workers"]:
        raise RequestError(
            "--budget with --on needs --workers: how many jobs the cluster runs at a time"
        )
    if find_spec("ray") is None and not given["plan"]:
        raise RequestError("--on ray needs Ray, which is not installed: pip install 'aebench[ray]'")
