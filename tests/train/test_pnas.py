"""PNAS while training: the beam grows level by level, training follows it, it resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import constraint
from small import small_data, small_net, small_space

from hwnas.errors import HwnasError
from hwnas.search.progressive import levels
from hwnas.train import Progress, Recipe, newest, read_progress, train
from hwnas.train.pnas import pnas

SPACE, DATA = small_space(), small_data()
OPTIONS = {"beam": 4, "first": 6, "expansions": 64, "valid_batches": 1}


class Killed(Exception):
    pass


def test_levels_resume_and_budget(tmp_path: Path) -> None:
    recipe, c = Recipe(epochs=4, batch=32, shift_px=0), lambda: constraint(SPACE, "latency=60%")

    def report(progress: Progress) -> None:
        if progress.step == 11:
            raise Killed

    a = train(pnas, one := small_net(SPACE), SPACE, DATA, recipe, tmp_path / "a", options=OPTIONS, constraint=c(), journal_steps=1)
    with pytest.raises(Killed):
        train(pnas, small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", options=OPTIONS, constraint=c(), checkpoint_s=0, report=report)
    b = train(pnas, two := small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", options=OPTIONS, constraint=c(), resume=True)
    assert all(torch.equal(s, t) for s, t in zip(one.state_dict().values(), two.state_dict().values()))
    assert a.derived is not None and b.derived is not None and (a.derived.z == b.derived.z).all()
    assert c().keeps(a.derived.z[None]).all() and not a.derived.repaired
    history = [r["level"] for r in a.history if "level" in r]
    assert sorted(set(history)) == list(range(1, len(levels(SPACE)) + 1)) and history == sorted(history)
    visits = np.array(read_progress(newest(tmp_path / "a"))["visits"])  # type: ignore[arg-type]
    last = levels(SPACE)[-1][0]  # decided last: before that, its first value
    assert visits[last, 0] > visits[last, 1:].sum()


def test_too_few_steps_are_named(tmp_path: Path) -> None:
    with pytest.raises(HwnasError, match="steps for .* levels: train for more epochs"):
        train(pnas, small_net(SPACE), SPACE, DATA, Recipe(epochs=1, batch=150), tmp_path)
