"""Scoring in other processes: what a worker needs to give the same scores, and the worker's side of it."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from ..data import load_data
from ..errors import HwnasError
from ..spaces import load_space
from ..supernet import Supernet
from ..tasks import Do, Work
from ..train.checkpoint import load_into
from .inherited import InheritedScorer


def scoring_work(scorer: InheritedScorer, space: str, data: str, seed: int, folder: Path) -> Work:
    """The work of a pool for this scorer: a job is a canonical code, its result the accuracy.

    space and data are texts as the command line takes them, seed that of the data; the weights go into a file in folder.
    """
    weights = folder / f"{scorer.of['weights']}.safetensors"
    if not weights.exists():
        save_file({k: t.detach().cpu().contiguous().clone() for k, t in scorer.net.state_dict().items()}, weights)
    setup = {
        "space": space,
        "data": data,
        "seed": seed,
        "share": scorer.net.share,
        "settings": scorer.settings,
        "of": scorer.of,
        "images": image_digest(scorer),
    }
    return Work("hwnas.score.remote:scores", setup, {"weights": weights})


def scores(setup: Mapping[str, Any], files: Mapping[str, Path]) -> Do:
    """In a worker. Raises HwnasError when space, weights or images are others than those of the search."""
    loaded = load_data(setup["data"], setup["seed"])
    channels, height, _ = loaded.shape
    space = load_space(setup["space"], {"channels": channels, "size": height, "classes": len(loaded.classes)})
    if space.hash != setup["of"]["space"]:
        raise HwnasError(f"space {setup['space']!r} is another one here: {space.hash}, not {setup['of']['space']}")
    net = Supernet(space, setup["share"]).eval()
    load_into(files["weights"], net)
    scorer = InheritedScorer(net, loaded, **setup["settings"])
    if differing := [f"{k} is {scorer.of[k]!r}, not {v!r}" for k, v in setup["of"].items() if scorer.of[k] != v]:
        raise HwnasError(f"here scores would be of something else: {'; '.join(differing)}")
    if image_digest(scorer) != setup["images"]:
        raise HwnasError(f"data {setup['data']!r}: its images are others here: put the same files on every machine")
    return lambda code, tell: scorer.accuracy(np.array(code))


def image_digest(scorer: InheritedScorer) -> str:
    """16 hex digits over the images and labels that a scorer uses."""
    training, scored = scorer.images()
    hashed = sha256(scorer.labels.tobytes())
    for x in [*training, *scored]:
        hashed.update(x.tobytes())
    return hashed.hexdigest()[:16]
