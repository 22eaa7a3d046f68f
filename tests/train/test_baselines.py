"""The baselines: one architecture alone, and random architectures alone one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_data, small_net, small_space
from stepping import a_batch, bound, drive, make_run

from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.train import Recipe, train
from hwnas.train.alone import Alone, alone, read_architecture
from hwnas.train.random import Random, random
from hwnas.train.spos import spos

SPACE, DATA = small_space(), small_data()


def test_alone_trains_that_architecture_and_nothing_else(tmp_path: Path) -> None:
    z = SPACE.sample(1, np.random.default_rng(0))[0]
    file = tmp_path / "architecture.json"
    file.write_text(json.dumps({"choices": SPACE.decode(z)}))
    net = small_net(SPACE, share=False)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    run = make_run(net, Recipe(batch=32, weight_decay=0.1), DATA, 40)
    records = drive(run, alone(run, Alone(str(file))), DATA, 40)
    assert np.mean([r["accuracy"] for r in records[-5:]]) > 0.8
    net.zero_grad()
    net(a_batch(DATA)[0], path(SPACE, z)).sum().backward()
    assert all(torch.equal(p, before[k]) for k, p in net.named_parameters() if p.grad is None)
    file.write_text(json.dumps(SPACE.decode(z)))
    assert np.array_equal(read_architecture(SPACE, str(file)), z)
    file.write_text("[1]")
    with pytest.raises(HwnasError, match="expected a mapping"):
        read_architecture(SPACE, str(file))
    with pytest.raises(HwnasError, match="cannot be read"):
        read_architecture(SPACE, "nowhere.json")


def test_random_keeps_the_best_of_networks_trained_afresh(tmp_path: Path) -> None:
    recipe, net = Recipe(epochs=10, batch=32, shift_px=0, lr=0.1, warmup=0.0), small_net(SPACE)
    run = make_run(net, recipe, DATA, 60)
    step, rates = random(run, Random(3)), []
    Z = run.sample(3, np.random.default_rng([0, 6]))
    for number in range(60):
        drive(run, step, DATA, 1, number)
        rates.append(run.optimizer.param_groups[0]["lr"])
        if number + 1 in (20, 40, 60):
            trained = {k: t.clone() for k, t in net.state_dict().items()}
            if run.kept["best"]["network"] == (number + 1) // 20 - 1:  # type: ignore[index]
                best = trained
    assert rates[0] == rates[20] == rates[40] == 0.1 and rates[19] < 0.01
    assert all(torch.equal(t, best[k]) for k, t in net.state_dict().items())
    i = run.kept["best"]["network"]  # type: ignore[index]
    x, y = a_batch(DATA, 128)
    assert (net(x, path(SPACE, Z[i])).argmax(1) == y).float().mean() > 0.5
    with pytest.raises(HwnasError, match="100 networks in 60 steps"):
        random(make_run(net, recipe, DATA, 60), Random(100))


def test_random_resumes_with_the_same_bits(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def report(progress: object) -> None:
        if progress.step == 9:  # type: ignore[attr-defined]
            raise Killed

    recipe, algorithm = Recipe(epochs=2, batch=32, seed=3), bound(random, Random(4))
    train(algorithm, straight := small_net(SPACE), SPACE, DATA, recipe, tmp_path / "a")
    with pytest.raises(Killed):
        train(algorithm, small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", checkpoint_s=0, report=report)
    train(algorithm, net := small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(straight.state_dict().values(), net.state_dict().values()))
    with pytest.raises(HwnasError, match="algorithm was 'random', is 'spos'"):
        train(spos, net, SPACE, DATA, recipe, tmp_path / "b", resume=True)
