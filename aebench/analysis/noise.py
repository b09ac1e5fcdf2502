"""What models make of noise and of strangers, over seeds; the page draws it."""

from __future__ import annotations

import pandas as pd

from aebench.analysis import frames
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
        base=frames.settings(jobs, without="train_noise"),
    )
    probes = frames.probed(jobs, results.probes, "base", "train_noise", "settings")
    by = [*TRAINED, *_GIVEN]
    rows = []
    for identity, group in probes.groupby(by, sort=False, dropna=False):
        errors = interval(frames.per_seed(group, "mse").to_list())
        share = (group["bottleneck"] / group["input_size"]).astype("float64")
        pca = group["pca_mse"].astype("float64") + group["amplitude"] ** 2 * share
        rows.append(
            dict(zip(by, identity, strict=True))
            | {"settings": group["settings"].iloc[0], "n_seeds": errors.n, "mse": errors.centre}
            | {"mse_job": frames.mean(frames.per_seed(group, "mse_job"))}
            | {"pca_denoised": pca[share < 1].median()}
            | {bar: group[bar].astype("float64").median() for bar in _BARS}
        )
    figures = ["n_seeds", "mse", "mse_job", "pca_denoised"]
    return pd.DataFrame(rows, columns=[*by, "settings", *figures, *_BARS])
