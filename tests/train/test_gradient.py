"""DARTS, GDAS, FBNet, ProxylessNAS, Single-Path NAS: what a step does, against numbers worked out another way."""

from __future__ import annotations

import copy
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from costs import constraint, cost_model
from small import small_space
from torch import Tensor, nn
from torch.func import functional_call

from hwnas.block import Block
from hwnas.data import Batches, Dataset, Split, hold_out, to_float
from hwnas.errors import HwnasError
from hwnas.gates import path, softmax
from hwnas.gene import Gene
from hwnas.slot import Slot
from hwnas.space import Space
from hwnas.spaces import darts as darts_space
from hwnas.spaces import nasbench201
from hwnas.spaces import single_path as single_path_space
from hwnas.supernet import Supernet
from hwnas.train import Alpha, Constraint, Recipe, Run, parse_options, train, traits_of
from hwnas.train.darts import darts
from hwnas.train.fbnet import fbnet, fbnet_loss
from hwnas.train.gdas import gdas
from hwnas.train.proxylessnas import proxylessnas, rescale, two_path_genes
from hwnas.train.run import make_optimizer
from hwnas.train.single_path import single_path
from hwnas.train.superkernel import Superkernel
from hwnas.train.unrolled import unrolled

SMALL = small_space()


def textures(n: int = 300) -> Dataset:
    """Four classes that a network with global pooling can tell: rows, columns, checks, noise."""
    rng = np.random.default_rng(0)
    row, column = np.indices((8, 8))
    patterns = np.stack([row % 2, column % 2, (row + column) % 2, np.zeros((8, 8), int)])
    labels = np.arange(n) % 4
    images = (rng.integers(0, 120, (n, 8, 8)) + 130 * patterns[labels]).astype(np.uint8)
    rest, test = hold_out(Split.of(images, labels), 0, 0.2)
    return Dataset("textures", tuple("abcd"), *hold_out(rest, 0), lambda: test, mirror=False)


DATA = textures()
ALL = pytest.mark.parametrize("algorithm", [darts, gdas, fbnet, proxylessnas, single_path], ids=lambda a: a.__name__)


def layers_space(layers: int = 2) -> Space:
    """One gene a layer: two convolutions, a pool, a skip."""

    def layer(op: str) -> Block:
        return {
            "conv1": Block("conv", 8, 8, 8, 8, kernel=1, act="relu"),
            "conv3": Block("conv", 8, 8, 8, 8, kernel=3, act="relu"),
            "pool": Block("avg_pool", 8, 8, 8, 8, kernel=3),
            "skip": Block("skip", 8, 8, 8, 8),
        }[op]

    slots = [Slot.of("stem", "x", "n0", {}, lambda: Block("stem", 1, 8, 8, 8, kernel=3, act="relu"))]
    for i in range(layers):
        op = Gene.one(f"op{i}", ["conv1", "conv3", "pool", "skip"])
        slots.append(Slot.of(f"layer{i}", f"n{i}", f"n{i + 1}", {"op": op}, layer))
    slots.append(Slot.of("head", f"n{layers}", "y", {}, lambda: Block("head", 8, 4, 8, 8)))
    return Space("layers", tuple(slots), "y")


def make_run(space: Space, recipe: Recipe, constraint: Constraint | None = None, share: bool = False, steps: int = 10) -> Run:
    torch.manual_seed(0)
    net = Supernet(space, share).train()
    batches = Batches(DATA.train, 32, 1)
    run = Run(net, space, recipe, steps, 5, make_optimizer(net, recipe), batches.at, net)
    run.arch_batch, run.constraint = batches.at, constraint
    return run


def a_batch() -> tuple[Tensor, Tensor]:
    return to_float(DATA.train.images[:32]), DATA.train.labels[:32]


def step_of(run: Run, algorithm: object, **options: object):  # type: ignore[no-untyped-def]
    return algorithm(run, parse_options(algorithm, options))  # type: ignore[operator, arg-type]


# ---- DARTS ------------------------------------------------------------------------------------------------------------------


