"""JAX: one jitted epoch, `lax.scan` over batches that lie on the device, optax's Adam.

Weights are those of `plain`, brought into JAX's layout (channels last). Compilation is charged,
as aebench is charged its own. JAX takes every core that it is given.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault(
    "JAX_PLATFORMS", "cpu" if os.environ.get("CUDA_VISIBLE_DEVICES") == "" else ""
)

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from torch import nn

from bench.peers.plain import build, images
from bench.peers.task import BATCH_SIZE, LEARNING_RATE, answer, read_arguments

Weights = list[dict[str, Any]]
Model = Callable[[Weights, jax.Array], jax.Array]
ACTIVATIONS = {nn.Sigmoid: jax.nn.sigmoid, nn.ReLU: jax.nn.relu}


def translated(model: nn.Sequential) -> tuple[Model, Weights]:
    """What `model` computes, of images [N, 28, 28, 1], and its weights.

    Raises:
        TypeError: it has a layer of another kind.
    """
    layers: list[Callable[[dict[str, Any], jax.Array], jax.Array]] = []
    weights: Weights = []
    planes = 0  # channels that the numbers of a flat layer came from, channels first in torch
    for layer in (part for part in model.modules() if not list(part.children())):
        own: dict[str, Any] = {}
        if isinstance(layer, nn.Linear):
            weight = layer.weight.detach().numpy()
            if planes:
                weight = weight.reshape(len(weight), planes, -1).transpose(0, 2, 1)
            own = {"w": weight.reshape(len(weight), -1).T, "b": layer.bias.detach().numpy()}
            layers.append(lambda own, x: x @ own["w"] + own["b"])
            planes = 0
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layers.append(_convolution(layer))
            own = {"w": _kernel(layer), "b": layer.bias.detach().numpy()}
        elif isinstance(layer, nn.Flatten):
            planes = next((w["b"].size for w in reversed(weights) if w), 1)
            layers.append(lambda _, x: x.reshape(len(x), -1))
        elif isinstance(layer, nn.Unflatten):
            channels, height, width = layer.unflattened_size
            before = next(w for w in reversed(weights) if w)
            for name, axis in (("w", 1), ("b", 0)):  # its numbers come channels last from now on
                shape = before[name].shape[:axis]
                parts = before[name].reshape(*shape, channels, height * width)
                before[name] = np.moveaxis(parts, axis, -1).reshape(*shape, -1)
            shape = (height, width, channels)
            layers.append(lambda _, x, shape=shape: x.reshape(len(x), *shape))
        elif type(layer) in ACTIVATIONS:
            activation = ACTIVATIONS[type(layer)]
            layers.append(lambda _, x, activation=activation: activation(x))
        else:
            raise TypeError(f"no translation of {type(layer).__name__}")
        weights.append(own)

    def forward(weights: Weights, x: jax.Array) -> jax.Array:
        for layer, own in zip(layers, weights, strict=True):
            x = layer(own, x)
        return x

    return forward, [{name: jnp.asarray(value) for name, value in own.items()} for own in weights]


def _kernel(layer: nn.Conv2d | nn.ConvTranspose2d) -> np.ndarray:
    """[height, width, inputs, outputs] of a convolution that does what `layer` does."""
    weight = layer.weight.detach().numpy()
    if isinstance(layer, nn.Conv2d):
        return weight.transpose(2, 3, 1, 0)
    return weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)


def _convolution(layer: nn.Conv2d | nn.ConvTranspose2d) -> Callable[..., jax.Array]:
    padding = [(p, p) for p in layer.padding]
    strides, dilation = layer.stride, (1, 1)
    if isinstance(layer, nn.ConvTranspose2d):
        strides, dilation = (1, 1), layer.stride
        sides = zip(layer.kernel_size, layer.padding, layer.output_padding, strict=True)
        padding = [(k - 1 - p, k - 1 - p + more) for k, p, more in sides]

    def convolve(own: dict[str, Any], x: jax.Array) -> jax.Array:
        return (
            lax.conv_general_dilated(
                x, own["w"], strides, padding, dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            + own["b"]
        )

    return convolve


def epoch_of(forward: Model, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    """A function that trains one epoch: state, then uint8 batches [steps, N, 28, 28, 1]."""

    def loss_of(weights: Weights, batch: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(forward(weights, batch) - batch))

    def step(state: tuple[Weights, Any], pixels: jax.Array) -> tuple[tuple[Weights, Any], Any]:
        weights, moments = state
        loss, gradients = jax.value_and_grad(loss_of)(weights, pixels.astype(jnp.float32) / 255)
        updates, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(weights, updates), moments), loss

    return lambda state, batches: lax.scan(step, state, batches)


def main() -> None:
    task = read_arguments()
    train, test = (jax.device_put(batches(pixels)) for pixels in images(task))
    forward, weights = translated(build(task.model, task.seed))
    optimizer = optax.adam(LEARNING_RATE)
    state = (weights, optimizer.init(weights))
    began = time.perf_counter()
    epoch = jax.jit(epoch_of(forward, optimizer), donate_argnums=0).lower(state, train).compile()
    compile_s = time.perf_counter() - began
    for _ in range(task.epochs):
        state, losses = epoch(state, train)
    losses.block_until_ready()
    train_s = time.perf_counter() - began
    answer(
        train_s,
        study_error(forward, state[0], test),
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "",
        compile_s=compile_s,
        version=jax.__version__,
    )


def batches(pixels: np.ndarray) -> np.ndarray:
    """uint8 [steps, BATCH_SIZE, 28, 28, 1] of [N, 28, 28], full batches only."""
    steps = len(pixels) // BATCH_SIZE
    return pixels[: steps * BATCH_SIZE].reshape(steps, BATCH_SIZE, 28, 28, 1)


def study_error(forward: Model, weights: Weights, test: jax.Array) -> float:
    """Sum over the batches of the batch's mean squared error."""
    apply = jax.jit(forward)
    total = 0.0
    for pixels in test:
        x = pixels.astype(jnp.float32) / 255
        total += float(np.square(np.asarray(apply(weights, x) - x), dtype=np.float64).mean())
    return total


if __name__ == "__main__":
    main()
