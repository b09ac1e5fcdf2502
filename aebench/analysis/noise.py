"""What models make of noise and of strangers, over seeds; the page draws it."""

from __future__ import annotations

import pandas as pd

from aebench.analysis import frames, names
from aebench.analysis.statistics import interval
from aebench.store import Results

TRAINED = ["dataset", "base", "train_noise", *frames.MODEL]
_GIVEN = ["kind", "input", "amplitude"]
_BARS = ["input_mse", "clipped_mse", "mean_mse", "flat_mse"]


def summary(results: Results) -> pd.DataFrame:
    """One row for each model, training noise and input: `mse` over seeds, and what it is beside.

    `base` is the settings without the training noise, which is a column of its own, so that
    models trained with and without come together. `pca_denoised` is what PCA of the job's
    bottleneck is expected to reach: its own test error, and the share of the noise that falls
    into its components, amplitude^2 x bottleneck / input_size, since it is an orthogonal
    projection and the noise is independent of the image and alike in all directions.
    """
    jobs = frames.done(results.jobs)
    jobs = jobs.assign(
        train_noise=jobs["train_noise"].astype("float64").fillna(0.0),
        base=names.settings(jobs, without="train_noise"),
    )
    probes = frames.probed(jobs, results.probes, "base", "train_noise", "settings")
    share = (probes["bottleneck"] / probes["input_size"]).astype("float64")
    pca = probes["pca_mse"].astype("float64") + probes["amplitude"] ** 2 * share
    probes = probes.assign(pca_denoised=pca.where(share < 1)).astype(
        dict.fromkeys(_BARS, "float64")
    )
    by = [*TRAINED, *_GIVEN]
    # All groups at once where pandas can: there are as many as models times inputs.
    groups = probes.groupby(by, sort=False, dropna=False)
    medians, settings = groups[["pca_denoised", *_BARS]].median(), groups["settings"].first()
    seeds = probes.groupby([*by, "seed"], sort=False, dropna=False)[["mse", "mse_job"]].median()
    rows = []
    for _, group in seeds.groupby(by, sort=False, dropna=False):
        errors = interval(group["mse"].dropna().to_list())
        rows.append((errors.n, errors.centre, frames.mean(group["mse_job"])))
    over_seeds = pd.DataFrame(rows, medians.index, ["n_seeds", "mse", "mse_job"])
    return pd.concat([settings, over_seeds, medians], axis="columns").reset_index()