def test_second_order_darts_is_autograd_through_the_unrolled_step() -> None:
    """In double precision, with momentum in the buffers, against autograd through w' = w - lr (m buffer + g + decay w)."""
    recipe = Recipe(lr=0.1, momentum=0.9, weight_decay=0.01, label_smoothing=0.0)
    space = layers_space()
    run = make_run(space, recipe)
    for mixed in run.net.mixed.values():  # type: ignore[operator, union-attr]
        for module in mixed.modules():
            if isinstance(module, nn.Sequential) and any(isinstance(m, nn.ReLU) for m in module):
                for j, m in enumerate(module):
                    module[j] = nn.Softplus() if isinstance(m, nn.ReLU) else m  # finite differences need a smooth function
    net = run.net.double()
    x, y = a_batch()
    x = x.double()
    run.optimizer = make_optimizer(net, recipe)
    for group in run.optimizer.param_groups:
        group["lr"] = 0.1
    nn.functional.cross_entropy(net(x, path(space, np.array([1, 1]))), y).backward()
    run.update()  # fills momentum buffers of some weights and not of others
    alpha = Alpha(space, space.largest(), init=0.5).double()
    names = [n for n, p in net.named_parameters() if p.requires_grad]
    weights = {n: net.get_parameter(n).detach().clone().requires_grad_() for n in names}
    buffers = {n: run.optimizer.state[net.get_parameter(n)].get("momentum_buffer") for n in names}
    decay = {n: 0.01 if weights[n].ndim > 1 else 0.0 for n in names}

    def loss_at(w: dict[str, Tensor], a: list[Tensor]) -> Tensor:
        return nn.functional.cross_entropy(functional_call(net, w, (x, softmax(dict(zip(alpha.genes, a))))), y)

    def outer(a: list[Tensor]) -> Tensor:
        grads = dict(zip(names, torch.autograd.grad(loss_at(weights, a), [weights[n] for n in names], create_graph=True)))
        step = {n: grads[n] + decay[n] * weights[n] + (0 if buffers[n] is None else 0.9 * buffers[n]) for n in names}
        return loss_at({n: weights[n] - 0.1 * step[n] for n in names}, a)

    context = {g.name: v for g, v in path(space, space.largest()).items() if g not in {h.name for h in alpha.genes}}
    assert not context  # every gene is learned here
    logits = [a.detach().clone().requires_grad_() for a in alpha.logits]
    expected = torch.autograd.grad(outer(logits), logits)
    first = torch.autograd.grad(loss_at(weights, logits), logits)

    def loss() -> Tensor:
        return nn.functional.cross_entropy(net(x, alpha.gates(softmax)), y)

    before = copy.deepcopy(net.state_dict())
    _, found = unrolled(run, list(alpha.parameters()), loss, loss)
    assert all(torch.equal(p, before[n]) for n, p in net.named_parameters())
    for one, other, plain in zip(found, expected, first):
        assert torch.allclose(one, other, rtol=2e-3, atol=1e-7)
        assert (other - plain).abs().max() > 10 * (one - other).abs().max()  # so that first order would not pass


def test_darts_updates_alpha_on_held_out_images_and_weights_on_the_others() -> None:
    run = make_run(layers_space(), Recipe(lr=0.1))
    seen: list[int] = []
    batch = run.arch_batch
    run.arch_batch = lambda number: seen.append(number) or batch(number)  # type: ignore[func-returns-value]
    step = step_of(run, darts, lr=0.1)
    assert run.alpha is not None
    alpha, weights = copy.deepcopy(run.alpha.state_dict()), copy.deepcopy(run.net.state_dict())
    record = step(*a_batch(), 3)
    assert seen == [3] and {"loss", "arch_loss", "entropy", "skips"} <= set(record)
    assert all(not torch.equal(a, alpha[k]) for k, a in run.alpha.state_dict().items())
    assert any(not torch.equal(p, weights[n]) for n, p in run.net.named_parameters())
    assert all(p.grad is None for p in [*run.alpha.parameters(), *run.net.parameters()])
    assert (run.visits[:, :4] == 1).all()


