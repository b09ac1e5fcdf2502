"""An autoencoder made of another library's modules: the residual blocks of torchvision.

    aebench run --plugin resnet.py --architecture resnet --dataset mnist --latent 32 --depth 2 \
        --learning-rate 1e-3 --warmup 0.1 --schedule cosine --clip-gradient 1 --epochs 3

Whatever is a torch module will do; nothing of it need be known to aebench but an `encoder`.
K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition (CVPR 2016).
"""

from itertools import pairwise

from torch import nn
from torchvision.models.resnet import BasicBlock

import aebench
from aebench.architectures.autoencoder import Autoencoder
from aebench.errors import RequestError


def shrinking(inputs, outputs):
    """A residual block that halves height and width."""
    change = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride=2, downsample=change)


def growing(inputs, outputs, size):
    """Twice the size and other channels, then a residual block."""
    return nn.Sequential(
        nn.Upsample(size), nn.Conv2d(inputs, outputs, 1), BasicBlock(outputs, outputs)
    )


@aebench.architecture("resnet")
def build(shape, latent, depth, *, width=16):
    """Residual blocks, each of which halves the image, to a code of latent numbers, and back."""
    colours, *size = shape
    sizes = [[-(-side // 2**i) for side in size] for i in range(depth + 1)]
    if min(size) < 2**depth:
        raise RequestError(f"resnet of depth {depth} would leave nothing of {size[0]} x {size[1]}")
    channels = [width * 2**i for i in range(depth + 1)]
    smallest = (channels[-1], *sizes[-1])
    flat = smallest[0] * smallest[1] * smallest[2]
    down = [shrinking(a, b) for a, b in pairwise(channels)]
    up = [growing(channels[i + 1], channels[i], sizes[i]) for i in reversed(range(depth))]
    encoder = nn.Sequential(
        nn.Conv2d(colours, width, 3, padding=1), *down, nn.Flatten(), nn.Linear(flat, latent)
    )
    last = (nn.Conv2d(width, colours, 3, padding=1), nn.Sigmoid())
    return Autoencoder(
        encoder, nn.Sequential(nn.Linear(latent, flat), nn.Unflatten(1, smallest), *up, *last)
    )
