"""``aebench run`` as a user meets it: on a terminal, stopped and continued, planned, in parts."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path

import pytest

from aebench.executors import child
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Store


def test_a_worker_whose_run_was_killed_stores_nothing_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run would leave out what is stored as failed."""
    import aebench.worker

    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        raise Ended

    monkeypatch.setattr(child.os, "_exit", end)
    monkeypatch.setattr(child.signal, "signal", lambda *_: None)
    monkeypatch.setattr(aebench.worker, "warm_process", lambda: None)
    ours, theirs = Pipe()
    ours.send(([Job("mlp", "digits", 4, epochs=1)], Circumstances(data=tmp_path / "data")))
    tell: Callable[..., None] = child._tell_epoch

    def killed_meanwhile(*words: object) -> None:
        ours.close()
        tell(*words)

    monkeypatch.setattr(child, "_tell_epoch", killed_meanwhile)
    with pytest.raises(Ended):
        child.main(theirs, tmp_path / "results", ())
    assert Store(tmp_path / "results").statuses() == {}
