"""hwnas/supernet, hwnas/gates.py: one module that is every architecture, and the plain modules taken from it."""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import SPACES, all_codes, mix_space
from torch import nn

from hwnas.block import Block
from hwnas.gates import Gate, path, softmax
from hwnas.gene import Gene
from hwnas.slot import Slot
from hwnas.space import Space
from hwnas.supernet import Supernet, fix, network, resize

CASES = [(name, share) for name in SPACES for share in ((False, True) if name in ("chain", "mix") else (False,))]
EACH = pytest.mark.parametrize("name, share", CASES, ids=[f"{n}-{'shared' if s else 'own'}" for n, s in CASES])


def lively(net: nn.Module) -> nn.Module:
    """With BatchNorm statistics, scales and shifts as different as if it were trained, so that a wrong slice shows."""
    g = torch.Generator().manual_seed(1)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.3, generator=g)
            m.running_var.uniform_(0.5, 2.0, generator=g)
            if m.affine:
                nn.init.uniform_(m.weight, 0.5, 1.5, generator=g)
                nn.init.normal_(m.bias, 0, 0.3, generator=g)
    return net


def make_net(name, share=False):
    torch.manual_seed(0)
    return lively(Supernet(SPACES[name], share)).eval()


NETS = {case: make_net(*case) for case in CASES}


def images(n=2, seed=0):
    return torch.rand(n, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


def fitted(space, z, x):
    """x as big as the architecture wants it."""
    return resize(x, space.input_size(z))


@EACH
@settings(deadline=None, max_examples=15)
@given(st.data())
def test_a_fixed_network_computes_what_the_supernet_does(name, share, data):
    net = NETS[name, share]
    space = net.space
    z = np.array([data.draw(st.integers(0, int(n) - 1)) for n in space.sizes])
    x = resize(images(), space.input_size(space.largest()))
    with torch.no_grad():
        y, alone = net(x, path(space, z)), fix(net, z)(fitted(space, z, x))
    assert y.shape == (2, 3) and y.isfinite().all()
    assert (y - alone).abs().max() <= 1e-5


@EACH
def test_different_architectures_give_different_outputs(name, share):
    """So that the test above has teeth."""
    net = NETS[name, share]
    space, rng = net.space, np.random.default_rng(0)
    Z = space.sample(30, rng)
    keys, x = space.keys(Z), resize(images(), space.input_size(space.largest()))
    with torch.no_grad():
        ys = [net(x, path(space, z)) for z in Z]
    for (key, y), (other, y2) in product(zip(keys, ys), repeat=2):
        assert key == other or (y - y2).abs().max() > 1e-4
        assert key != other or (y - y2).abs().max() < 1e-5
    assert len(set(keys)) > 2


@EACH
def test_a_fresh_network_has_the_shapes_of_a_fixed_one(name, share):
    net = NETS[name, share]
    for z in net.space.sample(5, np.random.default_rng(2)):
        fixed, fresh = fix(net, z), network(net.space, z)
        assert {k: t.shape for k, t in fixed.state_dict().items()} == {k: t.shape for k, t in fresh.state_dict().items()}
        assert isinstance(fixed, nn.Sequential) or name not in ("chain", "mix")
        assert not any(type(m).__module__.startswith("hwnas.supernet.elastic") for m in fixed.modules())


def test_a_fixed_network_has_copies_of_the_weights():
    net = make_net("chain", True)
    fixed = fix(net, net.space.largest())
    before = [p.clone() for p in net.parameters()]
    with torch.no_grad():
        for p in fixed.parameters():
            p.add_(1)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))
    assert not fixed.training and fix(net.train(), net.space.largest()).training


def test_a_copied_supernet_has_weights_of_its_own():
    net = make_net("chain", True)
    gates, x = path(net.space, net.space.smallest()), images()
    net(x, gates)  # fills the caches that a copy must not share
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for p in twin.parameters():
            p.mul_(2)
        assert not torch.allclose(twin(x, gates), net(x, gates))
        assert torch.equal(make_net("chain", True)(x, gates), net(x, gates))


@pytest.mark.parametrize("name", ["chain", "nasbench201", "darts", "mix"])
def test_gradient_reaches_exactly_the_parameters_of_the_path(name):
    net = make_net(name)
    space, x = net.space, resize(images(), net.space.input_size(net.space.largest()))
    for z in [*space.sample(5, np.random.default_rng(4)), space.largest(), space.smallest()]:
        net.zero_grad(set_to_none=True)
        net(x, path(space, z)).square().sum().backward()
        fixed = dict(fix(net, z).named_parameters())
        touched = {k: p for k, p in net.named_parameters() if p.grad is not None}
        assert sum(p.numel() for p in touched.values()) >= sum(p.numel() for p in fixed.values())
        slots = {k.removeprefix("slots.").split(".")[0] for k in fixed}
        assert {k.split(".")[2] for k in touched} == slots
        with torch.no_grad():  # whatever has no gradient does not matter
            before = net(x, path(space, z))
            saved = {k: p.clone() for k, p in net.named_parameters() if p.grad is None}
            for k in saved:
                net.get_parameter(k).normal_()
            assert torch.equal(net(x, path(space, z)), before)
            for k, t in saved.items():
                net.get_parameter(k).copy_(t)


