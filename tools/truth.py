"""The small space whose every architecture's true score is known: shared by make_truth.py and bench_algorithms.py.

Six layers, three blocks each: 729 architectures of at most a few thousand parameters for the 8 x 8 digits that ship with
scikit-learn. A score is the accuracy of a network trained alone, on a split that it was not trained on; the truth is its mean
over seeds, and the seeds' spread is the noise that no search can see through.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.block import Block
from hwnas.data import Dataset
from hwnas.data.digits import digits
from hwnas.gene import Gene
from hwnas.slot import Slot
from hwnas.space import Space
from hwnas.train import Recipe

LAYERS, OPTIONS = 6, ("skip", "e1k3", "e3k5")
WIDTH, FEW = 8, 240  # channels; training images: so few that architectures differ
RECIPE = Recipe(epochs=9, batch=40, lr=0.1, label_smoothing=0.0, shift_px=0, warmup=0.1, threads=1)
TRUTH = Path(__file__).parent.parent / "tests" / "data" / "truth-digits-729.json"


def truth_space() -> Space:
    """Stem, six layers (skip, or inverted residuals of two sizes; one layer halves the image), head."""

    def layer(name: str, size: int, stride: int) -> Block:
        if name == "skip":
            return Block("skip", WIDTH, WIDTH, size, size, stride)
        return Block("mbconv", WIDTH, WIDTH, size, size, stride, int(name[3]), int(name[1]), act="relu")

    slots, size = [Slot.of("stem", "x", "n0", {}, lambda: Block("stem", 1, WIDTH, 8, 8, 2, 3, act="relu"))], 4
    for i in range(LAYERS):
        stride = 2 if i == 3 else 1

        def block(name: str, size: int = size, stride: int = stride) -> Block:
            return layer(name, size, stride)

        slots.append(Slot.of(f"layer{i}", f"n{i}", f"n{i + 1}", {"name": Gene.one(f"op{i}", OPTIONS)}, block))
        size = -(-size // stride)
    slots.append(Slot.of("head", f"n{LAYERS}", "y", {}, lambda: Block("head", WIDTH, 10, size, size)))
    return Space("truth", tuple(slots), "y")


def truth_data() -> Dataset:
    """The digits, with only a few hundred training images; the search-validation split is what scores are made on."""
    whole = digits(None, 0)
    few = np.sort(np.random.default_rng(0).permutation(len(whole.train))[:FEW])
    rest = np.setdiff1d(np.arange(len(whole.train)), few)
    more = whole.train.take(rest)  # not trained on: scores get finer with them
    import torch

    from hwnas.data import Split

    valid = Split(torch.cat([whole.valid.images, more.images]), torch.cat([whole.valid.labels, more.labels]))
    return Dataset("digits-240", whole.classes, whole.train.take(few), valid, whole.test_at_the_end, mirror=False)


def all_codes() -> np.ndarray:
    """(729, 6) every code, the last gene fastest: row = base-3 number of the code."""
    return np.array(list(np.ndindex((len(OPTIONS),) * LAYERS)))


@dataclass(frozen=True)
class Truth:
    """scores (729, seeds) of networks trained alone."""

    scores: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """(729,) the truth: the mean over seeds."""
        return np.asarray(self.scores.mean(1))

    @property
    def seed_std(self) -> float:
        """One seed's standard deviation, pooled over architectures."""
        return float(np.sqrt(self.scores.var(1, ddof=1).mean()))

    @classmethod
    def load(cls, path: Path = TRUTH) -> Truth:
        """Raises SystemExit with the command that makes it when it is not complete."""
        scores = json.loads(path.read_text())["scores"] if path.exists() else {}
        each = [[v for v in scores.get(str(i), [])] for i in range(len(OPTIONS) ** LAYERS)]
        least = min(map(len, each))
        if least < 3:
            raise SystemExit(
                f"{path}: {sum(len(e) >= 3 for e in each)} of {len(each)} architectures have 3 seeds: python tools/make_truth.py"
            )
        return cls(np.array([e[:least] for e in each]))

    def of(self, Z: np.ndarray) -> np.ndarray:
        """(n,) true scores of codes Z (n, 6)."""
        return self.accuracy[Z @ len(OPTIONS) ** np.arange(LAYERS)[::-1]]