def test_derived_cells_have_no_none_and_the_two_strongest_edges() -> None:
    space = darts_space(1, 8, 4, width=4, cells=3, nodes=2)
    alpha = Alpha(space, space.largest())
    assert len(alpha.edges) == 4 and len(alpha.genes) == 2 * (2 + 3)
    strong = {"normal_n1_c0": 3.0, "normal_n1_c1": 1.0, "normal_n1_n0": 2.0}
    with torch.no_grad():
        for gene, a in alpha.by_gene().items():
            a.zero_()
            a[0] = 9.0 if "normal" in gene.name else 0.0  # none is strongest and must not win
            a[4] = strong.get(gene.name, 0.5)
    choices = space.decode(alpha.code())
    assert choices["normal_n1_inputs"] == ["c0", "n0"] and choices["normal_n1_c0"] == "sep_conv_3x3"
    assert "none" not in choices.values()
    assert alpha.weights()["normal_n1_inputs"].tolist() == pytest.approx([2 / 3] * 3)  # two of three edges are kept
    bench = Alpha(nasbench201(1, 8, 4, width=4, cells=1), np.zeros(6, int))
    with torch.no_grad():
        bench.logits[0][0] = 5.0
    assert bench.code()[0] == 0 and not bench.edges  # there none is an operator like any other


def test_collapse_to_skips_is_counted_and_can_end_a_run(tmp_path: Path) -> None:
    space = nasbench201(1, 8, 4, width=4, cells=1)
    run = make_run(space, Recipe(lr=0.1))
    step = step_of(run, darts, most_skips=3)
    with torch.no_grad():
        for a in run.alpha.logits:  # type: ignore[union-attr]
            a[1] = 4.0
    assert step(*a_batch(), 0)["skips"] == 6 and "6 skip connections" in run.stop
    off = make_run(space, Recipe(lr=0.1))
    step = step_of(off, darts, skip_dropout=0.9)
    with torch.no_grad():
        for a in off.alpha.logits:  # type: ignore[union-attr]
            a.fill_(-9.0)[1] = 9.0
    torch.manual_seed(0)
    assert torch.isfinite(torch.tensor(step(*a_batch(), 0)["loss"]))
    assert not off.stop


def test_batchnorm_is_not_affine_in_cells_of_darts_and_gdas_only() -> None:
    for algorithm, space, frozen in ((darts, nasbench201, True), (gdas, nasbench201, True), (fbnet, nasbench201, False)):
        run = make_run(space(1, 8, 4, width=4, cells=1), Recipe(lr=0.5))
        step = step_of(run, algorithm)
        step(*a_batch(), 0)
        inside = [m for mixed in run.net.mixed.values() if mixed.slot.genes for m in mixed.modules() if isinstance(m, nn.BatchNorm2d)]  # type: ignore[operator, union-attr]
        untouched = all((m.weight == 1).all() and (m.bias == 0).all() for m in inside)
        assert inside and untouched == frozen
    chain = make_run(layers_space(), Recipe())
    step_of(chain, darts)
    assert all(p.requires_grad for p in chain.net.parameters())


# ---- GDAS -------------------------------------------------------------------------------------------------------------------


