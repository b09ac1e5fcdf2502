"""The findings of the study: each with its source figure, its rule, and how it is judged.

The study is M. Bachelard and M. Laleu, "TP – AutoEncoder". Adding a finding is adding an entry
to `FINDINGS`. The rules themselves are in `rules` and `picture_rules`; nothing here looks at
charts or HTML.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from aebench.analysis import exhibits, expected, picture_rules, rules, words
from aebench.analysis.evidence import Evidence, Judgement, Rule
from aebench.analysis.figures import BRIEF_RULE, EXACT, FIGURE_RULE, printed_error
from aebench.analysis.frames import Model, ordered
from aebench.analysis.outcomes import Finding, Outcome, Outcomes
from aebench.analysis.statistics import ALPHA, LEAST, holm
from aebench.language import later, numeral, say
from aebench.store import Results

PAIRED_TEST = (
    "One-sided paired t-test at 5 % on the logarithm of the ratio, over seeds or pairs of runs, "
    "corrected by Holm's method over all comparisons that have enough data. Replicated when it "
    "supports the claim, not replicated when the opposite test is significant, else undecided. "
    f"With fewer than {LEAST} seeds or pairs nothing is tested: consistent where they are on the "
    "claim's side, else undecided."
)
_PAIRED = " Paired test."
TimeRule = Callable[..., Rule]  # that takes the device
_DEVICES = {"cuda": "a CUDA device (the study had one)", "cpu": "a CPU (the study had none)"}


def _printed(
    id: str, model: Model, printed: str, claim: str, reading_of: str = "", how: str = ""
) -> Finding:
    """A study error that the study prints, for a model that it names."""
    return Finding(
        *(id, claim, printed, "study error", FIGURE_RULE),
        evaluate=printed_error(model, float(printed)),
        minimum=f"{LEAST} seeds; {EXACT} for the exact test; one finished job to be consistent",
        reading_of=reading_of,
        model=model,
        shows=exhibits.figure(model, float(printed)),
        brief=BRIEF_RULE,
        how=how,
    )


def _timed(
    id: str,
    claim: str,
    source: str,
    measure: str,
    rule: str,
    evaluate: TimeRule,
    shows: exhibits.Shows,
    of: str = "",
    how: str = "",
) -> list[Finding]:
    """A comparison of times on the study's kind of device, and once more on the other."""
    return [
        Finding(
            *(id if device == "cuda" else f"{id}-{device}", claim, source, measure),
            rule=f"{rule}, with engine reference (the study's data loader) on {where}; runs paired "
            "by seed and repeat, alike in machine, precision, threads, torch and epochs, which may "
            "be fewer than the study's 15." + _PAIRED,
            evaluate=evaluate(device=device),
            minimum=f"{LEAST} pairs of runs with nothing else on the machine, which aebench check "
            "does not reject",
            counts="pair",
            reading_of=of or (id if device != "cuda" else ""),
            shows=shows,
            how=", ".join(filter(None, [how, f"on {where}"])),
        )
        for device, where in _DEVICES.items()
    ]


_MLP_512, _MLP_128, _MLP_1 = (Model("mnist", "mlp", k) for k in (512, 128, 1))
_CONV_512, _CONV_128, _CONV_16, _CONV_1 = (Model("mnist", "conv", k) for k in (512, 128, 16, 1))
_DEEP_128 = Model("mnist", "conv", 128, 2)
# The study says "the same model" for its colour figure without a size; the code it shows has 128.
_COLOUR_128 = Model("cifar10", "conv", 128)
# The study denoises with `model(noisy_image)`: no flattening, so no MLP. The section follows that
# of the deeper model, trained "with a latent-size of 128 and then of 64": the variable holds the
# latter. The photograph is shown right after the code that trains the MLP of latent size 512.
_DEEP_64 = Model("mnist", "conv", 64, 2)
_RELU_64 = Model("mnist", "conv-relu", 64, 2)
_DENOISERS_SHOWN = (_RELU_64, _CONV_16, _MLP_512)
_DENOISERS_BESIDE = (_RELU_64, _DEEP_128, _CONV_128, _CONV_16, _MLP_512, _MLP_128)
_SHARED, _SEPARATE = Model("cifar10", "mlp-shared", 512), Model("cifar10", "mlp-separate", 8500)
_NOISE = (
    "Gaussian noise, unclipped, is added to the first 1,000 test images; conv-64 of depth 2, the "
    "model that the study's text and code have at that point, is trained without noise. "
)


