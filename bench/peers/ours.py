"""aebench itself, as a peer: one job through `run_job`, in a process as fresh as the others'.

Their clocks hold the first, slow steps of a process; ours warms up before its clock starts. So
warm-up and compilation are charged here, and the sum is what is compared.
"""

from __future__ import annotations

import os

from aebench.executors.warming import warm_process
from aebench.job import Job
from aebench.records import Circumstances
from aebench.worker import run_job
from bench.peers.task import BATCH_SIZE, LEARNING_RATE, MODELS, answer, read_arguments

ENGINE = "BENCH_PEERS_ENGINE"  # the environment variable that names the engine


def main() -> None:
    task = read_arguments()
    architecture, latent, depth = MODELS[task.model]
    job = Job.create(
        architecture=architecture,
        dataset="mnist",
        latent=latent,
        depth=depth,
        seed=task.seed,
        epochs=task.epochs,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        engine=os.environ.get(ENGINE, "eager"),
        device=task.device,
    )
    warm_process()
    row = run_job(job, Circumstances(device=task.device)).job
    if row["status"] != "ok":
        raise SystemExit(f"{row['status']}: {row['reason']}")
    charged_s = row["train_s"] + row["warmup_s"] + row["compile_s"]
    answer(
        charged_s,
        row["study_error"],
        threads=row["threads"],
        warmup_s=row["warmup_s"] + row["compile_s"],
    )


if __name__ == "__main__":
    main()