def test_gdas_runs_only_the_argmax(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(layers_space(), Recipe(lr=0.1))
    step = step_of(run, gdas)
    ran: list[tuple[str, int]] = []
    for name, mixed in run.net.mixed.items():  # type: ignore[operator, union-attr]
        if mixed.slot.genes:
            for i, elastic in enumerate(mixed.elastics):
                elastic.register_forward_hook(lambda m, x, y, at=(name, i): ran.append(at))
    record = step(*a_batch(), 0)
    assert len(ran) == 2 * 2 and record["tau"] == 10.0  # a step of the weights and one of alpha, one option of each of two layers
    assert run.visits.sum() == 2
    assert step(*a_batch(), 9)["tau"] == pytest.approx(0.1)


# ---- FBNet ------------------------------------------------------------------------------------------------------------------


def test_fbnet_loss_by_hand() -> None:
    loss = fbnet_loss(torch.tensor(2.0), torch.tensor(1000.0), 0.2, 0.6)
    assert float(loss) == pytest.approx(2 * 0.2 * log(1000) ** 0.6)
    assert float(loss) == pytest.approx(1.27545, abs=1e-5)


def test_a_network_of_0_3_ms_has_a_finite_loss_that_rises_with_latency() -> None:
    """In milliseconds log 0.3 < 0, and (log LAT)^0.6 is no number."""
    space = layers_space()
    held = constraint(space, "latency=60%", ms=0.05)
    alpha = Alpha(space, space.largest())
    lat, reference = held.cost({k: w.detach() for k, w in alpha.weights().items()})
    expected = held.model.expected("latency_ms", alpha.weights()).detach() * 1.05
    assert float(lat) == pytest.approx(1e3 * float(expected), rel=1e-6) and 100 < float(lat) < 1000 and reference > 1
    lat = (lat * (300 / lat)).requires_grad_()
    loss = fbnet_loss(torch.tensor(1.0), lat, 0.2, 0.6)
    assert torch.isfinite(loss) and torch.autograd.grad(loss, lat)[0] > 0
    assert not torch.isfinite(fbnet_loss(torch.tensor(1.0), torch.tensor(0.3), 0.2, 0.6))
    with pytest.raises(HwnasError, match="must both exceed 1.*constraint=lagrangian"):
        constraint(space, "latency=60%", ms=1e-5).cost(alpha.weights())


def test_fbnet_freezes_theta_in_the_warm_up_and_feels_the_table() -> None:
    space = layers_space()
    run = make_run(space, Recipe(lr=0.1), constraint(space, "latency=60%"), steps=100)
    step = step_of(run, fbnet, constraint="paper", every=2, b=4.0, lr=0.1)
    assert run.alpha is not None
    before = copy.deepcopy(run.alpha.state_dict())
    assert "arch_loss" not in step(*a_batch(), 8) and all(torch.equal(a, before[k]) for k, a in run.alpha.state_dict().items())
    assert "arch_loss" not in step(*a_batch(), 11) and "arch_loss" in (record := step(*a_batch(), 12))
    assert record["tau"] == pytest.approx(5 * (0.087 / 5) ** 0.12) and "lambda_latency" not in record
    assert run.derive is not None and len(Z := run.derive()) > 5 and np.array_equal(Z[0], run.alpha.code())
    assert (np.diff(run.alpha.log_likelihood(Z[1:])) <= 0).all()


def test_the_sampled_latency_is_the_weighted_sum_of_the_table() -> None:
    space = layers_space()
    model = cost_model(space)
    alpha = Alpha(space, space.largest(), init=1.0)
    gates = alpha.gates(softmax)
    table = dict(zip(space.blocks, model.tables["latency_ms"]))
    by_hand = model.base["latency_ms"] + table[space.slots[0].blocks[0]] + table[space.slots[-1].blocks[0]]  # type: ignore[index]
    for slot in space.slots[1:-1]:
        by_hand += sum(float(w) * table[b] for w, b in zip(gates[slot.genes[0].name].weights, slot.blocks))  # type: ignore[index, arg-type]
    assert float(model.expected("latency_ms", alpha.weights_of(gates))) == pytest.approx(by_hand, rel=1e-6)


# ---- ProxylessNAS -----------------------------------------------------------------------------------------------------------


def test_the_inactive_path_has_no_gradient_and_no_graph() -> None:
    from hwnas.gates import binary

    space = layers_space(1)
    run = make_run(space, Recipe())
    net, alpha = run.net, Alpha(space, space.largest(), init=0.3)
    x, y = a_batch()
    torch.manual_seed(2)
    gate, (on, off) = binary(alpha.genes[0], alpha.logits[0])
    while {on, off} != {0, 1}:
        gate, (on, off) = binary(alpha.genes[0], alpha.logits[0])
    loss = nn.functional.cross_entropy(net(x, {"op0": gate}), y)
    loss.backward()
    elastics = net.mixed["layer0"].elastics  # type: ignore[operator, union-attr, index]
    assert all(p.grad is None for p in elastics[off].parameters()) and all(p.grad is not None for p in elastics[on].parameters())
    alone = nn.functional.cross_entropy(net(x, path(space, np.array([on]))), y)
    assert float(loss) == pytest.approx(float(alone), abs=1e-6)
    # eq. 4: dL/dg_j is the inner product of dL/dy with the path's output
    stem, head = net.mixed["stem"](x), net.mixed["head"]  # type: ignore[operator, union-attr, index]
    outs = {k: net.body.slots["layer0"]._run((k,), stem) for k in (on, off)}  # type: ignore[union-attr, index, operator]
    mixed = outs[on].detach().requires_grad_()
    grad = torch.autograd.grad(nn.functional.cross_entropy(head(mixed), y), mixed)[0]
    q = alpha.logits[0].detach()[[on, off]].softmax(0)
    difference = ((outs[on] - outs[off]).detach() * grad).sum()
    expected = torch.zeros(4)
    expected[on], expected[off] = q[0] * q[1] * difference, -q[0] * q[1] * difference
    assert torch.allclose(alpha.logits[0].grad, expected, atol=1e-5)  # type: ignore[arg-type]


def test_proxyless_losses_by_hand() -> None:
    space = layers_space()
    for kind, formula in (
        ("linear", lambda ce, e, ref: ce + 0.1 * (e - ref) / ref),
        ("log", lambda ce, e, ref: ce * 0.2 * (log(e) / log(ref)) ** 0.3),
    ):
        held = constraint(space, "latency=40%")
        run = make_run(space, Recipe(), held)
        step = step_of(run, proxylessnas, constraint=kind, warmup=0.0, every=1, lr=0.0)
        e, ref = held.cost(run.alpha.weights())  # type: ignore[union-attr]
        by_hand = 1e3 * 1.05 * held.model.expected("latency_ms", run.alpha.weights()).item()  # type: ignore[union-attr]
        values: list[tuple[Tensor, Tensor]] = []
        held.price = _spied(held.price, values)  # type: ignore[method-assign]
        step(*a_batch(), 0)
        ((ce, priced),) = values
        assert priced.item() == pytest.approx(formula(ce.item(), e.item(), ref), rel=1e-5)
        assert e.item() == pytest.approx(by_hand, rel=1e-5)


def test_unsampled_probabilities_stay_as_they_were() -> None:
    a = torch.tensor([0.5, -0.2, 1.0, 0.3])
    p, before = a.softmax(0), a.clone()
    a[1] += 0.4
    a[2] -= 0.1
    rescale(a, before, (1, 2))
    assert torch.allclose(a.softmax(0)[[0, 3]], p[[0, 3]]) and a.softmax(0)[1] > p[1]


def test_alpha_learns_every_fifth_step_after_the_warm_up() -> None:
    run = make_run(layers_space(), Recipe(lr=0.1), steps=100)
    step = step_of(run, proxylessnas)
    assert [k for k in range(12, 27) if "arch_loss" in step(*a_batch(), k)] == [15, 20, 25]
    assert run.visits.sum() == 15 * 2  # one path a step of the weights


def test_no_slot_runs_more_than_two_blocks() -> None:
    alpha = Alpha(SMALL, SMALL.largest())
    rng = np.random.default_rng(0)
    taken: set[str] = set()
    for _ in range(50):
        genes = two_path_genes(alpha, rng)
        slots = [s.name for g in genes for s in SMALL.slots if g in s.axes]
        assert len(slots) == len(set(slots))
        taken |= {g.name for g in genes}
    assert taken == {g.name for g in alpha.genes} and "s1_width" not in taken


# ---- Single-Path NAS ---------------------------------------------------------------------------------------------------------


def kernel_space() -> Space:
    from hwnas.spaces import mobilenet

    return mobilenet(
        size=8,
        classes=4,
        resolutions=(8,),
        stem=8,
        stem_stride=1,
        widths=((12,), (16,)),
        depth=2,
        strides=(1, 2),
        kernels=(3, 5, 7),
        expands=(1, 3, 4, 6),
        acts=("relu",),
        head_expand=1,
    )


@pytest.mark.parametrize("seed", range(4))
def test_switches_make_the_sliced_network(seed: int) -> None:
    """Every pattern of switches computes what the path of its code does, in training mode and with lively BatchNorms."""
    space = kernel_space()
    torch.manual_seed(seed)
    net = Supernet(space, share=True).train()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d) and m.affine:
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 0, 0.3)
    held = space.encode({**space.decode(space.largest()), **{g.name: 0 for g in space.genes if "se" in g.name}})
    kernel = Superkernel(net, held if seed % 2 else space.largest())
    assert [len(o) for g, o in kernel.options.items() if "expand" in g.name] == [3] * 4  # an expansion of 1 cannot be cut from 6
    with torch.no_grad():
        for t in kernel.thresholds:
            t.uniform_(0.0, 2.0)
        on = kernel.switches()
        z, x = kernel.code(on), a_batch()[0]
        y = kernel(x, on)
        assert torch.allclose(y, net(x, path(space, z)), atol=1e-4)
        weights = kernel.weights(on)
        for gene, value in zip(space.genes, z):
            assert weights[gene.name].tolist() == [float(o in gene.values[value]) for o in range(len(gene.options))]


