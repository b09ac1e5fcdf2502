"""The connection to a Ray cluster: one that runs already, or one started on this machine."""

from __future__ import annotations

import os
import socket
from typing import Any

from aebench.errors import RequestError, printable

_KNOCK_S = 10.0  # for a cluster's port to answer
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HEADER, _SETTINGS = 9, b"\x04"  # bytes of a frame's head, and of the kind that is the first


class Cluster:
    """A Ray cluster that is connected to, or started on this machine; a context.

    Raises:
        RequestError: Ray is not installed, or there is no cluster at `address`.
    """

    def __init__(self, address: str = "") -> None:
        self.ray = _ray()
        self.started = False
        if address:
            _knock(address)
        refusals = ConnectionError, ValueError, RuntimeError, TimeoutError
        quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "error"}
        try:
            self.ray.init(address or "auto", **quiet)
        except (*refusals, self.ray.exceptions.RayError) as error:
            if address:
                raise _no_cluster(address, error) from error
            self.ray.init("local", include_dashboard=False, **quiet)
            self.started = True

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, in an order that stays."""
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        return sorted(alive, key=lambda node: (node["NodeManagerHostname"], node["NodeID"]))


def _knock(address: str) -> None:
    """See that a gRPC server, as Ray's are, listens at `address`; for others Ray waits a minute.

    Such a server greets with a frame of kind SETTINGS (RFC 9113, 3.4 and 4.1), whoever calls.

    Raises:
        RequestError: nothing listens there, or something else, such as Ray's dashboard.
    """
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not (host and port.isascii() and port.isdecimal()):
        return  # as Ray's own `auto`, or a name of a kind that Ray knows
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S) as wire:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):  # as Ray reads it
                return  # it greets behind a handshake, which Ray makes
            wire.sendall(_PREFACE)
            with wire.makefile("rb") as answers:
                greeted = answers.read(_HEADER)[3:4] == _SETTINGS
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error
    if not greeted:
        other = "what listens there is no Ray head, though it may be its dashboard"
        raise _no_cluster(address, ConnectionError(other))


def _no_cluster(address: str, error: BaseException) -> RequestError:
    said = f"{printable(address)} ({first_line(error)})"
    if "authentication token" in f"{error} {error.__cause__}".lower():
        return RequestError(
            f"the Ray cluster at {said} asks for its token; set RAY_AUTH_MODE=token in the"
            " environment, and RAY_AUTH_TOKEN to what `ray get-auth-token` prints on its head node"
        )
    return RequestError(
        f"no Ray cluster answers at {said}; start one with `ray start --head`, or leave the address"
        " out to have one started here"
    )


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], 200)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise RequestError(
            "--on ray needs Ray, which is not installed: pip install 'aebench[ray]'"
        ) from error
    return ray
