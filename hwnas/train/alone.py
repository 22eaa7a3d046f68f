"""Training one architecture alone, from scratch: the truth that a supernet's inherited weights stand in for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import HwnasError
from ..gates import path
from ..space import Space
from .options import Traits, traits
from .run import Run, Step


@dataclass(frozen=True)
class Alone:
    architecture: str = ""  # an architecture.json; empty = the largest of the space, or the one nearest to it that keeps the budget


@traits(Traits(learns=True))
def alone(run: Run, options: Alone) -> Step:
    """Every step trains the same architecture; the rest of the supernet keeps its first weights.

    The baseline that says what sharing costs: with
    the same recipe, a supernet's sub-network should come near it. What is derived is this architecture.
    """
    z = run.space.largest() if run.constraint is None else run.constraint.nearest(run.space.largest())
    if options.architecture:
        z = read_architecture(run.space, options.architecture)
    run.derive = lambda: z[None]

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        run.visit(z[None])
        logits = run.forward(x, path(run.space, z))
        loss = run.loss(logits, y)
        loss.backward()
        run.update()
        return {"loss": loss.item(), "accuracy": run.reward(logits, y)}

    return step


def read_architecture(space: Space, file: str) -> np.ndarray:
    """(genes,) the code in an architecture.json (a bare mapping, or one under "choices"). Raises HwnasError that names the file."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HwnasError(f"architecture {file}: cannot be read as JSON: {error}") from None
    found = found.get("choices", found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise HwnasError(f"architecture {file}: expected a mapping of genes to choices, found a {type(found).__name__}")
    return space.encode(found)
