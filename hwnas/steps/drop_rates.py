"""How well a one-shot supernet ranks, by the drop rate it was trained with: the figure of Bender et al. 2018."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import HwnasError
from ..health import rank_correlation
from ..space import Codes
from .progress import Show, silent
from .run_folder import RunFolder
from .search import make_scorer
from .train import load_supernet, train_supernet


def drop_rates(run: RunFolder, Z: Codes, alone: np.ndarray, rates: Sequence[float], show: Show = silent) -> list[dict[str, Any]]:
    """Trains a one-shot supernet for each drop rate r, by the run's recipe, and compares its scores of Z (n, genes) with `alone` (n,).

    Sec. 4.2 of the paper: without dropping (r near 0) paths rely on each other and zeroing out tells little; with too much the
    supernet itself learns little. The supernets stay in the run's folder, so killed it goes on. Raises HwnasError for a rate
    outside [0, 1).
    """
    for r in rates:
        if not 0 <= r < 1:
            raise HwnasError(f"--drop-rates: {r:g} must be at least 0 and below 1")
    found = []
    for r in rates:
        trained = run.experiment.train.model_copy(update={"algorithm": "one-shot", "share": False, "options": {"drop": float(r)}})
        own = replace(run, experiment=run.experiment.model_copy(update={"train": trained}), target=None)
        own.__dict__.update({k: run.__dict__[k] for k in ("data", "space") if k in run.__dict__})  # read once
        train_supernet(own, lambda title, r=r: show(f"{title}, drop rate {r:g}"))  # type: ignore[misc]
        scores = make_scorer(own, load_supernet(own)).score(Z)
        found.append({"drop": float(r), "mean_accuracy": float(scores.mean()), **rank_correlation(scores, alone).to_dict()})
    return found
