"""Pictures for the report: a strip of test images and the strip the model makes of it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from aebench import schema
from aebench.evaluation.errors import reconstruct

IMAGES = 10  # a strip that fits across a page; always the first of the test set


def strips(model: nn.Module, test: Tensor, device: torch.device) -> list[dict[str, Any]]:
    """Rows of the `samples` table, without their key, for `test`, uint8 [N, C, H, W]."""
    inputs = test[:IMAGES].to(device, torch.float32).div_(255)
    outputs = reconstruct(model, inputs)
    return [
        {
            "kind": schema.RECONSTRUCTION,
            "images": len(inputs),
            "input_png": png(inputs),
            "output_png": png(outputs),
            "mse": float((outputs - inputs).double().square().mean()),
        }
    ]


def png(images: Tensor) -> bytes:
    """One PNG with `images`, float [N, C, H, W], clipped to [0, 1], side by side.

    One channel is grey, three are red, green and blue; of any other number the mean is shown.
    """
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
    strip = torch.cat(list(images.cpu().clamp(0, 1)), dim=2).permute(1, 2, 0)
    pixels = (strip * 255).round().to(torch.uint8).numpy()
    picture = Image.fromarray(np.squeeze(pixels, axis=2) if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
