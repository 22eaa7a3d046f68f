"""Recipe: how a network is trained, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import cos, pi
from typing import Any

from ..errors import HwnasError, did_you_mean
from .options import parse_fields

HOW = {"how": True}  # fields so marked say how a machine runs it, not what is learned: a resumed run may change them


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run. A checkpoint keeps them, and goes on only under the same ones."""

    epochs: int = 10
    batch: int = 256  # images a step
    lr: float = 0.1  # highest learning rate; AdamW wants about 0.002
    optimizer: str = "sgd"  # "sgd" (Nesterov) or "adamw"
    momentum: float = 0.9  # of SGD
    weight_decay: float = 4e-5  # on convolution and linear weights; never on BatchNorm or biases
    label_smoothing: float = 0.1
    warmup: float = 0.05  # share of all steps in which the learning rate rises from 0
    decay: str = ""  # "cosine", "linear", "constant"; "" = as the algorithm's paper has it
    clip: float = 0.0  # largest norm of the gradient; 0 = not clipped
    seed: int = 0  # of order, augmentation, sampled paths
    shift_px: int = 2  # augmentation: random shift in each direction
    mirror: bool | None = None  # augmentation: random mirror image; None = where the data set allows it
    erase_px: int = 0  # augmentation: side of an erased square
    zero_init: bool = False  # sandwich, or retraining from scratch: residual blocks begin as identities, see zero_init
    distill: float = 0.0  # retraining: share of the loss that comes from the supernet's largest network
    ghost: int = 1  # parts of a batch, each with BatchNorm statistics of its own: as that many processes train
    bf16: bool = False  # bfloat16 autocast; slower than float32 on CPUs without AMX
    compile: bool = False  # torch.compile; retraining only, and a minute before its first step
    channels_last: bool = field(default=True, metadata=HOW)  # 1.7 times as fast on CPU
    threads: int = field(default=0, metadata=HOW)  # torch threads; 0 = torch's own choice. Other numbers round differently

    def __post_init__(self) -> None:
        lowest = {"epochs": 1, "batch": 2, "ghost": 1, **dict.fromkeys(("clip", "seed", "shift_px", "erase_px", "threads"), 0)}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise HwnasError(f"recipe.{name}: {getattr(self, name)} is too small, at least {least}")
        for name in ("label_smoothing", "warmup", "distill", "momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise HwnasError(f"recipe.{name}: {getattr(self, name)} is not between 0 and 1")
        if not self.lr > 0 or not self.weight_decay >= 0:
            raise HwnasError(f"recipe: lr {self.lr} must be above 0 and weight_decay {self.weight_decay} not below")
        if self.optimizer not in ("sgd", "adamw"):
            raise did_you_mean("recipe.optimizer", self.optimizer, ("sgd", "adamw"))
        if self.decay not in ("", "cosine", "linear", "constant"):
            raise did_you_mean("recipe.decay", self.decay, ("cosine", "linear", "constant"))

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Recipe:
        """From a table of a file or a command line. Raises HwnasError for an unknown field or a value of another type."""
        return parse_fields(cls, settings, "recipe field")

    def learned(self) -> dict[str, Any]:
        """The settings that decide what is learned: those that must agree before a run goes on."""
        return {k: v for k, v in asdict(self).items() if k not in _HOW}

    def rate(self, step: int, steps: int, decay: str) -> float:
        """The learning rate of a step: a linear rise to lr, then cosine or linear decay to 0."""
        rise = round(self.warmup * steps)
        if step < rise:
            return self.lr * (step + 1) / rise
        left = 1 - (step - rise) / max(1, steps - rise)
        return self.lr * {"cosine": (1 - cos(pi * left)) / 2, "linear": left, "constant": 1.0}[decay]


_HOW = {f.name for f in fields(Recipe) if f.metadata}
