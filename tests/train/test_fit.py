"""hwnas.train(model, ...): a model of one's own, a task that is no classification."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import hwnas
from hwnas.errors import HwnasError
from hwnas.nn import InputChoice, LayerChoice
from hwnas.train import Recipe


class Denoiser(nn.Module):
    """The right kernel is 3: noise has a pattern of that size. Of the two branches one is cut off."""

    def __init__(self):
        super().__init__()
        self.conv = LayerChoice({"1": nn.Conv2d(1, 4, 1), "3": nn.Conv2d(1, 4, 3, padding=1)}, key="conv")
        self.dead = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU())
        self.source = InputChoice(2, 1, key="source", names=["conv", "zeros"])
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return self.out(self.source([self.conv(x), 0 * self.dead(x)]))


def images(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 8, 8, generator=g)
    return x, F.avg_pool2d(x, 3, 1, 1)


def mae(outputs, y):
    return (outputs - y).abs().mean()


SETTINGS = dict(loss=F.mse_loss, metrics={"mae": mae}, reward=lambda o, y: -mae(o, y).item(), epochs=6)
BEST = {"conv": "3", "source": "conv"}


@pytest.mark.parametrize("algorithm", ["spos", "enas"])
def test_a_task_that_is_no_classification(algorithm, tmp_path, capsys):
    torch.manual_seed(0)
    model = Denoiser()
    train = DataLoader(TensorDataset(*images(320, 0)), 32, shuffle=True, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    result = hwnas.train(model, algorithm, train=train, valid=images(64, 1), optimizer=optimizer, log_every=20, **SETTINGS)
    assert result.architecture == BEST and -0.1 < result.reward < 0
    assert optimizer.param_groups[0]["lr"] == 0.02, "the user's own learning rate"

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 3 and lines[-1].startswith("epoch 6/6 step 60/60 loss 0.")
    assert " mae 0." in lines[-1] and "accuracy" not in lines[-1]
    assert [row["step"] for row in result.history] == [20, 40, 60] and -result.reward < result.history[0]["mae"]

    file = tmp_path / "final_architecture.json"
    result.export(file)
    assert json.loads(file.read_text())["choices"] == BEST
    fixed = hwnas.fix(Denoiser(), file)
    assert {n.split(".")[0] for n, _ in fixed.named_parameters()} == {"conv", "out"}
    x, y = images(64, 1)
    assert -result.model().eval()(x).sub(y).abs().mean().item() == pytest.approx(result.reward, abs=1e-6)


def test_one_function_for_all_metrics_and_tensors_for_data(tmp_path):
    torch.manual_seed(0)
    settings = {**SETTINGS, "epochs": 1, "metrics": lambda o, y: {"mae": mae(o, y), "largest": (o - y).abs().max()}, "reward": None}
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        runs.append(
            hwnas.train(
                Denoiser(), "spos", train=images(64, 0), valid=images(32, 1), batch=16, out=None, evaluations=8, log_every=2, **settings
            )
        )
    first, again = runs
    assert {"mae", "largest", "loss", "lr"} <= set(first.history[-1]) and "accuracy" not in first.history[-1]
    timeless = [[{k: v for k, v in row.items() if k != "images_per_s"} for row in run.history] for run in runs]
    assert timeless[0] == timeless[1] and first.reward == again.reward < 0, "the same seed, the same run"


def test_a_classification_needs_nothing_but_data(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        LayerChoice({"linear": nn.Linear(4, 8), "bent": nn.Sequential(nn.Linear(4, 8), nn.ReLU())}, key="layer"), nn.Linear(8, 2)
    )
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > 0).long()
    result = hwnas.train(model, "spos", train=(x, y), valid=(x, y), epochs=30, batch=32, recipe={"lr": 0.2}, out=tmp_path / "run")
    assert result.architecture == {"layer": "bent"} and result.reward > 0.8 and (tmp_path / "run/metrics.jsonl").exists()


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"train": iter([])}, "train: a list_iterator has no length"),
        ({"valid": []}, "valid: no batch in it"),
        ({"train": [torch.zeros(3)]}, "train: a batch is a Tensor, expected \\(x, y\\)"),
        ({"train": (torch.zeros(3), torch.zeros(2))}, "x has 3 rows and y 2"),
        ({"loss": lambda o, y: 0.0}, "loss: gives a float, expected a tensor"),
        ({"algorithm": "sposs"}, "did you mean 'spos'"),
        ({"epochs": 0}, "recipe.epochs: 0 is too small"),
        ({"model": nn.Conv2d(1, 1, 1)}, "no choice in it"),
        ({"loss": lambda o, y: F.mse_loss(o, y) * float("nan")}, "diverged at step 1"),
    ],
)
def test_what_does_not_fit(change, reason):
    settings = {**SETTINGS, "model": Denoiser(), "algorithm": "spos", "train": images(32, 0), "valid": images(32, 1), **change}
    with pytest.raises(HwnasError, match=reason):
        hwnas.train(settings.pop("model"), settings.pop("algorithm"), **settings)


@pytest.mark.parametrize("algorithm", ["random", "ofa"])
def test_an_own_optimizer_keeps_its_rate(algorithm):
    torch.manual_seed(0)
    optimizer = torch.optim.SGD((model := Denoiser()).parameters(), lr=0.03)
    options = {"networks": 2} if algorithm == "random" else {}
    result = hwnas.train(
        model,
        algorithm,
        train=images(64, 0),
        valid=images(32, 1),
        batch=16,
        optimizer=optimizer,
        options=options,
        log_every=1,
        evaluations=4,
        loss=F.mse_loss,
        epochs=3,
    )
    assert {row["lr"] for row in result.history} == {0.03} and {g["lr"] for g in optimizer.param_groups} == {0.03}


def test_random_finds_the_best_of_rewards_below_minus_one():
    torch.manual_seed(0)
    data = {"train": images(128, 0), "valid": images(64, 1)}
    result = hwnas.train(Denoiser(), "random", **data, batch=16, loss=lambda o, y: 5 + F.mse_loss(o, y), epochs=4, log_every=1)
    best = [row["best_reward"] for row in result.history if "best_reward" in row]
    assert len(best) == 32 - 3 and -7 < best[0] < best[-1] < -5 and best == sorted(best)
    assert result.reward == pytest.approx(best[-1], abs=0.5)


def test_a_reward_that_is_no_number_ends_a_random_search():
    with pytest.raises(HwnasError, match="diverged at step .*best_reward.: nan"):
        options = {"options": {"networks": 2}, "train": images(64, 0), "valid": images(32, 1)}
        hwnas.train(Denoiser(), "random", **options, loss=F.mse_loss, reward=lambda o, y: float("nan"), epochs=2)


def test_pbt_refuses_an_own_optimizer():
    optimizer = torch.optim.SGD((model := Denoiser()).parameters(), lr=0.03)
    with pytest.raises(HwnasError, match="pbt: optimizer: .*recipe.lr"):
        hwnas.train(model, "pbt", train=images(64, 0), valid=images(32, 1), optimizer=optimizer, **SETTINGS)


def test_the_package_is_still_a_package():
    assert hwnas.train.Recipe is Recipe and hwnas.train.train is not hwnas.train
