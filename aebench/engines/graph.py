"""Dozens of training steps captured in one CUDA graph, replayed without a word from the host.

A small model's step takes less time on the device than the host needs to ask for it; a replay
asks once for many steps. All that differs from step to step lies on the device: the images, the
order of the epoch, the learning rates, and a counter that the graph itself advances. Weights and
optimizer are reset in place, so one graph serves every job of its shape.

The steps themselves run anywhere; only `_Program.capture` needs CUDA. Where capturing fails the
job is run by `eager`, and its record says so in `engine_note`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from aebench.engines import eager, resident
from aebench.engines.training import WARMUP_STEPS, Engine, Setup, Work, unit

STEPS_PER_GRAPH = 39  # divides the epochs of MNIST (429) and CIFAR-10 (351) without remainder


class _Program:
    """A resident model, its buffers, and the graphs captured over them.

    `step` counts the steps of the epoch; `order` [steps, batch] and `rates` [steps] are read at
    that place. `noise` [steps per graph, batch, C, H, W] is filled anew before every replay.
    """

    def __init__(self, setup: Setup, steps_per_graph: int) -> None:
        job, device, steps = setup.job, setup.device, setup.steps_per_epoch
        self.layout = setup.layout
        self.inputs = partial(setup.inputs, generator=None)
        self.model = resident.twin(setup).train()
        self.loss_of = setup.loss_of(self.model)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.rate = torch.zeros((), device=device)
        self.optimizer = torch.optim.Adam(
            self.parameters, lr=self.rate, fused=True, capturable=True
        )
        self.images = torch.empty_like(setup.images, device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)
        self.order = torch.zeros(steps, job.batch_size, dtype=torch.int64, device=device)
        self.rates = torch.zeros(steps, device=device)
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self.most = min(steps, steps_per_graph)
        shape = (self.most, job.batch_size, *setup.images.shape[1:])
        self.noise = torch.zeros(shape, device=device) if job.train_noise else None
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    @property
    def counts(self) -> list[int]:
        """How many steps each replay of an epoch takes."""
        steps = len(self.order)
        whole, rest = divmod(steps, self.most)
        return [self.most] * whole + [rest] * (rest > 0)

    def steps(self, count: int) -> None:
        """Take `count` steps; nothing here waits for the device or depends on the host."""
        for i in range(count):
            places = self.order.index_select(0, self.step).view(-1)
            batch = self.images.index_select(0, places)
            images = unit(batch).contiguous(memory_format=self.layout)
            self.rate.copy_(self.rates.index_select(0, self.step).view(()))
            inputs = self.inputs(images) if self.noise is None else images + self.noise[i]
            loss = self.loss_of(inputs, images)
            # Not `backward`: it would accumulate on the stream on which it was first called.
            gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient
            self.optimizer.step()
            self.total += loss.detach()
            self.step += 1

    def capture(self) -> None:
        """Capture a graph for every count of steps that an epoch needs. Needs CUDA.

        Leaves weights and optimizer changed: `resident.start` comes after it.
        """
        device = self.step.device
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):  # libraries set themselves up before capture
            for _ in range(WARMUP_STEPS):
                self.step.zero_()
                self.steps(1)
        torch.cuda.current_stream(device).wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        pool = torch.cuda.graph_pool_handle()  # the graphs never run at the same time
        for count in dict.fromkeys(self.counts):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                self.steps(count)
            self.graphs[count] = graph

    def epoch(self, setup: Setup, epoch: int, replays: int | None) -> None:
        """Take the steps of one epoch, or of its first `replays` replays; losses go to `total`."""
        steps, size = self.order.shape
        order = setup.order(epoch)
        order = torch.arange(len(self.images)) if order is None else order
        self.order.copy_(order[: steps * size].view(steps, size))
        self.rates.copy_(torch.tensor(setup.rates[epoch * steps : (epoch + 1) * steps]))
        self.step.zero_()
        self.total.zero_()
        generator, amplitude = setup.noise(epoch), setup.job.train_noise
        for count in self.counts[:replays]:
            if self.noise is not None:
                shape = self.noise.shape[1:]
                drawn = [torch.randn(shape, generator=generator) for _ in range(count)]
                self.noise[:count].copy_(amplitude * torch.stack(drawn))
            if count in self.graphs:
                self.graphs[count].replay()
            else:
                self.steps(count)


_programs: resident.Shelf[_Program] = resident.Shelf(most=8)  # a captured conv holds gigabytes


class Graph(Engine):
    """Without `capture` the steps run one by one, on any device."""

    program: _Program | None = None
    fallback: Engine | None = None
    note = ""

    def __init__(
        self, setup: Setup, *, capture: bool = True, steps_per_graph: int = STEPS_PER_GRAPH
    ) -> None:
        super().__init__(setup)
        self.capture, self.steps_per_graph = capture, steps_per_graph
        self.key = (*resident.shape_of(setup), len(setup.images), capture, steps_per_graph)

    def work(self) -> Work:
        done = self.fallback.work() if self.fallback else super().work()
        return replace(done, note=self.note)

    def load(self) -> None:
        """Bring the whole split to the device, to where the graph reads it."""
        self.program = _programs.get(self.key, lambda: _Program(self.setup, self.steps_per_graph))
        self.program.images.copy_(self.setup.images)
        self.optimizer = self.program.optimizer

    def compile(self) -> None:
        """Capture the steps, unless a job of this shape has done so; see `engine_note`."""
        assert self.program is not None, "load() comes first"
        if self.capture and not self.program.graphs:
            try:
                self.program.capture()
            except Exception as error:  # torch has no class of its own for a failed capture
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                self.note = f"capture failed: {reason}; ran as eager"
                self.program = None
                _programs.drop(self.key)
                self.fallback = eager.create(self.setup)
                self.fallback.load()
                self.optimizer = self.fallback.optimizer
                return
        resident.start(self.setup.model, self.program.model, self.program.optimizer)

    def warm_up(self) -> None:
        """Replay once, then put weights and optimizer back."""
        if self.fallback:
            self.fallback.warm_up()
            return
        assert self.program is not None, "load() comes first"
        self.program.epoch(self.setup, 0, replays=1)
        resident.start(self.setup.model, self.program.model, self.program.optimizer)

    def _train(self, epoch: int, steps: int) -> Tensor | float:
        if self.fallback:
            return self.fallback._train(epoch, steps)
        assert self.program is not None, "load() comes first"
        self.program.epoch(self.setup, epoch, replays=None)
        resident.copy_weights(self.program.model, self.setup.model)
        return self.program.total


create = Graph
