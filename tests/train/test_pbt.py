"""PBT: exploit copies everything exactly, explore multiplies, the lineage leads back to the start and can be replayed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_data, small_net, small_space
from stepping import drive, make_run
from test_rewards import assert_equal

from hwnas.errors import HwnasError
from hwnas.train import Progress, Recipe, load_weights, train
from hwnas.train.pbt import PBT, exploit, pbt, read_lineage, schedule

SPACE, DATA = small_space(), small_data()


class Killed(Exception):
    pass


def test_exploit_copies_weights_and_optimizer_state_exactly() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=16, lr=0.1, weight_decay=1e-3), DATA, 20, 5)
    drive(run, pbt(run, PBT(members=4)), DATA, 3)
    members, lineage = [run.kept[f"member{i}"] for i in range(4)], run.kept["lineage"]
    top = members[2].state_dict()
    stem = "body.slots.stem.elastics.0.full.1.weight"
    assert top["optimizer"]["state"] and not torch.equal(top["weights"][stem], members[1].state_dict()["weights"][stem])
    before = [dict(f) for f in lineage["factors"]]  # type: ignore[index]
    exploit(members, lineage, [0.5, 0.1, 0.9, 0.6], 0.25, 3, np.random.default_rng(0))  # type: ignore[arg-type]
    assert_equal(members[1].state_dict(), top)
    round = lineage["rounds"][0]  # type: ignore[index]
    assert round["step"] == 3 and round["copies"][0][:2] == [1, 2] and len(round["copies"]) == 1
    for h, f in round["copies"][0][2].items():
        assert f == pytest.approx(0.8 * before[2][h]) or f == pytest.approx(1.2 * before[2][h])
    assert lineage["factors"][0] == before[0] and lineage["factors"][1] == round["copies"][0][2]  # type: ignore[index]
    drive(run, lambda *a: {}, DATA, 0)
    a, b = members[1].run.optimizer.state, members[2].run.optimizer.state
    assert all(x["momentum_buffer"] is not y["momentum_buffer"] for x, y in zip(a.values(), b.values()))  # copies, not the same tensors


def test_hyperparameters_follow_the_loops_schedule_times_the_members_factors() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=16, lr=0.1, weight_decay=1e-3), DATA, 20, 5)
    step = pbt(run, PBT(members=2))
    for group in run.optimizer.param_groups:
        group["lr"] = 0.04  # as the loop has it in this step
    drive(run, step, DATA, 1)
    for i in range(2):
        factors, groups = run.kept["lineage"]["factors"][i], run.kept[f"member{i}"].run.optimizer.param_groups  # type: ignore[index, attr-defined]
        assert 0.5 <= factors["lr"] <= 2 and all(g["lr"] == pytest.approx(0.04 * factors["lr"]) for g in groups)
        assert groups[0]["weight_decay"] == pytest.approx(1e-3 * factors["weight_decay"]) and groups[1]["weight_decay"] == 0


def test_a_schedule_leads_back_through_the_ancestors() -> None:
    f = lambda x: {"lr": x, "weight_decay": 1.0}
    lineage = {
        "start": [f(1.0), f(2.0), f(3.0)],
        "best": 0,
        "rounds": [
            {"step": 10, "copies": [[1, 2, f(3.6)]]},
            {"step": 20, "copies": [[0, 1, f(2.88)]]},
            {"step": 30, "copies": [[2, 0, f(2.3)]]},
        ],
    }
    assert schedule(lineage) == [(0, f(3.0)), (10, f(3.6)), (20, f(2.88))]
    assert schedule(lineage, 2)[-1] == (30, f(2.3)) and schedule(lineage, 1) == [(0, f(3.0)), (10, f(3.6))]


def test_it_learns_resumes_and_its_schedule_replays(tmp_path: Path) -> None:
    recipe, options = Recipe(epochs=5, batch=32, shift_px=0, seed=1), {"members": 2, "quantile": 0.3}

    def report(progress: Progress) -> None:
        if progress.step == 14:
            raise Killed

    a = train(pbt, one := small_net(SPACE), SPACE, DATA, recipe, tmp_path / "a", options=options)
    with pytest.raises(Killed):
        train(pbt, small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", options=options, checkpoint_s=0, report=report)
    train(pbt, two := small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", options=options, resume=True)
    assert all(torch.equal(s, t) for s, t in zip(one.state_dict().values(), two.state_dict().values()))
    assert np.mean([r["accuracy"] for r in a.history[-2:]]) > 0.5  # chance is 0.25
    lineage = read_lineage(tmp_path / "a")
    assert len(lineage["rounds"]) == 4 and all(len(r["copies"]) == 1 for r in lineage["rounds"])

    replayed = make_run(small_net(SPACE), recipe, DATA, 30, 6)
    step = pbt(replayed, PBT(replay=str(tmp_path / "a")))
    wanted = schedule(lineage)
    for number in (0, 7, 29):
        drive(replayed, step, DATA, 1, number)
        factors = [f for at, f in wanted if at <= number][-1]
        lr = replayed.kept["member0"].run.optimizer.param_groups[0]["lr"]  # type: ignore[attr-defined]
        assert lr == pytest.approx(recipe.lr * factors["lr"])
    assert "member1" not in replayed.kept


def test_members_that_grew_kernel_matrices_hand_them_on(tmp_path: Path) -> None:
    """ofa gives its members' networks weights that the run's own network does not have."""
    recipe = Recipe(epochs=1, batch=32)
    train(pbt, net := small_net(SPACE), SPACE, DATA, recipe, tmp_path, options={"algorithm": "ofa", "members": 2})
    assert any("transforms" in k for k in net.state_dict())
    load_weights(tmp_path, other := small_net(SPACE), SPACE)
    assert all(torch.equal(t, other.state_dict()[k]) for k, t in net.state_dict().items())


def test_what_it_cannot_wrap_is_named(tmp_path: Path) -> None:
    run = make_run(small_net(SPACE), Recipe(), DATA)
    with pytest.raises(HwnasError, match="pbt.algorithm: enas learns an architecture"):
        pbt(run, PBT("enas"))
    with pytest.raises(HwnasError, match="pbt.replay wants the folder"):
        pbt(run, PBT(replay=str(tmp_path)))
    with pytest.raises(HwnasError, match="above 0.5"):
        PBT(quantile=0.6)
