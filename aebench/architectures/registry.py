"""Names, builders, and what is known of a model before it is built.

Importing this costs no torch, so that grids can be planned at once. One module per family
holds the models; a user's own family joins through the `architecture` decorator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aebench import fingerprint
from aebench.architectures import options as optional
from aebench.architectures.options import Option, Value
from aebench.errors import RequestError, printable, unknown

if TYPE_CHECKING:
    from torch import nn

    from aebench.job import Job

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


@dataclass(frozen=True)
class Size:
    """What a model amounts to, per image where not said otherwise.

    `flops` counts one training step's share of one image, 2 per multiply-add: the forward
    pass, the gradient of every weight, and the gradient of every input but the first layer's.
    """

    parameters: int
    bottleneck: int
    flops: int


Builder = Callable[..., "nn.Module"]
Sizer = Callable[..., Size]


@dataclass(frozen=True)
class Architecture:
    """A family: `build(shape, latent, depth, **options)` gives a module with an `encoder`.

    `options` are those of its builder, by name (see `options`). `size` computes without torch what
    `build` would amount to, and raises `RequestError` where no such model exists; a family without
    it is measured when built and planned without sizes. `layers` says what its models are made of,
    where that is known of all of them: ``linear``, ``conv`` (3 x 3, stride 1, no padding),
    ``strided conv``, or ``chain``: any layers that engine ``native`` knows, one after another.
    `version` is what its author calls this state of its code, and `plugin` the module whose import
    registered it. `layers` to `plugin` are empty where nothing is known of them. `carried` stands
    for the code of one that came from another process, where its text is.
    """

    name: str
    about: str
    build: Builder
    size: Sizer | None = None
    layers: str = ""
    version: str = ""
    plugin: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    carried: str = ""

    def values(self, given: str) -> dict[str, Value]:
        """The options of a job as arguments of the builder, without those that are its defaults.

        Raises:
            RequestError: there is no such option, or no such value of it.
        """
        return optional.checked(self.name, self.options, given)

    def sized(self, shape: Shape, latent: int, depth: int, given: str = "") -> Size | None:
        """What the model with these options amounts to; None where `size` says nothing of them.

        Raises:
            RequestError: no such model exists.
        """
        values = self.values(given)
        if self.size is None or not optional.accepts(self.size, values):
            return None
        return self.size(shape, latent, depth, **values)


LAYERS = ("", "linear", "conv", "strided conv", "chain")
_registry: dict[str, Architecture] = {}
_ours: dict[str, tuple[object, object]] = {}  # where aebench's own builders are written
_LONGEST_VERSION = 40
_registering: list[str] = []  # modules of the plugins that are being imported


def architecture(
    name: str, *, size: Sizer | None = None, layers: str = "", version: str = ""
) -> Callable[[Builder], Builder]:
    """Register the decorated ``build(shape, latent, depth) -> nn.Module`` as a family.

    The first line of its docstring describes the family in listings. Further arguments with a
    default are its options, axes of a grid; see `options`. A `size` that does not take one of them
    says nothing of jobs that set it. A job's key covers the code
    of the family (see `code`), so that edited code is run again; with a `version`, that word
    stands for the code, and it is its author who changes it. `layers` is one of `LAYERS`, for plans
    and the choice of an engine.

    Raises:
        RequestError: the name is taken by another function, or is no name; no such version.
    """
    given: object = name  # the function itself, where the decorator is written without a name
    told: object = version
    if not isinstance(told, str) or told != printable(told.strip(), _LONGEST_VERSION):
        raise RequestError(
            f"the version of an architecture is a word of at most {_LONGEST_VERSION} letters, as in"
            f' @architecture("mine", version="2"); {told!r} is none'
        )
    if not isinstance(given, str) or not given or "," in given or given != given.strip():
        raise RequestError(
            f'an architecture needs a name, as in @architecture("mine"); {given!r} is none'
        )

    if layers not in LAYERS:
        raise RequestError(unknown("kind of layers", layers, LAYERS))

    def register(build: Builder) -> Builder:
        taken = _registry.get(name)
        if taken is not None and _home(taken.build) != _home(build):
            raise RequestError(
                f"an architecture named {name!r} exists already; choose another name"
            )
        about = (build.__doc__ or "").strip().partition("\n")[0]
        plugin = being_imported()
        fingerprint.remember_script(build)
        _registry[name] = Architecture(
            name, about, build, size, layers, version, plugin, optional.of(build)
        )
        _codes.pop(name, None)
        return build

    return register


@contextlib.contextmanager
def registering(plugin: str) -> Iterator[None]:
    """Note that what is registered inside comes from the module `plugin`, and hash it as it is."""
    there = dict(_registry)
    _registering.append(plugin)
    try:
        yield
    finally:
        _registering.pop()
    for name, family in _registry.items():
        if family is not there.get(name):
            code(name)


def layers(name: str) -> str:
    """What the models of a family are made of; empty where it does not say or is not registered."""
    return _registry[name].layers if name in _registry else ""


def canonical(name: str, given: object) -> str:
    """The one text of the options `given`, a text or a mapping, for jobs of a family.

    Unchecked where the family is not registered here.

    Raises:
        RequestError: the family has no such option, or no such value of it.
    """
    known = _registry[name].options if name in _registry else None
    return optional.canonical(name, known, given)


def note_ours() -> None:
    """Take every family that is registered so far for one of aebench's own."""
    _ours.update((name, _home(family.build)) for name, family in _registry.items())