def _deeper(architecture: str, suffix: str, reading: str, how: str) -> list[Finding]:
    """What the study finds on its deeper model, for one reading of it.

    The study lists that decoder with its block's default activation, sigmoid, in both layers. The
    block takes ReLU as well, which may be what was run between them.
    """
    deep_128, deep_64 = (Model("mnist", architecture, latent, 2) for latent in (128, 64))
    model = f"The convolutional model of depth 2, {reading}".rstrip(",")

    def of(id: str) -> str:
        return id if suffix else ""

    better = Finding(
        id=f"deep-better{suffix}",
        claim=f"Added convolutional layers, {reading} make the reconstruction better again.",
        source="0.004 against 0.042 at latent 128",
        measure="error ratio, depth 1 / depth 2",
        rule=f"At latent 128 the error of conv is greater than that of {architecture} of depth 2."
        + _PAIRED,
        evaluate=rules.lower(deep_128, _CONV_128),
        shows=exhibits.errors({_CONV_128: 0.042, deep_128: 0.004}),
        reading_of=of("deep-better"),
        how=how,
    )
    slower = _timed(
        f"deep-slower{suffix}",
        f"{model}, takes longer.",
        "250 to 278 s against 159 s, ratio 1.57 to 1.75",
        "time ratio, depth 2 / depth 1",
        f"Training and evaluation of {architecture}-128 of depth 2 take longer than of conv-128",
        partial(rules.times, deep_128, _CONV_128, 1.0, "above"),
        exhibits.ratio(1.0, later("as long")),
        of("deep-slower"),
        how,
    )
    return [
        _printed(f"deep-128{suffix}", deep_128, "0.004",
                 f"{model}, has an error of 0.004 with latent size 128.", of("deep-128"), how),
        _printed(f"deep-64{suffix}", deep_64, "0.037",
                 f"{model}, has an error of 0.037 with latent size 64.", of("deep-64"), how),
        better,
        *slower,
    ]  # fmt: skip


