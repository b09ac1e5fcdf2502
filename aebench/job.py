"""What one training job is: the frozen `Job`, its content key, and how it departs from a protocol.

Everything that decides a job's numbers is a field here; where and when it runs is not. This
module knows no grid, no file and no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aebench import architectures, datasets, engines, protocols
from aebench.errors import RequestError, unknown


@dataclass(frozen=True)
class Job:
    """One training job. `latent` is a code width (mlp) or a channel count (conv).

    `options` are those of the architecture that are not its defaults, as one text,
    ``activation=gelu width=16``; a mapping may be given. `protocol` names where the training
    settings came from; `epochs` to `clip_gradient` (see `protocols.TrainingSettings`) are what is
    really used, and `modified` tells where they depart from the protocol. `train_noise` is the
    amplitude of Gaussian noise added to the inputs, not the targets, while training. `repeat`
    numbers repetitions of the same job for timing: same seed, same result. `engine_choice` tells
    whether the engine was ``given`` or chosen (``auto: `` and why): no part of what the job is, nor
    of its key. Neither is `settings_from`: which entry of a file, given as protocol, the settings
    are of; empty for those of aebench's own protocols.

    `code` and `pixels` say what the names of an architecture and of a dataset stand for where
    these are not ours: see `architectures.code` and `datasets.pixels`. Nobody gives them; they are
    looked up when the job is made, and empty for what is ours or not known in this process.
    """

    architecture: str
    dataset: str
    latent: int
    depth: int = 1
    seed: int = 0
    protocol: str = "study"
    epochs: int = 15
    batch_size: int = 128
    learning_rate: float = 1e-4
    schedule: str = "constant"
    order: str = "fixed"
    optimizer: str = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    warmup: float = 0.0
    clip_gradient: float = 0.0
    train_noise: float = 0.0
    engine: str = "eager"
    precision: str = "fp32"
    device: str = "cpu"
    repeat: int = 0
    options: str = ""
    code: str = ""
    pixels: str = ""
    engine_choice: str = dataclasses.field(default="given", compare=False)
    settings_from: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse what can be no job, whoever builds it.

        Raises:
            RequestError: a count out of its range, or a name that is not known here.
        """
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, checked(f.name, getattr(self, f.name)))
        options = architectures.canonical(self.architecture, self.options)
        object.__setattr__(self, "options", options)
        if not self.code:
            object.__setattr__(self, "code", architectures.code(self.architecture))
        if not self.pixels:
            object.__setattr__(self, "pixels", datasets.pixels(self.dataset))
        why = engines.unsupported(self.engine, self.device, self.precision)
        why = why or protocols.contradiction(self)
        if why := why or engines.untaught(self.engine, protocols.plain(self)):
            raise RequestError(why)

    @classmethod
    def create(cls, protocol: str = "study", **fields: Any) -> Job:
        """Build a job whose training settings are those of `protocol` unless given."""
        if protocol == "study":
            return cls(protocol=protocol, **(dataclasses.asdict(protocols.STUDY) | fields))
        for name in ("latent", "depth"):  # what is closest to them is a matter of logarithms
            checked(name, fields.get(name, 1))
        architecture = str(fields.get("architecture"))
        options = architectures.canonical(architecture, fields.get("options", ""))
        model = (str(fields.get("dataset")), fields.get("latent", 1), fields.get("depth", 1))
        named = protocols.settings(protocol, architecture, *model, options)
        return cls(protocol=protocol, **(dataclasses.asdict(named) | fields))

    def again(self, seed: int, repeat: int) -> Job:
        """The same job with another seed and repeat, in a fraction of the time of a new one.

        Raises:
            RequestError: one of them is out of its range.
        """
        twin = object.__new__(Job)
        # Nothing else that a job is checked for depends on the two.
        counts = {"seed": checked("seed", seed), "repeat": checked("repeat", repeat)}
        fields = self.__dict__ | counts
        fields.pop("key", None)
        twin.__dict__.update(fields)
        return twin

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that name the job's content.

        Only fields that differ from their default are hashed, so a field added later, with
        today's behaviour as its default, leaves every stored key valid.
        """
        return self.key_by(self.engine)

    def key_by(self, engine: str) -> str:
        """The key of the very same job by that engine, whether it can run it or not."""
        values = {f.name: getattr(self, f.name) for f in _CONTENT} | {"engine": engine}
        content = {
            f.name: values[f.name]
            for f in _CONTENT
            if f.default is dataclasses.MISSING or values[f.name] != f.default
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def modified(self) -> str:
        """How the training settings depart from the named protocol; empty where they do not."""
        named = dataclasses.asdict(protocols.settings(self.protocol, *self.model))
        named["train_noise"] = 0.0
        return ", ".join(
            f"{name}={getattr(self, name)}"
            for name, value in named.items()
            if getattr(self, name) != value
        )

    @property
    def model(self) -> tuple[str, str, int, int, str]:
        """Architecture, dataset, latent, depth and options: what a protocol's entry is for."""
        return self.architecture, self.dataset, self.latent, self.depth, self.options

    @property
    def common_key(self) -> str:
        """What every machine calls this job, whatever engine `auto` means there."""
        return self.key_by(Job.engine) if self.by_auto else self.key

    @property
    def by_auto(self) -> bool:
        """Whether ``--engine auto`` chose the engine."""
        return self.engine_choice.startswith("auto")

    @property
    def name(self) -> str:
        """Short name for people: ``mnist mlp-512``, ``mnist conv-16 depth 2 seed 1 reference``."""
        return self.name_by(self.engine)

    def name_by(self, engine: str) -> str:
        """The name of the very same job by that engine; of eager, which is the default, no word."""
        parts = [f"{self.dataset} {self.architecture}-{self.latent}"]
        parts += [f"depth {self.depth}"] if self.depth > 1 else []
        parts += [f"({self.options})"] if self.options else []
        parts += [self.protocol] if self.protocol != "study" else []
        parts += [f"noise {self.train_noise:g}"] if self.train_noise else []
        parts += [f"seed {self.seed}"] if self.seed else []
        parts += [f"repeat {self.repeat}"] if self.repeat else []
        parts += [engine] if engine != Job.engine else []
        parts += [self.precision] if self.precision != "fp32" else []
        parts += [named(self.code)] if self.code else []
        parts += [f"pixels {self.pixels[:6]}"] if self.pixels else []
        return " ".join(parts)


