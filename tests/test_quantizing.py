"""Quantized codes: by hand, against numpy, and what an arithmetic coder would be told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aebench.evaluation.quantizing import Quantizer, quantizer


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None]


def test_cells_and_their_middles_by_hand() -> None:
    made = Quantizer(2, torch.tensor([-1.0, 0.0]), torch.tensor([0.5, 10.0]), torch.zeros(2, 4))
    codes = torch.tensor([[-1.0, 0.0], [-0.51, 9.9], [-0.49, 10.1], [0.99, 39.0], [7.0, -3.0]])
    cells = made.cells(codes)
    assert cells.tolist() == [[0, 0], [0, 0], [1, 1], [3, 3], [3, 0]]  # the outer ones are open
    assert made.values(cells).tolist() == [
        [-0.75, 5.0], [-0.75, 5.0], [-0.25, 15.0], [0.75, 35.0], [0.75, 5.0],
    ]  # fmt: skip


def test_codes_of_two_values_are_told_apart_over_their_whole_range() -> None:
    made = quantizer(column(0, 4, 0, 4, 0, 4, 0, 4), bits=1)
    assert made.low.tolist() == [0.0]
    assert made.step.tolist() == [2.0]
    assert made.information.tolist() == [[1.0, 1.0]]


def test_what_is_stored_by_hand() -> None:
    made = quantizer(column(*[0.0] * 5, 1.0, *[4.0] * 2), bits=1)
    # Six below the middle and two above: (6 + 1/2) / 9 and (2 + 1/2) / 9.
    p = np.array([6.5, 2.5]) / 9
    assert made.information[0].tolist() == pytest.approx((-np.log2(p)).tolist())
    stored = made.stored_bits(torch.tensor([[0], [1], [1]]))
    assert stored.tolist() == pytest.approx((-np.log2(p[[0, 1, 1]])).tolist())
    # Numbers of a code are coded one by one: their bits add up.
    both = quantizer(torch.cat([column(0, 0, 0, 1), column(2, 3, 3, 3)], dim=1), bits=1)
    rare, often = -np.log2(1.5 / 5), -np.log2(3.5 / 5)
    stored = both.stored_bits(torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]]))
    assert stored.tolist() == pytest.approx([often + rare, 2 * rare, rare + often, 2 * often])


def test_a_rare_outlier_does_not_widen_the_steps() -> None:
    crowd = torch.linspace(-1, 1, 999)[:, None]
    made = quantizer(torch.cat([crowd, column(8.0)]), bits=2)
    assert float(made.low + 4 * made.step) < 5
    assert float(made.low) >= -1  # and never beyond what was seen


def test_a_number_that_never_varies_costs_next_to_nothing_and_is_kept() -> None:
    codes = torch.cat([column(*[0.7] * 100), torch.linspace(0, 1, 100)[:, None]], dim=1)
    made = quantizer(codes, bits=8)
    cells = made.cells(torch.tensor([[0.7, 0.5], [0.9, 0.5]]))
    assert cells[:, 0].tolist() == [0, 0]
    assert made.values(cells)[:, 0].tolist() == pytest.approx([0.7, 0.7])
    assert float(made.information[0, 0]) == pytest.approx(-np.log2(100.5 / 228))


def test_codes_that_cannot_be_learned_from_are_refused() -> None:
    with pytest.raises(ValueError, match="no codes"):
        quantizer(torch.zeros(0, 3), 4)
    with pytest.raises(ValueError, match="not finite"):
        quantizer(column(0.0, float("nan")), 4)


def oracle(learned: np.ndarray, codes: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and bits of `codes`, number by number, with numpy in float64."""
    values, stored = np.empty(codes.shape), np.zeros(len(codes))
    for n in range(codes.shape[1]):
        own = learned[:, n].astype(np.float64)
        best = None
        for span in (np.inf, 1, 1.5, 2, 2.5, 3, 4, 6):
            reach = span * own.std() if np.isfinite(span) else np.inf
            low, high = max(own.min(), own.mean() - reach), min(own.max(), own.mean() + reach)
            step = max(high - low, 0) / 2**bits

            def cells(x: np.ndarray, low: float = low, step: float = step) -> np.ndarray:
                if step == 0:
                    return np.zeros(len(x))
                return np.clip(np.floor((x - low) / step), 0, 2**bits - 1)

            error = np.sum((low + (cells(own) + 0.5) * step - own) ** 2)
            if best is None or error < best[0] * (1 - 1e-9):
                best = error, low, step, cells
        _, low, step, cells = best
        counts = np.bincount(cells(own).astype(int), minlength=2**bits) + 0.5
        mine = cells(codes[:, n].astype(np.float64)).astype(int)
        values[:, n] = low + (mine + 0.5) * step
        stored -= np.log2(counts / counts.sum())[mine]
    return values, stored


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("shape", ["normal", "sigmoid", "relu", "heavy"])
def test_values_and_bits_are_those_of_numpy(bits: int, shape: str) -> None:
    generator = np.random.default_rng(bits)
    drawn = generator.standard_normal((900, 3)) * [1.0, 0.01, 30.0] + [0.0, 5.0, -2.0]
    made = {
        "normal": drawn,
        "sigmoid": 1 / (1 + np.exp(-4 * drawn)),
        "relu": np.maximum(drawn, 0),
        "heavy": drawn**3,
    }[shape].astype(np.float32)
    learned, codes = made[:700], made[700:]
    fitted = quantizer(torch.from_numpy(learned), bits)
    cells = fitted.cells(torch.from_numpy(codes))
    values, stored = oracle(learned, codes, bits)
    # A code on the edge of a cell may fall to either side of it in float32.
    same = np.isclose(fitted.values(cells).numpy(), values, rtol=1e-4, atol=1e-5)
    assert same.mean() > 0.995
    whole = same.all(axis=1)
    np.testing.assert_allclose(fitted.stored_bits(cells).numpy()[whole], stored[whole], atol=0.05)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=30
    ),
    st.sampled_from([1, 2, 4, 8]),
)  # fmt: skip
def test_what_was_learned_from_comes_back_within_its_range(
    numbers: list[tuple[float, float]], bits: int
) -> None:
    codes = torch.tensor(numbers, dtype=torch.float32)
    made = quantizer(codes, bits)
    cells = made.cells(codes)
    assert int(cells.min()) >= 0
    assert int(cells.max()) < 2**bits
    values = made.values(cells)
    room = 1e-3 + 1e-5 * codes.abs().amax(0)
    assert bool((values >= codes.amin(0) - room).all())
    assert bool((values <= codes.amax(0) + room).all())
    # The tables are probabilities, and no cell is impossible.
    torch.testing.assert_close((2**-made.information).sum(1), torch.ones(2).double())
    assert bool((made.stored_bits(cells) > 0).all())


def test_tables_learned_from_enough_codes_need_no_more_than_a_fixed_length() -> None:
    codes = torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0))
    made = quantizer(codes[:10_000], bits=6)
    mean = float(made.stored_bits(made.cells(codes[10_000:])).mean())
    # A normal variable in steps of s: log2(sqrt(2 pi e) / s) bits (Cover, Thomas 2006, th. 8.3.1).
    known = np.log2(np.sqrt(2 * np.pi * np.e) / made.step.double().numpy()).sum()
    assert mean == pytest.approx(known, rel=0.01)
    assert mean < 4 * 6