def skip_space() -> Space:
    return single_path_space(1, 8, 4, stem=8, stem_stride=1, widths=(8, 16), depth=3, strides=(1, 2), head_expand=1)


def test_an_expansion_of_0_has_a_switch_on_the_smallest_block() -> None:
    """On the space of the paper: off is skip, and every pattern computes what the path of its code does."""
    space, seen = skip_space(), set()
    torch.manual_seed(0)
    net = Supernet(space, share=True).train()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d) and m.affine:
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, 0, 0.3)
    kernel = Superkernel(net, space.largest())
    skippable = [g for g in space.genes if g.options == (0, 3, 6)]
    assert len(skippable) == 5 and all(kernel.options[g] == [0, 1, 2] for g in skippable)
    for _ in range(6):
        with torch.no_grad():
            for t in kernel.thresholds:
                t.uniform_(0.0, 1.8)
            on = kernel.switches()
            z, x = kernel.code(on), a_batch()[0]
            assert torch.allclose(kernel(x, on), net(x, path(space, z)), atol=1e-4)
        choices, weights = space.decode(z), kernel.weights(on)
        seen |= {choices[g.name] for g in skippable}
        for gene, value in zip(space.genes, z):
            assert weights[gene.name].tolist() == [float(o in gene.values[value]) for o in range(len(gene.options))]
    assert seen == {0, 3, 6}
    with torch.no_grad():
        for t in kernel.thresholds:
            t.zero_()
    gene, x = skippable[0], a_batch()[0]
    kernel(x, kernel.switches()).square().sum().backward()
    assert kernel.thresholds[kernel.genes.index(gene)].grad.abs().min() > 0  # type: ignore[union-attr]


