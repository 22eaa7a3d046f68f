"""The best of several winners after training alone, and wider ones: hwnas/steps/retrain.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_data, small_net, small_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.score import InheritedScorer
from hwnas.search import Target
from hwnas.steps import Experiment, RunFolder, candidates, finalist
from hwnas.steps.search import to_winner
from hwnas.train import Recipe, retrain, split_accuracy

SPACE, DATA = small_space(), small_data()


def run_folder(out: Path, algorithm: str = "spos", **retraining: object) -> RunFolder:
    fields = {"data": "digits", "space": "mobilenet", "train": {"algorithm": algorithm}, "retrain": {"recipe": {"batch": 32}, **retraining}}
    run = RunFolder(out, Experiment.parse(fields, "test"), out / "lut")
    run.__dict__.update(space=SPACE, data=DATA)
    return run


def test_the_best_of_three_after_training(tmp_path: Path) -> None:
    net, model = small_net(SPACE).eval(), CostModel(SPACE)
    scorer = InheritedScorer(net, DATA, recalibration_images=64)
    Z = SPACE.sample(8, np.random.default_rng(0))
    accuracy = scorer.score(Z)
    target = Target.of(Budget.parse("none:macs=60%")[0], model)
    keeps = model.upper(Z, target.fields)[:, 0] <= target.limits[0]
    assert 3 <= keeps.sum() < 8, "so that the budget leaves some out"
    z = Z[keeps][accuracy[keeps].argmax()]
    first = to_winner(target, model, z, {"accuracy": float(accuracy[keeps].max()), "random_accuracy": 0.0, "evaluations": 8})
    run = run_folder(tmp_path, epochs=2, top=3)

    found = candidates(run, model, first, scorer, 3)
    assert len(found) == 3 and np.array_equal(found[0].z, z) and len({*SPACE.keys(np.stack([c.z for c in found]))}) == 3
    assert [c.accuracy for c in found] == sorted(accuracy[keeps], reverse=True)[:3]
    assert all(c.upper["macs"] <= target.limits[0] for c in found)

    best = finalist(run, net, model, first, scorer)
    assert best.note.startswith("the best of 3 after training alone: ") and any(np.array_equal(best.z, c.z) for c in found)
    trained = [float(part.rstrip("%")) for part in best.note.split(": ")[1].split(", ")]
    assert np.array_equal(best.z, found[int(np.argmax(trained))].z)
    with pytest.raises(HwnasError, match="retrain.top = 2: enas learned one architecture"):
        candidates(run_folder(tmp_path, "enas"), model, first, scorer, 2)


def test_a_wider_network_learns_from_scratch(tmp_path: Path) -> None:
    net, z = small_net(SPACE), SPACE.smallest()
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(float("nan"))
    recipe = Recipe(epochs=12, batch=32, shift_px=0)
    wide = retrain(net, z, DATA, recipe, tmp_path / "wide", width=2)
    narrow = retrain(net, z, DATA, recipe, tmp_path / "narrow", inherit=False)
    assert sum(p.numel() for p in wide.parameters()) > 2 * sum(p.numel() for p in narrow.parameters())
    assert split_accuracy(wide, DATA.valid, SPACE.input_size(z)) > 0.5
    with pytest.raises(HwnasError, match="width"):  # another width is another training
        retrain(net, z, DATA, recipe, tmp_path / "wide", width=3, resume=True)