def checked(name: str, value: Any) -> Any:
    """`value` as a job keeps it in its field `name`.

    Raises:
        RequestError: it is out of its range, or a name that is not known here.
    """
    if name in LEAST:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < LEAST[name]:
            raise RequestError(
                f"{name} must be a whole number of at least {LEAST[name]}, not {shown(value)}"
            )
        if value > MOST[name]:
            raise RequestError(f"{name} must be at most {MOST[name]}, not {shown(value)}")
    elif name in FRACTIONS:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        zero, most = FRACTIONS[name]
        if not number or not 0 <= value <= most or (value == 0 and not zero):
            wanted = "number from 0" if zero else "positive number"
            wanted += f" to {most:g}" * (most <= 1)
            raise RequestError(f"{name} must be a {wanted}, not {shown(value)}")
        # 1 and 1.0 are the same job, and JSON would write them, and so the key, differently.
        return float(value)
    elif name == "engine_choice":
        if not isinstance(value, str) or not value.startswith(("given", "auto")):
            raise RequestError(f"{name} begins with given or auto, and is not {shown(value)}")
    elif name in ("architecture", "dataset"):
        if not isinstance(value, str) or not value:
            raise RequestError(f"{name} must be a name, not {shown(value)}")
    elif name in NAMES and value not in NAMES[name]:
        raise RequestError(unknown(name, value, NAMES[name]))
    return value


def named(code: str) -> str:
    """A job's `code` for people: ``code 3fa2c1``, or the version that its author declared."""
    return code if code.startswith("version ") else f"code {code[:6]}"


def shown(value: object) -> str:
    """A wrong value as a message repeats it: whole numbers of any length, and texts, cut short."""
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to write very long ones
        return f"{'-' * (value < 0)}1e{round(math.log10(abs(value)))} or so"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Smallest and largest value of each whole number. The columns of a table hold 63 bits, as do the
# seeds that torch takes; a thousand layers or a million epochs are a slip, which a plan of them
# would take hours to count.
LEAST = {"latent": 1, "depth": 1, "seed": 0, "epochs": 1, "batch_size": 1, "repeat": 0}
MOST = dict.fromkeys(LEAST, 2**63 - 1) | {"depth": 1_000, "epochs": 1_000_000}
# Of every other number whether it may be 0, and its largest value.
FRACTIONS = {
    "learning_rate": (False, sys.float_info.max),
    "train_noise": (True, sys.float_info.max),
    "momentum": (True, 1.0),
    "weight_decay": (True, sys.float_info.max),
    "warmup": (True, 1.0),
    "clip_gradient": (True, sys.float_info.max),
}
NAMES = {
    "protocol": protocols.NAMES,
    "schedule": protocols.SCHEDULES,
    "order": protocols.ORDERS,
    "optimizer": protocols.OPTIMIZERS,
    "engine": engines.ENGINES,
    "precision": engines.PRECISIONS,
    "device": engines.DEVICES,
}
"""What the fields that hold a name of aebench's own may hold."""
_CONTENT = tuple(f for f in dataclasses.fields(Job) if f.compare)
FIELDS = tuple(f.name for f in _CONTENT)
"""Everything that a job's key covers."""
OPTIONS = tuple(name for name in FIELDS if name not in ("code", "pixels"))
"""What of that people choose: the axes of a grid."""
