"""InheritedScorer: accuracy with the supernet's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from math import ceil
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Batches, Dataset, hold_out, to_float
from ..lower import to_onnx
from ..space import Codes
from ..supernet import Supernet, fix, resize
from ..tasks import Pool
from ..train import recalibrate
from .cache import ScoreCache


class InheritedScorer:
    """Scores an architecture as the supernet left it: cut out, BatchNorm recalibrated, run over the search-validation split.

    Recalibration takes training images without augmentation and runs in torch; the rest runs in ONNX Runtime, as the
    file that would be exported: twice as fast as torch and a check of the export on the way. Never touches the test split.

    Everything runs in one thread: for networks this small a second one costs more than it brings, and sums in another order are
    other scores. More cores score more architectures at once, in a pool, and give the same bits.
    """

    def __init__(
        self,
        net: Supernet,
        data: Dataset,
        *,
        recalibration_images: int = 1024,
        valid_images: int | None = None,  # a stratified part of the search-validation split; None = all of it
        batch: int = 250,  # at most
        pool: Pool | None = None,  # of workers that do `scores_of`; None: scored here
        pool_from_s: float = 0.0,  # but what takes less is scored here, too
        cache: Path | None = None,  # JSON lines: a search that was killed goes on from there
        report: Callable[[int, int], None] | None = None,  # (done, total) of a call of score
    ):
        self.net, self.pool, self.pool_from_s, self.report = net, pool, pool_from_s, report
        self.settings = {"recalibration_images": recalibration_images, "valid_images": valid_images, "batch": batch}
        split = data.valid
        if valid_images is not None and valid_images < len(split):
            split = hold_out(split, 0, valid_images / len(split), valid_images)[1]
        self.labels, self._images = split.labels.numpy(), split.images
        self.batch = ceil(len(split) / ceil(len(split) / batch))  # alike, so that the last is hardly filled up
        self._training = Batches(data.train, min(256, recalibration_images), 0)
        self._rounds = max(1, min(recalibration_images // self._training.size, self._training.per_epoch))
        self._at_size = lru_cache(maxsize=8)(self._resized)
        self.of = {  # what the scores are of
            "space": net.space.hash,
            "weights": digest(net),
            "data": f"{data.name}: {len(split)} of {len(data.valid)} images",
            "recalibration_images": self._rounds * self._training.size,
        }
        self.cache = ScoreCache(net.space, self.of, cache)

    def score(self, Z: Codes) -> np.ndarray:
        """Z (n, genes) -> accuracy (n,). Codes of one architecture are scored once, and never again."""
        new = self.cache.new(Z)
        for done, (code, score) in enumerate(zip(new, self._accuracies(new)), 1):
            self.cache.add(code, score)
            if self.report is not None:
                self.report(done, len(new))
        return self.cache.of(Z)

    def _accuracies(self, codes: list[np.ndarray]) -> Iterator[float]:
        """Of each code, in their order, which the cache keeps: where scores are equal, the first counts."""
        pool, began = self.pool, perf_counter()
        if pool is not None and self.pool_from_s and codes:
            yield self.accuracy(codes[0])
            codes = codes[1:]
            if (perf_counter() - began) * len(codes) < self.pool_from_s:
                pool = None
        if pool is None:
            yield from map(self.accuracy, codes)
            return
        early: dict[int, float] = {}
        following = 0
        for number, score in pool.run([code.tolist() for code in codes]):
            early[number] = score
            while following in early:
                yield early.pop(following)
                following += 1

    def network(self, z: np.ndarray) -> nn.Module:
        """Architecture z (genes,) as a plain recalibrated module in evaluation mode: what was scored, ready to export."""
        net = fix(self.net, z).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with _one_thread():
            recalibrate(net, self._at_size(self.net.space.input_size(z))[0])
        return net

    def accuracy(self, z: np.ndarray) -> float:
        """Of one canonical code (genes,), scored here and now."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        batches = self._at_size(self.net.space.input_size(z))[1]
        model = to_onnx(self.network(z), batches[0].shape)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        predicted = np.concatenate([session.run(None, {name: x})[0].argmax(1) for x in batches])
        return float((predicted[: len(self.labels)] == self.labels).mean())

    def images(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Batches for recalibration, and those to score, at the size that they have."""
        height, width = self._images.shape[-2:]
        training, scored = self._resized((height, width))
        return [x.numpy() for x in training], scored

    def _resized(self, size: tuple[int, int]) -> tuple[list[Tensor], list[np.ndarray]]:
        """At one resolution: batches for recalibration, and those to score, the last filled up with black images."""
        training = [resize(self._training.at(k)[0], size) for k in range(self._rounds)]
        scored = []
        for at in range(0, len(self._images), self.batch):
            x = resize(to_float(self._images[at : at + self.batch]), size)
            missing = x.new_zeros(self.batch - len(x), *x.shape[1:])
            scored.append(torch.cat([x, missing]).contiguous().numpy())
        return training, scored


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def digest(net: nn.Module) -> str:
    """16 hex digits over all weights of a network, so that scores are never taken for those of another."""
    hashed = sha256()
    for name, tensor in net.state_dict().items():
        hashed.update(name.encode())
        hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:16]