def being_imported() -> str:
    """The module of the plugin that is being imported; empty while none is."""
    return _registering[-1] if _registering else ""


def adopt(family: Architecture) -> None:
    """Register a family as another process had it, in place of one of that name."""
    _registry[family.name] = family
    _codes.pop(family.name, None)


def is_ours(name: str) -> bool:
    """Whether a family is one of aebench's own, and not a user's."""
    family = _registry.get(name)
    return family is not None and _ours.get(name) == _home(family.build)


def code(name: str) -> str:
    """What stands for the code of a family in the keys of its jobs.

    Empty for our own, whose code the keys do not cover, and for names that are not registered;
    ``version 2`` where that was declared; else a hash (see `fingerprint`).
    """
    family = _registry.get(name)
    if family is None or is_ours(name):
        return ""
    if name in _codes:
        return _codes[name]
    now = _code(family)
    if family.plugin:  # which stays as it was imported; a notebook's may change at any time
        _codes[name] = now
    return now


def check_code(job: Job) -> None:
    """Make sure that the code registered here is the code that the job's key tells of.

    Raises:
        RequestError: it is another, or there is none.
    """
    family = get(job.architecture)
    now = "" if is_ours(job.architecture) else _code(family)
    if now != job.code:
        raise RequestError(
            f"the code of architecture {job.architecture!r} is not that of this job"
            f" ({now or 'ours'} here, {job.code or 'ours'} there): it was changed after the run"
            " began. Run the same command again; what was trained so far is kept apart"
        )


def _code(family: Architecture) -> str:
    if family.carried:
        return family.carried
    if family.version:
        return f"version {family.version}"
    return fingerprint.of(family.build, [family.plugin] if family.plugin else [])


_codes: dict[str, str] = {}


def _home(build: Builder) -> tuple[object, object]:
    """Where a builder is written: the same again when its module is imported a second time."""
    return (getattr(build, "__module__", None), getattr(build, "__qualname__", build))


def get(name: str) -> Architecture:
    """Find a family by name.

    Raises:
        RequestError: there is none, with the nearest valid name.
    """
    if name not in _registry:
        raise RequestError(unknown("architecture", name, _registry))
    return _registry[name]


def names() -> tuple[str, ...]:
    """All registered families, in the order of their registration."""
    return tuple(_registry)
