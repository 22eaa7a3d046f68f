"""architecture.json: which options were chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HwnasError, did_you_mean
from .gene import Gene


def read_architecture(source: str | Path | Mapping[str, object]) -> Mapping[str, object]:
    """Gene name -> choice, from an architecture.json, or from a mapping as it stands in one.

    Both read with or without what `hwnas export` puts around it: {"space": ..., "choices": {...}}. Raises HwnasError.
    """
    where, found = "architecture", source
    if isinstance(source, (str, Path)):
        where = str(source)
        try:
            found = json.loads(Path(source).read_text(encoding="utf-8"), object_pairs_hook=_once)
        except (OSError, ValueError) as error:
            raise HwnasError(f"{where}: cannot be read as JSON: {error}") from None
    if not isinstance(found, Mapping):
        raise HwnasError(f"{where}: a {type(found).__name__}, expected a mapping from choices to what is chosen")
    choices = found["choices"] if isinstance(found.get("choices"), Mapping) else found
    assert isinstance(choices, Mapping)
    return choices


def encode(genes: Sequence[Gene], choices: Mapping[str, object], whose: str) -> np.ndarray:
    """(genes,) int64: the code of the choices, each in any of the five forms that `Gene.encode` reads.

    whose: what has these genes, for the HwnasError about a choice that is missing, unknown, or not allowed.
    """
    names = [g.name for g in genes]
    for name in choices:
        if name not in names:
            raise did_you_mean("architecture choice", name, names, f"Those are the choices of {whose}.")
    if missing := [n for n in names if n not in choices]:
        raise HwnasError(f"architecture: no choice for {', '.join(missing)} of {whose}")
    return np.array([g.encode(choices[g.name]) for g in genes], np.int64)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := {k for k, _ in pairs if sum(k == other for other, _ in pairs) > 1}:
        raise ValueError(f"{min(twice)!r} stands there twice")
    return dict(pairs)


def short_name(choices: Mapping[str, Any]) -> str:
    """Depth x width of each stage, or the first choices: enough to tell two architectures apart in a table."""
    stages = [k.removesuffix("_depth") for k in choices if k.endswith("_depth")]
    if not stages:
        return " ".join(str(v) for v in list(choices.values())[:6])
    return " ".join(f"{choices[f'{s}_depth']}x{choices[f'{s}_width']}" for s in stages)