FINDINGS: tuple[Finding, ...] = (
    _printed("mlp-512", _MLP_512, "0.605",
             "The MLP with latent size 512 reconstructs MNIST with an error of 0.605."),
    _printed("mlp-128", _MLP_128, "2.16",
             "The MLP with latent size 128 has an error of 2.16; its images are blurrier."),
    _printed("mlp-1", _MLP_1, "9.47",
             "The MLP with latent size 1 has an error of 9.47; digits are no longer recognizable."),
    Finding(
        id="mlp-smaller-worse",
        claim="The smaller the code of the MLP, the worse the reconstruction.",
        source="0.605, 2.16, 9.47 at latent 512, 128, 1",
        measure="smallest step, error ratio",
        rule="The error rises from latent 512 to 128 and from 128 to 1." + _PAIRED,
        evaluate=rules.rising([_MLP_512, _MLP_128, _MLP_1]),
        shows=exhibits.errors({_MLP_512: 0.605, _MLP_128: 2.16, _MLP_1: 9.47}),
    ),
    Finding(
        id="out-of-distribution",
        claim="A landscape photograph put through the MNIST MLP comes out unlike the original.",
        source="pictures",
        measure="smaller of two error ratios",
        rule="On china.jpg of scikit-learn (central square, grey, 28 x 28) the MSE of mlp-512 is "
        f"more than {picture_rules.STRANGER_FACTOR:g} times that on its own test images, so a "
        "pixel's typical error more than doubles, and more than that of a flat picture of the "
        "photograph's mean grey, so none of what varies in it is explained." + _PAIRED,
        minimum=f"{LEAST} seeds",
        evaluate=picture_rules.fails_on(_MLP_512, "china.jpg"),
        shows=exhibits.stranger(_MLP_512, "china.jpg"),
    ),
    _printed("conv-512", _CONV_512, "0.024",
             "The convolutional model with latent size 512 has an error of only 0.024."),
    _printed("conv-128", _CONV_128, "0.042",
             "The convolutional model with latent size 128 is as sharp, with an error of 0.042."),
    _printed("conv-16", _CONV_16, "0.17",
             "The convolutional model with latent size 16 is still sharp, with an error of 0.17."),
    _printed("conv-1", _CONV_1, "3.53",
             "With latent size 1 the convolutional model's digits are legible but grey: 3.53."),
    Finding(
        id="conv-smaller-worse",
        claim="The fewer channels the convolutional code has, the worse the reconstruction.",
        source="0.024, 0.042, 0.17, 3.53 at latent 512, 128, 16, 1",
        measure="smallest step, error ratio",
        rule="The error rises at each step from latent 512 to 128 to 16 to 1." + _PAIRED,
        evaluate=rules.rising([_CONV_512, _CONV_128, _CONV_16, _CONV_1]),
        shows=exhibits.errors({_CONV_512: 0.024, _CONV_128: 0.042, _CONV_16: 0.17, _CONV_1: 3.53}),
    ),
    Finding(
        id="conv-beats-mlp",
        claim="At equal latent size the convolutional model is far better than the MLP.",
        source="0.605 against 0.024 at latent 512",
        measure="error ratio, mlp / conv",
        # The study says "much more effective"; half the error is the least that could mean.
        rule="At latent 512 the MLP's error is more than twice the convolutional one." + _PAIRED,
        evaluate=rules.lower(_CONV_512, _MLP_512, factor=2.0),
        shows=exhibits.errors({_MLP_512: 0.605, _CONV_512: 0.024}),
    ),
    *_timed(
        "conv-not-slower",
        "Training the convolutional model does not seem to take longer than the MLP.",
        "159 s against 127 s, ratio 1.25",
        "time ratio, conv-128 / mlp-512",
        # The study itself calls 1.25 "not longer"; half as long again is where nobody would.
        "Training and evaluation of conv-128 take at most 1.5 times as long as of mlp-512",
        partial(rules.times, _CONV_128, _MLP_512, 1.5, "below"),
        exhibits.ratio(1.5, later("the bound, half as long again")),
    ),
    Finding(
        id="same-convergence",
        claim="Training and validation losses of both models fall at the same speed.",
        source="curves",
        measure="epochs ratio, conv-128 / mlp-512",
        rule="The epochs until 90 % of a curve's fall from first to last epoch is done differ by "
        "less than the margin 0.8 to 1.25, for training and for validation loss." + _PAIRED,
        evaluate=rules.same_pace(_MLP_512, _CONV_128),
        shows=exhibits.pace(_MLP_512, _CONV_128),
    ),
    *_deeper("conv", "", "as printed, sigmoid in every layer of its decoder,", "as printed"),
    *_deeper("conv-relu", "-relu", "with ReLU between the layers of its decoder",
             "with ReLU between its layers"),
    Finding(
        id="denoise-0.3",
        claim="The model trained on clean digits removes noise of amplitude 0.3.",
        source="pictures",
        measure="smaller error ratio, noisy or mean image / output",
        rule=_NOISE + "At 0.3 the output's MSE against the clean images is below that of the noisy "
        "images and below that of the mean training image." + _PAIRED,
        minimum=f"{LEAST} seeds",
        evaluate=picture_rules.denoises(_DEEP_64, 0.3, _DENOISERS_BESIDE),
        shows=exhibits.denoising(_DEEP_64, 0.3, _DENOISERS_SHOWN),
    ),
    Finding(
        id="denoise-0.8",
        claim="With noise of amplitude 0.8 this no longer works.",
        source="pictures",
        measure="error ratio, output / mean image",
        rule=_NOISE + "At 0.8 the output's MSE against the clean images is above that of the mean "
        "training image, which is the best answer to an input that nothing can be read from."
        + _PAIRED,
        minimum=f"{LEAST} seeds",
        evaluate=picture_rules.fails_to_denoise(_DEEP_64, 0.8, _DENOISERS_BESIDE),
        shows=exhibits.denoising(_DEEP_64, 0.8, _DENOISERS_SHOWN),
    ),
    Finding(
        id="colour-mlp",
        claim="The MLP applied to red, green and blue in turn keeps shapes and loses colours.",
        source="pictures",
        measure="unexplained share of luma or chroma",
        rule="On CIFAR-10 mlp-shared-512 leaves less than half of the variance of luma within "
        "the images unexplained, and more than half of the variance of chroma (Y, Cb, Cr of "
        "ITU-R BT.601)." + _PAIRED,
        minimum=f"{LEAST} seeds",
        evaluate=picture_rules.shapes_without_colours(_SHARED),
        shows=exhibits.colours(_SHARED),
    ),
    Finding(
        id="colour-mlp-wide",
        claim="One MLP per colour with latent size 8,500 is even blurrier.",
        source="pictures",
        measure="error ratio, or sharpness ratio, separate / shared",
        rule="On CIFAR-10 mlp-separate-8500 has a greater study error than mlp-shared-512 and a "
        "smaller sharpness (energy of the Laplacian of the outputs over that of the originals)."
        + _PAIRED,
        evaluate=picture_rules.blurrier(_SEPARATE, _SHARED),
        shows=exhibits.errors({_SHARED: None, _SEPARATE: None}, lost=True),
    ),
    _printed("colour-conv", _COLOUR_128, "0.21",
             "The convolutional model reconstructs colour photographs (CIFAR-10) well: 0.21."),
    Finding(
        id="colour-harder",
        claim="The same model is worse on colour photographs than on grey digits.",
        source="0.21 against MNIST's 0.042 at latent 128",
        measure="error ratio, CIFAR-10 / MNIST",
        rule="The error of conv-128 on CIFAR-10 is greater than on MNIST." + _PAIRED,
        evaluate=rules.lower(_CONV_128, _COLOUR_128),
        shows=exhibits.errors({_COLOUR_128: 0.21, _CONV_128: 0.042}),
    ),
)  # fmt: skip


