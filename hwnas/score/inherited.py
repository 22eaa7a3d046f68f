"""InheritedScorer: accuracy with the supernet's weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Batches, Dataset, hold_out, to_float
from ..lower import to_onnx
from ..space import Codes
from ..supernet import Supernet, fix, resize
from ..train import recalibrate
from .cache import ScoreCache


class InheritedScorer:
    """Scores an architecture as the supernet left it: cut out, BatchNorm recalibrated, run over the search-validation split.

    Recalibration takes training images without augmentation and runs in torch; the rest runs in ONNX Runtime, as the
    file that would be exported: twice as fast as torch and a check of the export on the way. Never touches the test split.
    """

    def __init__(
        self,
        net: Supernet,
        data: Dataset,
        *,
        recalibration_images: int = 1024,
        valid_images: int | None = None,  # a stratified part of the search-validation split; None = all of it
        batch: int = 250,
        threads: int = 0,  # of ONNX Runtime; 0 = one for each core
        cache: Path | None = None,  # JSON lines: a search that was killed goes on from there
        report: Callable[[int, int], None] | None = None,  # (done, total) of a call of score
    ):
        self.net, self.threads, self.report = net, threads, report
        split = data.valid
        if valid_images is not None and valid_images < len(split):
            split = hold_out(split, 0, valid_images / len(split), valid_images)[1]
        self.labels, self.batch, self._images = split.labels.numpy(), min(batch, len(split)), split.images
        self._training = Batches(data.train, min(256, recalibration_images), 0)
        self._rounds = max(1, min(recalibration_images // self._training.size, self._training.per_epoch))
        self._at_size = lru_cache(maxsize=8)(self._resized)
        of = {
            "space": net.space.hash,
            "weights": digest(net),
            "data": f"{data.name}: {len(split)} of {len(data.valid)} images",
            "recalibration_images": self._rounds * self._training.size,
        }
        self.cache = ScoreCache(of, cache)
        codes = np.array(list(self.cache.scores)).reshape(-1, len(net.space.genes))
        self._known = dict(zip(self._architectures(codes), self.cache.scores.values()))

    def score(self, Z: Codes) -> np.ndarray:
        """Z (n, genes) -> accuracy (n,). Codes of one architecture are scored once, and never again."""
        names = self._architectures(Z)
        first = {name: i for i, name in reversed([*enumerate(names)]) if name not in self._known}
        new = sorted(first.items(), key=lambda item: item[1])
        for done, (name, i) in enumerate(new, 1):
            code = self.net.space.canonical(Z[[i]])[0]
            self._known[name] = self._accuracy(code)
            self.cache.add(tuple(map(int, code)), self._known[name])
            if self.report is not None:
                self.report(done, len(new))
        return np.array([self._known[name] for name in names])

    def _architectures(self, Z: Codes) -> list[int]:
        """(n,) equal where the same blocks run at the same places, which canonical codes are not on every space."""
        return self.net.space.hashes(self.net.space.rows(Z)).tolist()

    def network(self, z: np.ndarray) -> nn.Module:
        """Architecture z (genes,) as a plain recalibrated module in evaluation mode: what was scored, ready to export."""
        net = fix(self.net, z).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        recalibrate(net, self._at_size(self.net.space.input_size(z))[0])
        return net

    def _accuracy(self, z: np.ndarray) -> float:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = self.threads, 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch wants the cores between two nets
        batches = self._at_size(self.net.space.input_size(z))[1]
        model = to_onnx(self.network(z), batches[0].shape)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        predicted = np.concatenate([session.run(None, {name: x})[0].argmax(1) for x in batches])
        return float((predicted[: len(self.labels)] == self.labels).mean())

    def _resized(self, size: tuple[int, int]) -> tuple[list[Tensor], list[np.ndarray]]:
        """At one resolution: batches for recalibration, and those to score, the last filled up with black images."""
        training = [resize(self._training.at(k)[0], size) for k in range(self._rounds)]
        scored = []
        for at in range(0, len(self._images), self.batch):
            x = resize(to_float(self._images[at : at + self.batch]), size)
            missing = x.new_zeros(self.batch - len(x), *x.shape[1:])
            scored.append(torch.cat([x, missing]).contiguous().numpy())
        return training, scored


def digest(net: nn.Module) -> str:
    """16 hex digits over all weights of a network, so that scores are never taken for those of another."""
    hashed = sha256()
    for name, tensor in net.state_dict().items():
        hashed.update(name.encode())
        hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:16]
