"""The one module class behind every built-in family, and what can be measured on any model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aebench import architectures
from aebench.architectures import Shape, Size
from aebench.job import Job


class Autoencoder(nn.Module):
    """An encoder followed by a decoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct `images`, [N, C, H, W]."""
        reconstruction: Tensor = self.decoder(self.encoder(images))
        return reconstruction


class PerChannel(nn.Module):
    """Applies module i to channel i and stacks the results; a module given twice is shared.

    [N, C, ...] goes in, and each module sees its channel flattened. Of planes, [N, 1, H, W]
    each, it makes [N, C, H, W]; of codes, [N, k] each, [N, C, k].
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.channels = nn.ModuleList(modules)

    def forward(self, images: Tensor) -> Tensor:
        """Apply each module to its channel."""
        parts = [
            module(part.flatten(1))
            for module, part in zip(self.channels, images.split(1, dim=1), strict=True)
        ]
        return torch.cat([p if p.dim() > 2 else p.unsqueeze(1) for p in parts], dim=1)


class Built(NamedTuple):
    """A model on the CPU with its initial weights, and its measured size."""

    model: nn.Module
    size: Size


def build(job: Job, shape: Shape) -> Built:
    """Build the job's model with initial weights drawn on the CPU from the job's seed.

    They are what ``torch.manual_seed(seed)`` and then the constructor give, so that anybody gets
    the same model in two lines. It matters: with one channel, about half of all draws end two
    to three times as far off as the others (`conv-1`, the study's 3.53).

    Raises:
        RequestError: the family has no such model for images of this shape.
        ValueError: a family's model does not keep the contract; the message says where.
    """
    family = architectures.get(job.architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = family.build(shape, job.latent, job.depth)
    return Built(model, measure(model, shape, job.architecture))


def measure(model: nn.Module, shape: Shape, name: str = "model") -> Size:
    """Parameters, bottleneck and training FLOPs per image, by running the model on one image.

    Raises:
        ValueError: no `encoder`, or the output is no tensor of the input's shape.
    """
    if not isinstance(getattr(model, "encoder", None), nn.Module):
        raise ValueError(
            f"{name}: the model needs an `encoder` module, so that its code can be measured"
        )
    twin = copy.deepcopy(model).eval()  # measuring must leave no trace, not even in running means
    image = torch.full((1, *shape), 0.5)
    code = twin.get_submodule("encoder")(image)
    codes = code if isinstance(code, tuple | list) else [code]
    counter = FlopCounterMode(display=False)
    with counter:
        output = twin(image)
        if not isinstance(output, Tensor):
            raise ValueError(
                f"{name}: the model gave a {type(output).__name__}; `forward` must return the"
                " reconstruction and nothing else"
            )
        if output.shape != image.shape:
            raise ValueError(
                f"{name}: {list(image.shape)} went in and {list(output.shape)} came out;"
                " an autoencoder's output has the shape of its input"
            )
        torch.nn.functional.mse_loss(output, image).backward()
    return Size(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        bottleneck=sum(c.numel() for c in codes),
        flops=counter.get_total_flops(),
    )
