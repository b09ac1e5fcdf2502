"""The arithmetic of the clock, with a clock and a device of our own."""

from __future__ import annotations

import pytest

from aebench import schema
from aebench.engines.clock import PHASES, PhaseClock

S = 1_000_000_000


class Fake:
    """Time that passes only when told, and a device with work in its queue."""

    def __init__(self) -> None:
        self.ns = 5 * S
        self.queued = 0
        self.drained = 0
        self.clock = PhaseClock(now=lambda: self.ns, synchronize=self.synchronize)

    def synchronize(self) -> None:
        self.ns += self.queued
        self.queued = 0
        self.drained += 1

    def wait(self, seconds: float) -> None:
        self.ns += round(seconds * S)

    def launch(self, seconds: float) -> None:
        """Give the device work; the host goes on at once."""
        self.queued += round(seconds * S)


@pytest.fixture
def fake() -> Fake:
    return Fake()


def test_blocks_of_a_phase_add_up_and_the_last_is_told(fake: Fake) -> None:
    for seconds in (1, 2, 4):
        with fake.clock.phase("train"):
            fake.wait(seconds)
        assert fake.clock.last_s == seconds
        with fake.clock.phase("eval"):
            fake.wait(0.5)
    assert fake.clock.seconds["train"] == 7
    assert fake.clock.seconds["eval"] == 1.5
    assert set(fake.clock.seconds) == set(PHASES)
    assert sum(fake.clock.seconds.values()) == 8.5


def test_each_phase_pays_for_its_own_work_on_the_device(fake: Fake) -> None:
    fake.launch(10)  # left over from before: nobody's
    with fake.clock.phase("train"):
        fake.launch(3)
    with fake.clock.phase("eval"):
        fake.wait(1)
    assert (fake.clock.seconds["train"], fake.clock.seconds["eval"]) == (3, 1)
    assert fake.drained == 4  # on both sides of each


def test_total_has_what_lies_between_the_phases(fake: Fake) -> None:
    fake.wait(1)
    with fake.clock.phase("data"):
        fake.wait(2)
    fake.wait(4)
    assert fake.clock.total_s() == 7


def test_phases_do_not_nest(fake: Fake) -> None:
    with (
        pytest.raises(RuntimeError, match="'eval' opened inside 'train'"),
        fake.clock.phase("train"),
        fake.clock.phase("eval"),
    ):
        pytest.fail("a second would be counted twice")
    with fake.clock.phase("eval"):  # and the clock is usable afterwards
        fake.wait(1)
    assert fake.clock.seconds["eval"] == 1


def test_a_block_that_raises_is_counted(fake: Fake) -> None:
    def full() -> None:
        with fake.clock.phase("train"):
            fake.wait(2)
            raise MemoryError

    with pytest.raises(MemoryError):
        full()
    assert fake.clock.seconds["train"] == fake.clock.last_s == 2


def test_a_phase_has_a_known_name_and_a_column(fake: Fake) -> None:
    known = "data, build, compile, warmup, train, eval, baseline, samples, probe"
    with (
        pytest.raises(ValueError, match=f"no phase 'trian'; phases are {known}"),
        fake.clock.phase("trian"),
    ):
        pytest.fail("not reached")
    assert {f"{name}_s" for name in PHASES} <= {column.name for column in schema.JOBS}


def test_a_new_clock_has_counted_nothing(fake: Fake) -> None:
    assert fake.clock.seconds == dict.fromkeys(PHASES, 0)
    assert fake.clock.last_s == fake.clock.total_s() == 0
    assert fake.drained == 0