def test_context_genes_slice_one_weight_from_the_front_and_kernels_from_the_centre():
    """The smallest of a slot: 6 of 8 channels (expansion 1, so 6 of 12 hidden), the centre 3 x 3 of 5 x 5."""
    net = make_net("chain", True)
    space, slot = net.space, "s1_l1"
    z = space.encode({**space.decode(space.smallest()), "s1_act": "hswish"})
    net(resize(images(), (8, 8)), path(space, z)).square().sum().backward()
    block = net.body.slots[slot].elastics[0].full
    depthwise, down = block.depthwise[0].weight.grad, block.down[0].weight.grad
    assert depthwise.shape == (12, 1, 5, 5) and down.shape == (8, 12, 1, 1)
    expected = torch.zeros(12, 1, 5, 5, dtype=torch.bool)
    expected[:6, :, 1:4, 1:4] = True
    assert ((depthwise != 0) <= expected).all() and (depthwise[expected] != 0).float().mean() > 0.9
    expected = torch.zeros(8, 12, 1, 1, dtype=torch.bool)
    expected[:6, :6] = True
    assert ((down != 0) <= expected).all() and (down[:, :6] != 0).any(0).all()
    assert block.up[0].weight.grad is None and block.se.gate[1].weight.grad is None


def test_own_weights_are_shared_over_context_genes_only():
    own, shared = make_net("chain", False), make_net("chain", True)
    assert len(own.mixed["s1_l1"].elastics) == 2 * 2 * 2 and len(shared.mixed["s1_l1"].elastics) == 1  # kernel, expansion, se


def test_training_moves_the_statistics_of_the_slice_alone():
    net = make_net("chain", True).train()
    norm = net.body.slots["s1_l1"].elastics[0].full.down[1]
    before = norm.running_mean.clone()
    net(images(4), path(net.space, net.space.smallest()))
    moved = norm.running_mean != before
    assert moved[:6].all() and not moved[6:].any()


# ---- weighted mixes ----------------------------------------------------------------------------------------------------


def two_gene_space():
    """One layer whose kernel and operator are mixed."""
    op, kernel = Gene.one("op", ["conv", "separable", "none"]), Gene.one("kernel", [1, 3])

    def layer(op, kernel):
        return None if op == "none" else Block(op, 4, 4, 6, 6, kernel=kernel)

    slots = (
        Slot.of("stem", "x", "a", {}, lambda: Block("conv", 2, 4, 6, 6, kernel=3)),
        Slot.of("layer", "a", "b", {"op": op, "kernel": kernel}, layer),
        Slot.of("head", "b", "y", {}, lambda: Block("head", 4, 3, 6, 6)),
    )
    return Space("two", slots, "y")


@pytest.mark.parametrize("share", [False, True])
def test_a_softmax_mix_is_the_weighted_sum_by_hand(share):
    torch.manual_seed(0)
    space = two_gene_space()
    net = lively(Supernet(space, share)).eval()
    op, kernel = torch.tensor([0.3, -1.0, 0.7], requires_grad=True), torch.tensor([0.2, 1.1], requires_grad=True)
    x = torch.rand(2, 2, 6, 6)
    y = net(x, softmax(dict(zip(space.genes, (op, kernel)))))

    p, q = op.exp() / op.exp().sum(), kernel.exp() / kernel.exp().sum()
    fixed = {(i, j): fix(net, space.encode({"op": i, "kernel": (1, 3)[j]})) for i in range(2) for j in range(2)}
    a = fixed[0, 0].stem(x)
    mixed = sum(p[i] * q[j] * fixed[i, j].layer(a) for i, j in fixed)
    assert torch.allclose(y, fixed[0, 0].head(mixed), atol=1e-6)

    y.square().sum().backward()
    grads = op.grad.clone(), kernel.grad.clone()
    op.grad = kernel.grad = None
    fixed[0, 0].head(mixed).square().sum().backward()
    assert torch.allclose(grads[0], op.grad, atol=1e-5) and torch.allclose(grads[1], kernel.grad, atol=1e-5)
    assert grads[0].abs().min() > 1e-4 and grads[1].abs().min() > 1e-5


