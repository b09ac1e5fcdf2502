"""Strips of what models were given and what they made of it: for a finding, and all of them.

Of each model the seed is shown that is most typical of it. What a finding is about is always
shown. The section of pictures has all that the page holds anyway, and more as long as there is
room; what is left out is told.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import pandas as pd

from aebench.analysis import exhibits, frames, names, ranking, words
from aebench.analysis.evidence import Evidence
from aebench.analysis.frames import by_dataset
from aebench.language import later, numeral, say
from aebench.page.images import BUDGET, Film, Images, difference
from aebench.page.parts import Section, Strip, Strips
from aebench.schema import DENOISING, RECONSTRUCTION, STRANGERS, amplitude_of
from aebench.store import Results


class Album:
    """The samples of some results, out of which findings take what they are about."""

    def __init__(self, results: Results, images: Images) -> None:
        """Whatever is taken is put into `images`."""
        samples = results.samples.dropna(subset=["input_png", "output_png"])
        self._samples = {(row["key"], row["kind"]): row for row in samples.to_dict("records")}
        self._images = images

    def strips(self, asked: exhibits.Pictures, evidence: Evidence) -> Strips | None:
        """Strips of the most typical job of each model `asked` for; None where none left any."""
        _, given, _ = _in_words(asked.kind)
        strips: list[Strip] = []
        shown: bytes | None = None
        for model in asked.models:
            row = self._first(ranking.typical(model.rows(evidence.jobs)), asked.kind)
            if row is None:
                continue
            before = self._film(row["input_png"], row["images"], asked)
            if row["input_png"] != shown:
                shown = row["input_png"]
                clean = self._samples.get((row["key"], RECONSTRUCTION))
                if given == "noisy" and clean and not strips:
                    film = self._film(clean["input_png"], clean["images"], asked)
                    strips.append(Strip(say("clean"), "", film))
                strips.append(Strip(say(given), "", before))
            after = self._film(row["output_png"], row["images"], asked)
            # Of other kinds the error stored is over all images of the strip, not the first few.
            plain = asked.kind == RECONSTRUCTION
            error = say("MSE {mse}", mse=words.number(row["mse_job"])) if plain else ""
            strips.append(Strip(model.label, error, after, model.identity))
            if asked.lost:
                lost = difference(before, after)
                strips.append(Strip(say("what is lost"), say("difference, thrice as bright"), lost))
        if not strips:
            return None
        return Strips("", tuple(strips), say(_FOR_A_FINDING[asked.kind.partition(" ")[0]]))

    def _first(self, jobs: pd.DataFrame, kind: str) -> dict[Hashable, Any] | None:
        """The first sample of this kind among those of `jobs`, with the error of its job."""
        for key, mse in zip(jobs["key"], jobs["mse"], strict=True):
            if row := self._samples.get((key, kind)):
                return {**row, "mse_job": mse}
        return None

    def _film(self, png: bytes, images: int, asked: exhibits.Pictures) -> Film:
        return self._images.film(png, int(images), asked.images)


def section(results: Results, images: Images) -> Section:
    """All strips, by dataset and what was fed in; `images` are those that the page has already."""
    shown, omitted = groups(results, images)
    intro = [
        say(
            "Images and what one seed of each model makes of them, that whose error is nearest to "
            "the mean over its seeds. The errors beside them are that seed's alone; the tables "
            "have the mean."
        )
    ]
    if not shown:
        intro = [say("No finished job left pictures.")]
    if omitted:
        intro.append(
            say(
                "{what} left out to keep this file small.",
                what=words.counted(omitted, "strip"),
            )
        )
    told = say("What models make of test images, of noise and of images that they never saw.")
    return Section("pictures", say("Pictures"), tuple(intro), strips=tuple(shown), message=told)


def groups(results: Results, images: Images) -> tuple[list[Strips], int]:
    """All groups of strips, and the number of strips left out for want of room.

    Reconstructions of test images come first, and so do their claims to the room. What the page
    has already takes none.
    """
    chosen = _chosen(results)
    plain = chosen["kind"] == RECONSTRUCTION
    clean = {dataset: rows.iloc[0] for (dataset,), rows in by_dataset(chosen[plain])}
    made: list[Strips] = []
    omitted = 0
    for (dataset, kind, settings), rows in [
        *by_dataset(chosen[plain], "kind", "settings"),
        *by_dataset(chosen[~plain], "kind", "settings"),
    ]:
        title, given, note = _in_words(kind)
        strips: list[Strip] = []
        before = clean.get(dataset) if given == "noisy" else None
        shown: bytes | None = None
        for _, row in rows.iterrows():
            fresh = row["input_png"] != shown
            needed = [(row, "output_png"), *([(row, "input_png")] if fresh else [])]
            needed += [(before, "input_png")] if before is not None else []
            cost = images.cost(*((of[column], int(of["images"])) for of, column in needed))
            if cost and images.size + cost > BUDGET:
                omitted += 1
                continue
            if before is not None:
                strips.append(_strip(images, before, "input_png", say("clean")))
                before = None
            if fresh:
                strips.append(_strip(images, row, "input_png", say(given)))
            error = row["mse_job"] if kind == RECONSTRUCTION else row["mse"]
            detail = say("MSE {mse}", mse=words.number(error))
            made_by = _strip(images, row, "output_png", words.model_of(row), detail)
            strips.append(replace(made_by, model=names.identity(row)))
            shown = row["input_png"]
        if strips:
            made.append(Strips(words.titled(dataset, settings) + title, tuple(strips), note))
    return made, omitted


_FOR_A_FINDING = later({
    RECONSTRUCTION: "One seed of each model; its MSE is over the whole test set.",
    DENOISING: "One seed of each model. Noisy images are clipped to [0, 1] for display only.",
    STRANGERS: "One seed; scikit-learn's china.jpg and flower.jpg, at this data set's size.",
})  # fmt: skip


def _in_words(kind: str) -> tuple[str, str, str]:
    """What is added to a group's title, what its inputs are called, and how to read it."""
    if kind == RECONSTRUCTION:
        note = say("Each row is made from the originals above it; MSE is over the whole test set.")
        return "", later("original"), note
    amplitude = amplitude_of(kind)
    if amplitude is not None:
        return (
            say(": noise of amplitude {amplitude}", amplitude=numeral(amplitude, "g")),
            later("noisy"),
            say(
                "Each row is made from the noisy images above it, which are clipped to [0, 1] for "
                "display only. MSE is against the clean images, over those shown."
            ),
        )
    if kind == STRANGERS:
        return (
            say(": strangers"),
            later("original"),
            say(
                "scikit-learn's china.jpg and flower.jpg, then test images of other data sets "
                "where they were in the cache, all at this data set's size. MSE is over the "
                "images shown."
            ),
        )
    return f": {kind}", later("original"), say("MSE is over the images shown.")


def _chosen(results: Results) -> pd.DataFrame:
    """Samples with their jobs, only the most typical job of each model."""
    model = ["dataset", "settings", *frames.MODEL]
    good = ranking.typical(results.jobs)
    # This way round the merge keeps the order of the jobs.
    samples = results.samples.dropna(subset=["input_png", "output_png"])
    merged = good[[*model, "key", "mse"]].merge(samples, on="key", suffixes=("_job", ""))
    return merged.drop_duplicates([*model, "kind"])


def _strip(images: Images, row: pd.Series, column: str, caption: str, detail: str = "") -> Strip:
    return Strip(caption, detail, images.film(row[column], int(row["images"])))