def test_a_tight_budget_makes_single_path_skip_layers(tmp_path: Path) -> None:
    """By what it learns, with nothing left to repair."""
    space = skip_space()
    held = constraint(space, "latency=20%", rate=0.3)
    torch.manual_seed(0)
    net, recipe = Supernet(space, share=True), Recipe(epochs=8, batch=32, lr=0.05, threads=1)
    result = train(single_path, net, space, DATA, recipe, tmp_path, options={"lr": 0.05, "warmup": 0.0}, constraint=held)
    assert result.derived is not None and 0 in [result.derived.choices[g.name] for g in space.genes if 0 in g.options]
    assert not result.derived.repaired


def test_switches_have_the_gradient_of_a_sigmoid() -> None:
    space = kernel_space()
    torch.manual_seed(0)
    kernel = Superkernel(Supernet(space, share=True), space.largest())
    on = kernel.switches()
    assert all((t == 1).all() for t in on.values())  # all on at the start: |w|^2 is 1, t is 0
    gene = next(iter(on))
    on[gene][-1].backward()
    s = 1 / (1 + np.exp(-1.0))
    assert kernel.thresholds[0].grad[-1].item() == pytest.approx(-s * (1 - s), rel=1e-5)  # type: ignore[index]
    with torch.no_grad():
        kernel.thresholds[0][0] = 5.0
    assert kernel.switches()[gene].tolist() == [0.0] * len(on[gene])  # an outer shell is off where an inner one is


def test_single_path_refuses_a_space_without_nested_options() -> None:
    with pytest.raises(HwnasError, match="nested kernels or channels"):
        step_of(make_run(layers_space(), Recipe(), share=True), single_path)


# ---- common -----------------------------------------------------------------------------------------------------------------


