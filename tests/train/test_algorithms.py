"""SPOS, the sandwich rule and retraining: what each step does to which weights, and that they learn."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_data, small_net, small_space
from torch.nn import functional as F

from hwnas.data import to_float
from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.spaces import resnet
from hwnas.supernet import Supernet, fix
from hwnas.train import Recipe, Run, newest, read_progress, retrain, soft_cross_entropy, split_accuracy, train
from hwnas.train.run import make_optimizer
from hwnas.train.sandwich import Sandwich, sandwich, sandwich_step
from hwnas.train.spos import spos
from hwnas.train.world import World
from hwnas.train.zero_init import zero_init

SPACE, DATA = small_space(), small_data()


def make_run(net: Supernet, recipe: Recipe) -> Run:
    return Run(net.train(), SPACE, recipe, 10, 5, make_optimizer(net, recipe), lambda k: None, net)  # type: ignore[arg-type, return-value]


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    return to_float(DATA.train.images[:32]), DATA.train.labels[:32]


def test_spos_trains_only_the_weights_on_its_path() -> None:
    net = small_net(SPACE, share=False)
    before = {k: t.clone() for k, t in net.named_parameters()}
    run = make_run(net, Recipe(lr=0.5, weight_decay=0.1))
    step = spos(run)
    step(*a_batch(), 7)
    z = make_run(net, Recipe()).draw(7)[0]
    net.zero_grad()
    net(a_batch()[0], path(SPACE, z)).sum().backward()
    on_path = {k for k, p in net.named_parameters() if p.grad is not None}
    changed = {k for k, p in net.named_parameters() if not torch.equal(p, before[k])}
    assert changed <= on_path and len(changed) > 0.8 * len(on_path) and len(on_path) < len(before)


def test_paths_are_a_function_of_seed_and_step() -> None:
    net = small_net(SPACE)
    draw = lambda seed, number: make_run(net, Recipe(seed=seed)).draw(number, 3)
    assert np.array_equal(draw(1, 4), draw(1, 4))
    assert not np.array_equal(draw(1, 4), draw(1, 5)) and not np.array_equal(draw(1, 4), draw(2, 4))


def test_visits_are_uniform_over_values_and_add_up() -> None:
    run = make_run(small_net(SPACE), Recipe())
    for number in range(2000):
        run.draw(number)
    for gene, counts in zip(SPACE.genes, run.visits):
        n = len(gene.values)
        assert counts.sum() == 2000 and (counts[n:] == 0).all()
        assert abs(counts[:n] - 2000 / n).max() < 5 * np.sqrt(2000 / n)
    depth = run.option_visits()["s1_depth"]
    assert depth["1"] == 2000 > depth["2"]  # the first layer always runs


def test_sandwich_gradients_are_those_of_its_four_networks() -> None:
    """Against the rule written out: labels for the largest, its soft targets for the others, one clipped update."""
    recipe = Recipe(lr=0.3, momentum=0.0, weight_decay=0.0, label_smoothing=0.2, clip=0.5)
    net, (x, y) = small_net(SPACE), a_batch()
    run = make_run(net, recipe)
    run.optimizer.param_groups[0]["lr"] = run.optimizer.param_groups[1]["lr"] = 0.3
    record = sandwich(run, Sandwich())(x, y, 3)

    twin = small_net(SPACE).train()
    teacher = twin(x, path(SPACE, SPACE.largest()))
    loss = F.cross_entropy(teacher, y, label_smoothing=0.2)
    p = teacher.detach().softmax(1)
    for z in (SPACE.smallest(), *make_run(net, recipe).draw(3, 2)):
        loss = loss + (p * (p.log() - twin(x, path(SPACE, z)).log_softmax(1))).sum(1).mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
    assert norm > 0.5 and set(record) == {"loss", "accuracy", "distance_smallest", "accuracy_smallest"}
    for a, b in zip(net.parameters(), twin.parameters()):
        assert torch.allclose(a, b if b.grad is None else b - 0.3 * b.grad, atol=1e-5)


def test_a_sandwich_with_fewer_smallest_networks() -> None:
    run = make_run(small_net(SPACE), Recipe(lr=0.1))
    step, (x, y) = sandwich(run, Sandwich(random_nets=1, smallest_every=3)), a_batch()
    records = [step(x, y, number) for number in range(6)]
    assert ["distance_smallest" in r for r in records] == [True, False, False] * 2
    assert run.visits.sum(1).tolist() == [6 + 2 + 6] * len(SPACE.genes)


def test_no_gradient_reaches_the_teacher() -> None:
    teacher, student = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    distance = soft_cross_entropy(student, teacher)
    distance.backward()
    assert teacher.grad is None and student.grad is not None and distance > 0
    assert soft_cross_entropy(teacher, teacher).abs() < 1e-6


def test_distances_that_choose_networks_are_the_mean_over_processes() -> None:
    """What attentive draws next follows from them: from distances of its own each process would draw other networks."""

    class Two(World):
        def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
            return dict.fromkeys(figures, 0.5)

    run, told = make_run(small_net(SPACE), Recipe()), []
    run.world = Two()
    sandwich_step(run, Sandwich(), lambda Z, distances: told.append(distances))(*a_batch(), 0)
    assert told == [[0.5] * 3]


def test_weight_decay_spares_batchnorm_and_biases() -> None:
    net = small_net(SPACE)
    decayed, spared = make_optimizer(net, Recipe(weight_decay=0.1)).param_groups
    assert decayed["weight_decay"] == 0.1 and all(p.ndim > 1 for p in decayed["params"])
    assert spared["weight_decay"] == 0 and all(p.ndim == 1 for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(net.parameters()))


@pytest.mark.parametrize("algorithm", [spos, sandwich])
def test_it_learns_and_a_winner_retrains(tmp_path: Path, algorithm: object) -> None:
    net, recipe = small_net(SPACE), Recipe(epochs=8, batch=32, shift_px=0, zero_init=True)
    train(algorithm, net, SPACE, DATA, recipe, tmp_path / "net", journal_steps=1)  # type: ignore[arg-type]
    progress = read_progress(newest(tmp_path / "net"))  # type: ignore[arg-type]
    assert progress["done"] == progress["steps"] == 8 * 6 and progress["space_hash"] == SPACE.hash
    z = SPACE.largest()
    winner = retrain(net, z, DATA, Recipe(epochs=8, batch=32, shift_px=0, lr=0.05, distill=0.3), tmp_path / "winner")
    assert split_accuracy(winner, DATA.valid, SPACE.input_size(z)) > 0.9
    assert '"valid_accuracy"' in (tmp_path / "winner" / "metrics.jsonl").read_text()
    assert list((tmp_path / "winner" / "tensorboard").glob("events*"))


def test_zero_init_makes_identities_of_residual_blocks() -> None:
    """A ResNet's blocks, too: after a ReLU an identity is one; a block that changes the shape begins as its shortcut."""
    space = resnet(1, 8, 4, stem=4, widths=((4, 6), (8,)), depth=2, strides=(1, 2))
    zero_init(net := small_net(space))
    x = torch.rand(2, 6, 8, 8)
    down, block = (net.mixed[f"s1_l{i}"].elastics[0].full.train() for i in (1, 2))
    assert torch.equal(block(x), x) and torch.equal(down(x[:, :4]), F.relu(down.shortcut(x[:, :4])))
    zero_init(net := small_net(SPACE))
    block, x = net.mixed["s1_l2"].elastics[0].full.train(), torch.randn(2, 12, 8, 8)
    assert torch.equal(block(x), x)


def test_retraining_from_scratch_forgets_the_supernet(tmp_path: Path) -> None:
    net, z, recipe = small_net(SPACE), SPACE.smallest(), Recipe(epochs=1, batch=32)
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(float("nan"))
    winner = retrain(net, z, DATA, recipe, tmp_path, inherit=False)
    assert all(torch.isfinite(p).all() for p in winner.parameters())
    assert not torch.isfinite(next(fix(net, z).parameters())).all()  # the supernet is left as it was


@pytest.mark.parametrize("field", ["bf16", "channels_last"])
def test_options_of_the_machine(tmp_path: Path, field: str) -> None:
    recipe = Recipe.parse({"epochs": 1, "batch": 32, field: field == "bf16"})
    assert newest(tmp_path) is None
    train(spos, small_net(SPACE), SPACE, DATA, recipe, tmp_path)
    assert newest(tmp_path) is not None


def test_a_supernet_is_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(HwnasError, match=r"recipe.compile.*retraining"):
        train(spos, small_net(SPACE), SPACE, DATA, Recipe(compile=True), tmp_path)
