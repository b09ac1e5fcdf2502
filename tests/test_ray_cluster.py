"""Who is asked at the address of a Ray cluster before Ray is; the clusters are in test_on_ray."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aebench.errors import RequestError
from aebench.executors import ray_cluster

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
ANSWERS: dict[str, bytes] = {
    "a web server": b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n",
    "a word": b"220 x\r\n",
    "nothing": b"",
    "a frame of another kind": bytes([0, 0, 0, 7, 0, 0, 0, 0, 0]),
}


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """The address of a server that answers one caller."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            caller, _ = server.accept()
            with caller:
                answer(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=30)


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS.keys())
def test_what_is_not_ray_is_told_at_once(said: bytes) -> None:
    with (
        listening(lambda caller: (caller.recv(100), caller.sendall(said))) as address,
        pytest.raises(RequestError, match=f"^no Ray cluster answers at {address} .*dashboard"),
    ):
        ray_cluster._knock(address)


def test_who_never_answers_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_KNOCK_S", 0.1)
    done = threading.Event()
    with listening(lambda _: done.wait(30)) as address:
        with pytest.raises(RequestError, match=r"no Ray cluster answers at .*timed out"):
            ray_cluster._knock(address)
        done.set()


@pytest.mark.parametrize("before", ["", "ray://"])
def test_a_server_that_greets_as_ray_does_is_left_to_ray(before: str) -> None:
    heard = bytearray()

    def greet(caller: socket.socket) -> None:
        heard.extend(caller.recv(100))
        for byte in SETTINGS:  # however the network cuts it
            caller.sendall(bytes([byte]))

    with listening(greet) as address:
        ray_cluster._knock(before + address)
    assert heard.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


@pytest.mark.parametrize("said", ["1", "True"])
def test_behind_tls_only_the_port_is_looked_at(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("RAY_USE_TLS", said)
    heard = []
    with listening(lambda caller: heard.append(caller.recv(100))) as address:
        ray_cluster._knock(address)
    assert heard == [b""]


@pytest.mark.parametrize("name", ["auto", "local", "ray://head", "head:port", ""])
def test_names_without_a_port_are_left_to_ray(name: str) -> None:
    ray_cluster._knock(name)
