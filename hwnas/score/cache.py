"""ScoreCache: scores that are known already, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HwnasError
from ..space import Codes, Space

FORMAT = 1  # 1: a header {format, of: {...}}, then rows {code, score}

Code = tuple[int, ...]


class ScoreCache:
    """Architecture -> score. With a path, each new score is a JSON line there, so that a killed search goes on from it.

    Two codes of one architecture, where the same blocks run at the same places, have one score: canonical codes do not tell on every space.
    `of` says what the scores are of (space, weights, images): a file of other scores raises HwnasError and is left alone.
    """

    def __init__(self, space: Space, of: Mapping[str, Any], path: Path | None = None):
        self.space, self.path = space, path
        self.scores: dict[Code, float] = {}  # of canonical codes, in the order in which they came
        self._known: dict[int, float] = {}  # architecture -> score
        if path is not None and path.exists():
            self._read(path, dict(of))
        elif path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"format": FORMAT, "of": dict(of)}) + "\n")

    def new(self, Z: Codes) -> list[np.ndarray]:
        """Canonical codes (genes,) of those of Z (n, genes) that are not known yet: each architecture once, in their order."""
        first = {name: i for i, name in reversed([*enumerate(self._architectures(Z))]) if name not in self._known}
        return [self.space.canonical(Z[[i]])[0] for i in sorted(first.values())]

    def of(self, Z: Codes) -> np.ndarray:
        """(n,) scores of Z (n, genes), all of them known."""
        return np.array([self._known[name] for name in self._architectures(Z)])

    def add(self, z: np.ndarray, score: float) -> None:
        """The score of a canonical code (genes,)."""
        code = tuple(map(int, z))
        self.scores[code] = self._known[self._architectures(z[None])[0]] = score
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({"code": code, "score": score}) + "\n")

    def _architectures(self, Z: Codes) -> list[int]:
        return self.space.hashes(self.space.rows(Z)).tolist()

    def _read(self, path: Path, of: dict[str, Any]) -> None:
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]  # a kill can tear the last line
        try:
            header, *rows = map(json.loads, whole.splitlines())
            if header["format"] != FORMAT:
                raise HwnasError(f"{path}: format {header['format']!r}, this hwnas reads {FORMAT}")
            differing = [f"{k} was {header['of'].get(k)!r}, is {v!r}" for k, v in of.items() if header["of"].get(k) != v]
            self.scores = {tuple(row["code"]): float(row["score"]) for row in rows}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HwnasError(f"{path}: not a score cache: {type(error).__name__}: {error}; delete it or name another file") from None
        if differing:
            raise HwnasError(f"{path}: scores of something else: {'; '.join(differing)}; delete it or name another file")
        codes = np.array(list(self.scores)).reshape(-1, len(self.space.genes))
        self._known = dict(zip(self._architectures(codes), self.scores.values()))
        if whole != text:
            path.write_text(whole)
