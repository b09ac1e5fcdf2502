"""Tensors and what there is to say of them as the bytes of a safetensors file, and back.

The format holds numbers and text: reading one executes nothing, whoever wrote it. Besides the
numbers, the order in which they lie in memory is kept, since libraries choose their kernels, and
so the last bits of a result, by it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_ABOUT = "aebench"  # the one key of the file's metadata: several would have no fixed order
_LAYOUTS = (torch.channels_last, torch.channels_last_3d)


class Unreadable(ValueError):
    """Bytes that are none of ours, or damaged."""


class Misfit(ValueError):
    """Tensors that are not those of a model; the message names the first."""


def encode(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> bytes:
    """The bytes of a file with `tensors` and `about`, which JSON can hold; always the same ones."""
    from safetensors.torch import save

    plain, strides = {}, {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        if value.stride() != _usual(value) and _is_dense(value):
            strides[name] = value.stride()
        plain[name] = value.clone(memory_format=torch.contiguous_format)
    told = {**about, "strides": strides}
    told["sha256"] = _sha256(plain, told)
    content: bytes = save(plain, {_ABOUT: json.dumps(told, sort_keys=True)})
    return content


def decode(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors on the CPU, as they lay in memory, and what was said of them.

    Raises:
        Unreadable: no such file, or its checksum differs.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        plain = load(content)
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_ABOUT])
        strides, known = about["strides"], about.pop("sha256")
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"no file of aebench's ({error})") from error
    if _sha256(plain, about) != known:
        raise Unreadable("its checksum differs")
    del about["strides"]
    return {name: _laid(t, strides.get(name)) for name, t in plain.items()}, about


def _usual(tensor: Tensor) -> tuple[int, ...]:
    return torch.empty(tensor.shape, device="meta").stride()


def _is_dense(tensor: Tensor) -> bool:
    """Whether each number has a place of its own, without gaps, in one of torch's layouts."""
    if tensor.is_contiguous():  # also where a dimension of size 1 has an unusual stride
        return True
    return any(
        tensor.dim() == dim and tensor.is_contiguous(memory_format=layout)
        for dim, layout in zip((4, 5), _LAYOUTS, strict=True)
    )


def _laid(tensor: Tensor, stride: list[int] | None) -> Tensor:
    """A copy of `tensor` in torch's own memory, which is aligned, with these strides."""
    empty = torch.empty_strided(tensor.shape, stride or _usual(tensor), dtype=tensor.dtype)
    return empty.copy_(tensor)


def _sha256(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def of_model(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a model by name, each once, however often the model uses it."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def check_fit(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make sure that `tensors` are what `of_model` gave of a model made like this one.

    Raises:
        Misfit: a name, a shape or a type differs.
    """
    ours = of_model(model)
    for name in sorted(ours.keys() ^ tensors.keys()):
        raise Misfit(f"{name} is in {'the model' if name in ours else 'the file'} alone")
    for name, tensor in ours.items():
        if (tensor.shape, tensor.dtype) != (tensors[name].shape, tensors[name].dtype):
            kept = f"{tensors[name].dtype} {list(tensors[name].shape)}"
            raise Misfit(f"{name} is {tensor.dtype} {list(tensor.shape)}, {kept} in the file")


def put(tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    """Give a model on the CPU its numbers, and their places in memory.

    Raises:
        Misfit: they are not those of such a model.
    """
    check_fit(model, tensors)
    for name, tensor in of_model(model).items():
        tensor.data = tensors[name]
