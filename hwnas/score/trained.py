"""TrainScorer: accuracy of each architecture trained alone, from scratch: the classic search, with no supernet."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from torch import nn

from ..data import Dataset, hold_out, to_float
from ..space import Codes
from ..supernet import Supernet, fix, resize
from ..train import Progress, Recipe, recalibrate, retrain, split_accuracy
from .cache import ScoreCache

IMAGES = 256  # for the BatchNorm statistics of a network that is to be timed


class TrainScorer:
    """Scores an architecture by really training it (Zoph & Le 2017, Real et al. 2019), on a share of the training images.

    Each has fresh weights and the same seed, order and epochs. Every score is kept in `cache`, and a training that was killed goes on from
    its checkpoint in `folder`, which is emptied when it is scored. Never touches the test split.
    """

    def __init__(
        self,
        net: Supernet,  # untrained: the space, and how its networks are built
        data: Dataset,
        recipe: Recipe,
        folder: Path,
        *,
        share: float = 1.0,  # of the training images, every class in proportion
        valid_images: int | None = None,  # a stratified part of the search-validation split; None = all of it
        cache: Path | None = None,
        report: Callable[[int, int, str], None] | None = None,  # (done, total, what is going on) of a call of score
    ):
        self.net, self.recipe, self.folder, self.report = net, recipe, folder, report
        self.valid = data.valid
        if valid_images is not None and valid_images < len(data.valid):
            self.valid = hold_out(data.valid, 0, valid_images / len(data.valid), valid_images)[1]
        train = data.train if share >= 1 else hold_out(data.train, 0, share, len(data.train))[1]
        self.data = replace(data, train=train)
        of = {
            "space": net.space.hash,
            "recipe": recipe.learned(),
            "data": f"{data.name}: {len(train)} images to train on, {len(self.valid)} of {len(data.valid)} to score with",
        }
        self.cache = ScoreCache(net.space, of, cache)

    def score(self, Z: Codes) -> np.ndarray:
        """Z (n, genes) -> accuracy (n,) on the search-validation split. Codes of one architecture are trained once, and never again."""
        new = self.cache.new(Z)
        for done, code in enumerate(new):
            self.cache.add(code, self._accuracy(code, done, len(new)))
        return self.cache.of(Z)

    def network(self, z: np.ndarray) -> nn.Module:
        """Architecture z (genes,) with fresh weights and BatchNorm statistics of some images, to be timed: winners are trained later."""
        net = fix(self.net, z)
        recalibrate(net, [resize(to_float(self.data.train.images[:IMAGES]), self.net.space.input_size(z))])
        return net

    def _accuracy(self, z: np.ndarray, done: int, total: int) -> float:
        place = self.folder / sha256(str([self.net.space.hash, z.tolist()]).encode()).hexdigest()[:12]

        def say(p: Progress) -> None:
            if self.report is not None:
                self.report(done, total, f"epoch {p.epoch}/{p.epochs} {p.images_per_s:,.0f} images/s")

        module = retrain(self.net, z, self.data, self.recipe, place, inherit=False, resume=True, report=say)
        accuracy = split_accuracy(module, self.valid, self.net.space.input_size(z))
        shutil.rmtree(place)
        return accuracy