def evaluate(results: Results) -> Outcomes:
    """Judge every finding on `results`, in the order of the study."""
    evidence, beside = Evidence.of(ordered(results)), expected.reference()
    found = tuple(finding.said for finding in FINDINGS)
    judged = {finding.id: finding.evaluate(evidence) for finding in found}
    tested = {id: j for id, j in judged.items() if j.verdict is None}
    p_for = holm({id: j.p_for for id, j in tested.items()})
    p_against = holm({id: j.p_against for id, j in tested.items()})

    def outcome(finding: Finding, j: Judgement) -> Outcome:
        verdict, note, needs = j.verdict, j.note, j.needs
        if verdict is None:
            p, against = p_for[finding.id], p_against[finding.id]
            verdict = "replicated" if p <= ALPHA else "undecided"
            if p > ALPHA >= against:
                verdict, p = "not replicated", against
            small = f"p < {numeral(0.001)}"
            text = small if p < 0.001 else f"p = {words.number(p)}"
            note += say("; {p} after Holm's correction", p=text)
            needs = j.decided_by(len(tested)) if verdict == "undecided" else ""
        figures = (j.ours, j.low, j.high, j.n_jobs, j.n_seeds, note)
        made = Outcome(finding, verdict, *figures, j.as_what, needs, tuple(j.values))
        comparison = expected.compare(made.known, beside.get(finding.id))
        return replace(made, expected=comparison, evidence=evidence)

    return Outcomes(outcome(finding, judged[finding.id]) for finding in found)
