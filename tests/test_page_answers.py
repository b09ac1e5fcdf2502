"""What is known of which family is better: which trainings count as one."""

import pytest
from test_page_best import CLEAR, TWICE, answered, model

from aebench.analysis import frames
from aebench.page import best_sentences as spoken


def test_seeds_of_either_precision_are_seeds_of_one_model(tmp_path) -> None:
    """Here the first of three is in both, one percent apart: it counts once, as their mean."""
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR, losses=(0.05,)),
        model("mlp", 8, 1.01 * CLEAR[0], losses=(0.04,), precision="bf16"),
        model("conv", 8, *TWICE, losses=(0.06,), precision="bf16"),
    )
    (fight,) = answer.fights["bottleneck"]
    mlp, conv = fight.sides
    assert (mlp.seeds, conv.seeds, mlp.settings, conv.settings) == (3, 3, "study", "study")
    assert mlp.error == pytest.approx(frames.mean([1.005 * CLEAR[0], *CLEAR[1:]]))
    assert answer.codes["n_seeds"].tolist() == [3, 3]
    assert spoken.sentences(answer)[-2:] == [
        "Trained under study.",
        "Trained in bf16 and fp32; 1 training was done in several, with errors within 1.00 % of "
        "each other.",
    ]
    alone = answered(tmp_path / "alone", model("mlp", 8, *CLEAR, precision="bf16"))
    assert spoken.sentences(alone)[-1] == "Trained in bf16."