def test_one_hot_weights_are_the_path():
    net = NETS["nasbench201", False]
    space, x = net.space, images()
    for z in np.maximum(space.sample(5, np.random.default_rng(0)), 1):  # without "none": an edge of weight 0 is no cut edge
        hot = {g.name: Gate(tuple(range(5)), torch.eye(5)[int(v)]) for g, v in zip(space.genes, z)}
        with torch.no_grad():
            assert torch.allclose(net(x, hot), net(x, path(space, z)), atol=1e-5)


def test_the_weight_of_a_switch_scales_its_slot():
    """A layer that is on by half gives half of its output and half of its input; an edge just half of its output."""
    space = mix_space()
    torch.manual_seed(0)
    net = lively(Supernet(space)).eval()
    z = space.encode({"ops": ["conv1"], "depth": "long", "kernel": 3})
    gates = {**path(space, z), "depth": Gate((0, 1), torch.tensor([1.0, 0.5]))}
    x = torch.rand(1, 2, 6, 6)
    fixed = fix(net, z)
    b = fixed.ops(fixed.stem(x))
    assert torch.allclose(net(x, gates), fixed.head(0.5 * fixed.more(b) + 0.5 * b), atol=1e-6)

    edge, x = make_net("darts").mixed["c0_n1_c0"], torch.rand(2, 8, 8, 8)
    (switch, _), operator = edge.slot.when[0], edge.slot.genes[0]
    edge.state.gates = {switch.name: Gate((0, 1)), operator.name: Gate((4,))}
    whole = edge(x)
    edge.state.gates = {switch.name: Gate((0, 1), torch.tensor([0.5, 1.0])), operator.name: Gate((4,))}
    assert torch.allclose(edge(x), 0.5 * whole, atol=1e-6)


def test_a_slot_of_several_operators_is_their_sum():
    net = NETS["mix", False]
    space, x = net.space, torch.rand(1, 2, 6, 6)
    one = {op: fix(net, space.encode({"ops": [op], "depth": "short", "kernel": 1})) for op in ("conv1", "conv3", "pool")}
    for a, b in (("conv1", "conv3"), ("conv3", "pool")):
        both = net(x, path(space, space.encode({"ops": [a, b], "depth": "short", "kernel": 1})))
        stem = one[a].stem(x)
        assert torch.allclose(both, one[a].head(one[a].ops(stem) + one[b].ops(stem)), atol=1e-6)


def test_all_paths_cut_leaves_the_bias_of_the_head():
    for name in ("nasbench201", "mix"):
        net = NETS[name, False]
        space = net.space
        z = space.encode({"ops": ["none"], "depth": "long", "kernel": 3}) if name == "mix" else space.smallest()
        bias = [p for k, p in net.named_parameters() if k.startswith("body.slots.head") and k.endswith("bias")][-1]
        x = resize(images(), space.input_size(z))
        assert torch.equal(net(x, path(space, z)), bias.expand(2, 3)) and torch.equal(fix(net, z)(x), bias.expand(2, 3))


@pytest.mark.parametrize("name", ["chain", "nasbench201"])
def test_checkpointing_gives_the_same_gradients_even_after_the_gates_moved_on(name):
    net, x = make_net(name).train(), resize(images(4), (8, 8))
    space = net.space
    z, other = space.sample(2, np.random.default_rng(3))
    logits = {g: torch.zeros(len(g.options), requires_grad=True) for g in space.genes if not g.context}
    for gates in (path(space, z), {**path(space, z), **softmax(logits)}):
        grads = []
        for checkpoint in (False, True):
            twin = copy.deepcopy(net)
            twin.state.checkpoint = checkpoint
            loss = twin(x, gates).square().sum()
            twin.state.gates = path(space, other)
            loss.backward(retain_graph=not checkpoint)
            grads.append({k: p.grad for k, p in twin.named_parameters()})
            grads[-1] |= {k: t.grad for k, t in logits.items()}
            for t in logits.values():
                t.grad = None
        plain, saved = grads
        assert {k for k, g in plain.items() if g is None} == {k for k, g in saved.items() if g is None}
        assert all(torch.allclose(g, saved[k], atol=1e-5) for k, g in plain.items() if g is not None)


def test_resize_leaves_alone_what_fits():
    x = images()
    assert resize(x, (8, 8)) is x and resize(x, (6, 6)).shape == (2, 2, 6, 6)
    assert torch.allclose(resize(torch.full((1, 1, 8, 8), 0.25), (5, 5)), torch.tensor(0.25))


def test_every_architecture_of_a_small_space():
    net = NETS["passing", False]
    space, x = net.space, images()[:, :, :6, :6]
    for z in all_codes(space):
        with torch.no_grad():
            assert torch.equal(net(x, path(space, z)), fix(net, z)(x))
