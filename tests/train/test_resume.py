"""A run that is killed and resumed ends with the same bits as one that is not; a run of another kind is refused."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import small
import torch
from safetensors.torch import load_file
from small import RECIPE, small_data, small_net, small_space

from hwnas.data import hold_out
from hwnas.errors import HwnasError
from hwnas.train import Progress, Run, Step, load_weights, newest, read_progress, train
from hwnas.train.sandwich import sandwich
from hwnas.train.spos import spos

SPACE, DATA = small_space(), small_data()


class Killed(Exception):
    pass


def killed_at(step: int):  # type: ignore[no-untyped-def]
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return report


def run(out: Path, algorithm: object = spos, **options: object) -> Path:
    return train(algorithm, small_net(SPACE), SPACE, DATA, RECIPE, out, checkpoint_s=0, **options).checkpoint  # type: ignore[arg-type]


def assert_same(a: Path, b: Path) -> None:
    """Weights, optimizer, visits and curves of two training folders."""
    one, other = newest(a), newest(b)
    assert one is not None and other is not None
    weights, others = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    assert weights.keys() == others.keys() and all(torch.equal(t, others[k]) for k, t in weights.items())
    states, other_states = (torch.load(p / "state.pt", weights_only=True) for p in (one, other))
    for k, buffers in states["optimizer"]["state"].items():
        theirs = other_states["optimizer"]["state"][k]
        assert buffers.keys() == theirs.keys() and all(torch.equal(t, theirs[name]) for name, t in buffers.items())
    assert read_progress(one)["visits"] == read_progress(other)["visits"]
    rows = [[json.loads(line) | {"images_per_s": 0} for line in (p / "metrics.jsonl").read_text().splitlines()] for p in (a, b)]
    assert rows[0] == rows[1] and rows[0]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight")
    run(out)
    return out


def test_sigkill_in_the_middle(tmp_path: Path, straight: Path) -> None:
    process = subprocess.Popen([sys.executable, small.__file__, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(8):
        assert process.stdout.readline().startswith("Progress(")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed = read_progress(newest(tmp_path))  # type: ignore[arg-type]
    assert 7 <= killed["done"] < killed["steps"]
    run(tmp_path, resume=True)
    assert_same(tmp_path, straight)


@pytest.mark.parametrize("algorithm", [spos, sandwich])
def test_stopped_and_resumed_twice(tmp_path: Path, algorithm: object) -> None:
    run(tmp_path / "straight", algorithm)
    for at in (5, 13):
        with pytest.raises(Killed):
            run(tmp_path / "broken", algorithm, resume=True, report=killed_at(at))
    (tmp_path / "broken" / "checkpoints" / "00000099.part").mkdir()  # what a kill while writing leaves
    run(tmp_path / "broken", algorithm, resume=True)
    assert_same(tmp_path / "broken", tmp_path / "straight")


def test_adamw_trains_and_resumes_with_the_same_bits(tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer="adamw", lr=0.01, weight_decay=0.05, epochs=8, shift_px=0, erase_px=0)

    def go(out: Path, **options: object) -> list[dict[str, float]]:
        return train(spos, small_net(SPACE), SPACE, DATA, recipe, out, checkpoint_s=0, **options).history  # type: ignore[arg-type]

    rows = go(tmp_path / "straight")
    with pytest.raises(Killed):
        go(tmp_path / "broken", report=killed_at(7))
    go(tmp_path / "broken", resume=True)
    assert_same(tmp_path / "broken", tmp_path / "straight")
    state = torch.load(newest(tmp_path / "straight") / "state.pt", weights_only=True)["optimizer"]  # type: ignore[operator]
    assert {"step", "exp_avg", "exp_avg_sq"} == set(state["state"][0]) and [g["weight_decay"] for g in state["param_groups"]] == [0.05, 0.0]
    assert rows[-1]["loss"] < 0.85 * rows[0]["loss"]


def test_a_finished_run_is_not_done_again(straight: Path) -> None:
    steps: list[int] = []
    net = small_net(SPACE)
    train(spos, net, SPACE, DATA, RECIPE, straight, resume=True, report=lambda p: steps.append(p.step))
    assert not steps
    other = small_net(SPACE)
    assert load_weights(straight, other, SPACE)["algorithm"] == "spos"
    assert all(map(torch.equal, net.state_dict().values(), other.state_dict().values()))


def test_nothing_is_overwritten_unasked(straight: Path) -> None:
    with pytest.raises(HwnasError, match=r"holds a training run already.*\(resume=True\)"):
        run(straight)


def test_a_run_of_another_kind_names_what_differs(straight: Path) -> None:
    with pytest.raises(HwnasError, match=r"recipe.lr was 0.1, is 0.2"):
        train(spos, small_net(SPACE), SPACE, DATA, replace(RECIPE, lr=0.2), straight, resume=True)
    with pytest.raises(HwnasError, match="algorithm was 'spos', is 'sandwich'"):
        train(sandwich, small_net(SPACE), SPACE, DATA, RECIPE, straight, resume=True)
    with pytest.raises(HwnasError, match="share was True, is False"):
        train(spos, small_net(SPACE, share=False), SPACE, DATA, RECIPE, straight, resume=True)
    other = small.mobilenet(size=8, classes=4, resolutions=(8,), depth=1)
    with pytest.raises(HwnasError, match="space_hash was"):
        train(spos, small_net(other), other, DATA, RECIPE, straight, resume=True)
    with pytest.raises(HwnasError, match="use that space or train again"):
        load_weights(straight, small_net(other), other)
    with pytest.raises(HwnasError, match=r"of another network.*tensors differ"):
        load_weights(straight, small_net(SPACE, share=False), SPACE)
    reseeded = replace(DATA, train=hold_out(DATA.train, 1, 0.5)[0])
    with pytest.raises(HwnasError, match="data was"):
        train(spos, small_net(SPACE), SPACE, reseeded, RECIPE, straight, resume=True)
    train(spos, small_net(SPACE), SPACE, DATA, replace(RECIPE, threads=2), straight, resume=True)  # how, not what


@pytest.mark.parametrize("file", ["weights.safetensors", "state.pt", "progress.json"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, file: str) -> None:
    with pytest.raises(Killed):
        run(tmp_path, report=killed_at(3))
    path = newest(tmp_path) / file  # type: ignore[operator]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HwnasError, match=file):
        run(tmp_path, resume=True)


def test_a_checkpoint_of_a_later_format(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, report=killed_at(3))
    path = newest(tmp_path) / "progress.json"  # type: ignore[operator]
    path.write_text(path.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(HwnasError, match="format 9, this hwnas reads 1"):
        run(tmp_path, resume=True)


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    def burst(run: Run) -> Step:
        step = spos(run)
        return lambda x, y, number: step(x * (float("inf") if number == 4 else 1), y, number)

    with pytest.raises(HwnasError, match=r"diverged at step 5.*recipe.lr.*last good checkpoint is .*00000004"):
        run(tmp_path, burst)
    last = newest(tmp_path)
    assert last is not None and last.name == "00000004"
    assert all(torch.isfinite(t).all() for t in load_file(last / "weights.safetensors").values())


def test_what_an_algorithm_keeps_comes_back(tmp_path: Path) -> None:
    """Architecture parameters and their optimizer, trained on validation batches: the shape that later algorithms have."""

    def with_alpha(run: Run) -> Step:
        alpha = torch.nn.ParameterList([torch.zeros(4)])
        adam = torch.optim.Adam(alpha.parameters(), lr=0.1)
        run.keep(alpha=alpha, alpha_optimizer=adam)
        inner = spos(run)

        def step(x: torch.Tensor, y: torch.Tensor, number: int) -> dict[str, float]:
            x_valid, _ = run.valid_batch(number)
            (alpha[0] * x_valid.mean()).sum().backward()
            adam.step()
            adam.zero_grad()
            return {**inner(x, y, number), "alpha": alpha[0][0].item()}

        return step

    run(tmp_path / "straight", with_alpha)
    with pytest.raises(Killed):
        run(tmp_path / "broken", with_alpha, report=killed_at(6))
    run(tmp_path / "broken", with_alpha, resume=True)
    assert_same(tmp_path / "broken", tmp_path / "straight")


def test_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "00000001.part").symlink_to("/dev/full")
    with pytest.raises(HwnasError, match=r"cannot be written.*resume"):
        run(tmp_path)
