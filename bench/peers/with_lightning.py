"""PyTorch Lightning: the models and loaders of `plain`, a LightningModule and a Trainer.

Logger, checkpoints and progress bar are off, which is to its advantage. The clock runs from
Lightning's `on_train_start` to its `on_train_end`.
"""

from __future__ import annotations

import logging
import time

import lightning
import torch
from torch import nn

from bench.peers.plain import build, loaders, study_error
from bench.peers.task import LEARNING_RATE, answer, read_arguments


class Autoencoder(lightning.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.criterion = nn.MSELoss()

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        image, _ = batch
        return self.criterion(self.model(image), image)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)


class Clock(lightning.Callback):
    def on_train_start(self, *_: object) -> None:
        self.began = time.perf_counter()

    def on_train_end(self, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.train_s = time.perf_counter() - self.began


def main() -> None:
    task = read_arguments()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    train, test = loaders(task)
    model = build(task.model, task.seed)
    clock = Clock()
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator=task.device,
        devices=1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Autoencoder(model), train)
    answer(
        clock.train_s,
        study_error(model, test, torch.device(task.device)),
        threads=torch.get_num_threads(),
        version=lightning.__version__,
    )


if __name__ == "__main__":
    main()
