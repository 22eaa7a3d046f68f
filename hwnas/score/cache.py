"""ScoreCache: scores that are known already, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import HwnasError

FORMAT = 1  # 1: a header {format, of: {...}}, then rows {code, score}

Code = tuple[int, ...]


class ScoreCache:
    """Code -> score. With a path, each new score is a JSON line there, so that a killed search goes on from it.

    `of` says what the scores are of (space, weights, images): a file of other scores raises HwnasError and is left alone.
    """

    def __init__(self, of: Mapping[str, Any], path: Path | None = None):
        self.path, self.scores = path, dict[Code, float]()
        if path is not None and path.exists():
            self._read(path, dict(of))
        elif path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"format": FORMAT, "of": dict(of)}) + "\n")

    def add(self, code: Code, score: float) -> None:
        self.scores[code] = score
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({"code": code, "score": score}) + "\n")

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
        if whole != text:
            path.write_text(whole)