@ALL
def test_the_lagrangian_keeps_the_budget(tmp_path: Path, algorithm: object) -> None:
    """E[cost] comes from above the budget to below it (by 5 % at most over), and lambda rises while it is above."""
    space = kernel_space() if algorithm is single_path else layers_space(3)
    held = constraint(space, "latency=20%", rate=0.3)
    options: dict[str, object] = {"lr": 0.3} if algorithm is not single_path else {"lr": 0.05, "warmup": 0.0}
    options |= {"every": 1, "warmup": 0.0} if algorithm in (fbnet, proxylessnas) else {}
    torch.manual_seed(0)
    net = Supernet(space, share=bool(traits_of(algorithm).share))  # type: ignore[arg-type]
    recipe = Recipe(epochs=8 if algorithm is single_path else 16, batch=32, lr=0.05, threads=1)
    result = train(algorithm, net, space, DATA, recipe, tmp_path, options=options, constraint=held, journal_steps=1)  # type: ignore[arg-type]
    used = [row["latency_used"] for row in result.history if "latency_used" in row]
    assert max(used) > 1.0 and used[-1] < 1.05 and max(row.get("lambda_latency", 0) for row in result.history) > 0
    assert result.derived is not None and held.keeps(result.derived.z[None])[0]
    assert result.derived.costs["latency_ms"]["upper"] <= result.derived.costs["latency_ms"]["limit"]


@ALL
def test_without_a_budget_it_learns_for_accuracy(tmp_path: Path, algorithm: object) -> None:
    space = kernel_space() if algorithm is single_path else layers_space()
    torch.manual_seed(0)
    net = Supernet(space, share=bool(traits_of(algorithm).share))  # type: ignore[arg-type]
    result = train(algorithm, net, space, DATA, Recipe(epochs=8, batch=32, lr=0.1, threads=1), tmp_path)  # type: ignore[arg-type]
    assert result.derived is not None and (tmp_path / "derived.json").exists()
    assert result.history[-1]["loss"] < 0.97 * result.history[0]["loss"]
    assert (algorithm is single_path) != bool(result.derived.probabilities)


@pytest.mark.parametrize("algorithm", [darts, gdas, fbnet, proxylessnas, single_path], ids=lambda a: a.__name__)
def test_stopped_and_resumed_it_ends_with_the_same_bits(tmp_path: Path, algorithm: object) -> None:
    """Weights, alpha, its optimizer and the multipliers of the constraint."""
    from safetensors.torch import load_file

    space = kernel_space() if algorithm is single_path else layers_space()
    recipe = Recipe(epochs=2, batch=32, threads=1)

    def go(out: Path, stop: int = 0) -> Path:
        def report(progress: object) -> None:
            if stop and progress.step == stop:  # type: ignore[attr-defined]
                raise InterruptedError

        torch.manual_seed(0)
        net = Supernet(space, share=bool(traits_of(algorithm).share))  # type: ignore[arg-type]
        held = constraint(space)
        return train(algorithm, net, space, DATA, recipe, out, constraint=held, resume=True, checkpoint_s=0, report=report).checkpoint  # type: ignore[arg-type]

    straight = go(tmp_path / "straight")
    with pytest.raises(InterruptedError):
        go(tmp_path / "broken", stop=5)
    resumed = go(tmp_path / "broken")
    one, other = load_file(straight / "weights.safetensors"), load_file(resumed / "weights.safetensors")
    assert all(torch.equal(t, other[k]) for k, t in one.items())
    states = [torch.load(p / "state.pt", weights_only=True) for p in (straight, resumed)]
    assert set(states[0]) > {"optimizer", "constraint"}
    assert all(torch.equal(a, b) for a, b in zip(_tensors(states[0]), _tensors(states[1]), strict=True))
    derived = [(tmp_path / k / "derived.json").read_text() for k in ("straight", "broken")]
    assert derived[0] == derived[1]


def test_a_code_over_the_budget_is_repaired_by_the_nearest_that_keeps_it() -> None:
    space = layers_space(3)
    held = constraint(space, "latency=30%")
    alpha = Alpha(space, space.largest(), init=0.5)
    with torch.no_grad():
        for a in alpha.logits:
            a[1] += 2.0  # conv3 everywhere
    z = alpha.code()
    assert not held.keeps(z[None])[0]
    Z = np.array(list(np.ndindex(4, 4, 4)))
    feasible = Z[held.keeps(Z)]
    best = feasible[np.argmax(alpha.log_likelihood(feasible) - 1e-3 * (feasible != z).sum(1))]
    assert np.array_equal(held.nearest(z, alpha), best)
    alone = held.nearest(z)
    assert (alone != z).sum() == (feasible != z).sum(1).min()


