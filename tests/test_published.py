"""Published figures: whole, converted as they say, and of the data that ours are of."""

import pytest

from aebench.analysis import frames, published
from aebench.store import read
from bench.committed import ROOT


@pytest.fixture(scope="module")
def exact():
    """Our PCA's test error by data set and components."""
    results = frames.ordered(read(ROOT / "results/reference-best"))
    return results.baselines.groupby(["dataset", "components"])["mse"].median()


def test_every_figure_is_whole() -> None:
    for figure in published.figures():
        for text in ("converted", "label", "model", "measured", "citation", "note"):
            assert getattr(figure, text), (figure, text)
        assert isinstance(figure.checked, bool)
        assert str(figure.year) in figure.citation
        assert str(figure.year) in figure.label
        assert 1900 < figure.year < 2027
    marks = [(f.dataset, f.bottleneck, f.label) for f in published.figures()]
    assert len(set(marks)) == len(marks) == 8
    assert {f.dataset for f in published.figures()} == {"mnist", "fashion-mnist", "cifar10"}


def test_errors_are_per_pixel() -> None:
    told = {(f.dataset, f.bottleneck): f.mse for f in published.figures()}
    assert told["mnist", 30] == pytest.approx(0.00383, abs=5e-6)
    assert told["mnist", 2] == pytest.approx(0.0343, abs=5e-5)
    assert told["cifar10", 128] == pytest.approx(0.0041, abs=5e-5)


def test_what_is_divided_is_what_the_conversion_says() -> None:
    sizes = {"mnist": 784, "fashion-mnist": 784, "cifar10": 3072}
    for figure in published.figures():
        summed = "of an image" in figure.converted
        factor = (sizes[figure.dataset] if summed else 1) * (
            4 if "[-1, 1]" in figure.converted else 1
        )
        assert figure.divisor == factor, figure


def test_their_pca_is_ours_once_converted(exact) -> None:
    beside = [figure for figure in published.figures() if figure.pca is not None]
    assert len(beside) == 4
    for figure in beside:
        digits = len(str(figure.pca).partition(".")[2])
        ours = exact[figure.dataset, figure.bottleneck] * figure.divisor
        assert round(ours, digits) == figure.pca, figure


def test_no_figure_is_beyond_belief(exact) -> None:
    # Better than a constant image, and not below PCA with four times the components.
    for figure in published.figures():
        assert figure.mse < exact[figure.dataset, 0]
        assert figure.mse > exact[figure.dataset, 512] / 4


def test_a_figure_that_was_not_found_again_says_so() -> None:
    names = {figure.name for figure in published.figures()}
    assert names == {"Hinton 2006", "UvA 2020", "Moor 2020, as recalled, not checked"}


def test_figures_of_a_data_set_come_by_bottleneck() -> None:
    figures = published.of("cifar10")
    assert [f.bottleneck for f in figures] == [2, 64, 128, 256, 384]
    errors = [f.mse for f in figures]
    assert errors == sorted(errors, reverse=True)  # as more numbers must
    assert published.of("digits") == []


def test_a_figure_is_set_beside_about_as_many_numbers() -> None:
    (figure,) = (f for f in published.of("mnist") if f.bottleneck == 30)
    assert published.near(figure, [2, 28, 32, 33]) == 32
    assert published.near(figure, [32, 30, 28]) == 30
    assert published.near(figure, [33]) == 33
    assert published.near(figure, [2, 34, 128]) is None
    assert published.near(figure, []) is None