def test_a_budget_that_nothing_keeps_or_no_gradient_can_see_is_refused_before_training() -> None:
    space = layers_space()
    with pytest.raises(HwnasError, match="cannot be reached"):
        constraint(space, "latency=1us")
    with pytest.raises(HwnasError, match="no gradient can see it"):
        constraint(space, "memory=100%")
    both = constraint(space, "latency=100%,memory=100%")
    assert both.fields == ("latency_ms",) and both.target.fields == ("latency_ms", "memory_bytes")


def test_alpha_that_is_no_longer_finite_is_not_saved(tmp_path: Path) -> None:
    def poisoned(run: Run) -> object:
        step = step_of(run, gdas)

        def spoil(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
            record = step(x, y, number)
            if number == 2:
                with torch.no_grad():
                    run.alpha.logits[0].fill_(float("nan"))  # type: ignore[union-attr]
            return record

        return spoil

    poisoned.traits = traits_of(gdas)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    with pytest.raises(
        HwnasError, match=r"alpha.logits.0 is no longer finite after step 3.*algorithm's lr.*last good checkpoint is .*00000002"
    ):
        train(poisoned, Supernet(layers_space()), layers_space(), DATA, Recipe(epochs=2, batch=32, threads=1), tmp_path, checkpoint_s=0)  # type: ignore[arg-type]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["00000002"]


def test_options_are_checked() -> None:
    for algorithm, options, message in (
        (darts, {"ordr": 2}, "unknown darts option 'ordr': did you mean 'order'"),
        (darts, {"order": 3}, "darts.order: 3 is neither 1"),
        (darts, {"order": "2"}, "darts.order: '2' is of type str, expected int"),
        (gdas, {"tau_end": 20.0}, "must be above 0 and not above tau"),
        (fbnet, {"constraint": "none"}, "unknown fbnet.constraint 'none'"),
        (proxylessnas, {"every": 0}, "proxylessnas.every: 0 is too small"),
    ):
        with pytest.raises(HwnasError, match=message):
            parse_options(algorithm, options)
    from hwnas.train.spos import spos

    with pytest.raises(HwnasError, match="spos takes no options"):
        parse_options(spos, {"tau": 1})
    assert parse_options(spos, {}) is None and parse_options(fbnet, {"a": 1}).a == 1


def test_held_genes_leave_the_operators_a_choice_around_the_budget() -> None:
    for share in ("20%", "50%", "80%"):
        held = constraint(SMALL, f"latency={share}")
        alpha = Alpha(SMALL, held.around())
        used = float((held.expected(alpha.weights()) / held.limits)[0])
        assert 0.5 < used < 2.0
        assert not any(g.context and not g.is_prefix for g in alpha.genes)


def test_an_algorithm_never_sees_the_search_validation_or_test_split(tmp_path: Path) -> None:
    space = layers_space()
    poisoned = replace(DATA, test_at_the_end=lambda: pytest.fail("the test split was read"))
    seen: list[Tensor] = []

    def spy(run: Run) -> object:
        assert run.arch_batch is not None
        seen.extend([run.arch_batch(k)[0] for k in range(20)])
        return step_of(run, gdas)

    spy.traits = traits_of(gdas)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    recipe = Recipe(epochs=1, batch=32, shift_px=0, threads=1)
    train(spy, Supernet(space), space, poisoned, recipe, tmp_path)  # type: ignore[arg-type]
    valid = {t.numpy().tobytes() for t in to_float(DATA.valid.images).contiguous()}
    training = {t.numpy().tobytes() for t in to_float(DATA.train.images).contiguous()}
    found = {t.contiguous().numpy().tobytes() for x in seen for t in x}
    assert found <= training and not found & valid and len(found) == len(DATA.train) // 2


def _spied(price, values):  # type: ignore[no-untyped-def]
    def spied(loss, weights, paper=None):  # type: ignore[no-untyped-def]
        values.append((loss, price(loss, weights, paper)))
        return values[-1][1]

    return spied


def _tensors(tree: object) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else []
    return [t for part in parts for t in _tensors(part)]
