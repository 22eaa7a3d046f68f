"""hwnas/nn: the space of a user's own model, its supernet, and what its architectures cost."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_models import MODELS, Denoiser, conv, make
from torch import nn

from hwnas.block import Block
from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.gates import path, softmax
from hwnas.lower import lower
from hwnas.measure.job import Job
from hwnas.nn import InputChoice, LayerChoice, ValueChoice
from hwnas.ops import build, input_shapes
from hwnas.space import Space
from hwnas.supernet import Supernet, fix, network

SPACES = {name: (Space.from_model(*make(name), name), *make(name)) for name in MODELS}
EACH = pytest.mark.parametrize("name", MODELS)


def codes(space, n=25):
    return np.concatenate([space.sample(n, np.random.default_rng(0)), [space.largest(), space.smallest()]])


@EACH
def test_the_supernet_computes_what_the_fixed_model_does_and_both_what_the_user_wrote(name):
    space, model, x = SPACES[name]
    net = Supernet(space, body=model).eval()
    assert net.body is model
    with torch.no_grad():
        outputs = {}
        for z in codes(space):
            y = net(x, path(space, z))
            assert (y - fix(net, z)(x)).abs().max() <= 1e-5
            assert (y - network(space, z).eval()(x)).abs().max() <= 1e-5
            outputs.setdefault(space.keys(z[None])[0], []).append(y)
    assert all((ys[0] - y).abs().max() < 1e-5 for ys in outputs.values() for y in ys), "one key, one function"
    firsts = [ys[0] for ys in outputs.values()]
    assert all((a - b).abs().max() > 1e-6 for i, a in enumerate(firsts) for b in firsts[:i]), "another key, another function"


@EACH
def test_an_architecture_costs_what_its_own_network_does(name):
    """Dead code included: what only feeds an input that is not chosen is not counted."""
    space, model, x = SPACES[name]
    cost = CostModel(space).cost(codes(space), ["macs", "params", "memory_bytes"])
    for z, (macs, params, memory) in zip(codes(space), cost):
        program = lower(fix(Supernet(space, body=model), z), (1, *x.shape[1:]))
        assert macs == program.macs
        assert 0.9 * program.params <= params <= 1.1 * program.params  # BatchNorm may fold across pieces, or not
        assert 0.6 * program.peak_bytes <= memory <= 2 * program.peak_bytes


def test_a_slot_that_two_inputs_need():
    """`before` feeds inputs 0 and 2 of the skip, `between` input 1."""
    space = SPACES["everything"][0]
    for skip, runs in (([0], {"before"}), ([2], {"before"}), ([1], {"between"}), ([0, 1], {"before", "between"}), ([0, 2], {"before"})):
        z = space.encode({**space.decode(space.smallest()), "skip": skip})
        rows = dict(zip((s.name for s in space.slots), space.rows(z[None])[0]))
        empty = len(space.members) - 1
        assert {n for n in ("before", "between") if rows[n] != empty} == runs


def test_genes_are_named_by_key_and_shared_by_it():
    space = SPACES["features"][0]
    assert set(space.index) == {"both", "width"} and sum(space.genes[space.index["both"]] in s.genes for s in space.slots) == 2
    assert space.architectures == 4
    unnamed = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(LayerChoice([conv(4, 4, 1), conv(4, 4, 3)])), nn.Flatten())
    assert list(Space.from_model(unnamed, torch.zeros(1, 1, 8, 8)).index) == ["1.0"]


def test_equal_pieces_are_one_block_whatever_their_code():
    class Spelled(nn.Module):
        def __init__(self):
            super().__init__()
            self.c, self.n = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)

        def forward(self, x):
            return F.relu(self.n(self.c(x)))

    model = nn.Sequential(nn.Conv2d(1, 8, 1), LayerChoice({"a": conv(8, 8, 3), "b": Spelled(), "c": conv(8, 8, 5)}, key="k"), nn.ReLU())
    slot = next(s for s in Space.from_model(model, torch.zeros(1, 1, 8, 8)).slots if s.genes)
    assert slot.blocks[0] == slot.blocks[1] != slot.blocks[2]
    again = Space.from_model(copy.deepcopy(model), torch.zeros(7, 1, 8, 8))
    assert again.hash == Space.from_model(model, torch.zeros(1, 1, 8, 8)).hash, "weights and batch do not matter"


def test_blocks_can_be_built_and_measured():
    space = SPACES["denoiser"][0]
    for b in space.blocks:
        assert Block.parse(str(b)) == b
        module, shapes = build(b), input_shapes(b, 3)
        y = module.eval()(*(torch.zeros(s) for s in shapes))
        assert y.shape == (3, b.cout, *b.out_size) and Job.of(b, 3).shapes == shapes
    assert any(b.inputs == 2 and b.op.startswith("user-") for b in space.blocks)


def test_weighted_gates_reach_the_users_choices():
    space, model, x = SPACES["denoiser"]
    net = Supernet(space, body=copy.deepcopy(model)).eval()
    logits = {g: torch.zeros(len(g.values), requires_grad=True) for g in space.genes}
    y = net(x, softmax(logits))
    y.square().sum().backward()
    assert all(t.grad is not None and t.grad.abs().max() > 0 for t in logits.values())
    hot = {g: torch.tensor([-50.0, 50.0, -50.0][: len(g.options)]) for g in space.genes}
    with torch.no_grad():
        z = space.encode({g.name: 1 for g in space.genes})
        assert torch.allclose(net(x, softmax(hot)), net(x, path(space, z)), atol=1e-5)


def test_the_model_is_left_as_it_is_and_runs_without_a_supernet():
    model, x = make("everything")
    model.train()
    before = copy.deepcopy(model.state_dict())
    Space.from_model(model, x)
    assert model.training and all(torch.equal(t, before[k]) for k, t in model.state_dict().items())
    first = fix(Supernet(SPACES["everything"][0], body=make("everything")[0]).eval(), SPACES["everything"][0].smallest())
    assert torch.allclose(model.eval()(x), first(x), atol=1e-5), "without gates every choice runs its first option"


def test_a_supernet_without_a_body_takes_a_copy():
    space, model, x = SPACES["denoiser"]
    net, z = Supernet(space).eval(), space.largest()
    assert net.body is not space.own.module
    assert torch.equal(net(x, path(space, z)), Supernet(space, body=model).eval()(x, path(space, z)))
    with pytest.raises(HwnasError, match="Everything has other choices"):
        Supernet(space, body=make("everything")[0])


class Odd(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        if hasattr(self, "pick"):
            return self.pick([x, x[:, :1]])
        if hasattr(self, "depth"):
            for _ in range(self.depth()):
                x = self.layer(x)
            return x
        if x.sum() > 0:
            return self.layer(x)
        return x


@pytest.mark.parametrize(
    "model, reason",
    [
        (nn.Conv2d(1, 1, 1), "no choice in it"),
        (
            nn.Sequential(LayerChoice([nn.ReLU()], "k"), LayerChoice([nn.ReLU(), nn.Identity()], "k")),
            "key 'k' stands at choices of different",
        ),
        (nn.Sequential(LayerChoice({"a": nn.Conv2d(2, 2, 1), "b": nn.Conv2d(2, 3, 1)}, "k")), "they must agree"),
        (nn.Sequential(LayerChoice({"a": nn.Mish(), "b": nn.Identity()}, "k")), "0 with k=a: cannot lower Mish"),
        (nn.Sequential(LayerChoice([nn.Conv2d(5, 5, 1)], "k")), "fails on the example input: RuntimeError: Given groups=1"),
        (Odd(layer=LayerChoice([nn.ReLU(), nn.Identity()], "k")), "torch.fx cannot trace its forward"),
        (Odd(pick=InputChoice(2, 1, "k")), "candidate 1 has shape \\(1, 1, 6, 6\\)"),
        (Odd(depth=ValueChoice([1, 2], "d"), layer=LayerChoice([nn.ReLU(), nn.Identity()], "k")), "d=2: other parts of the model run"),
        (nn.Sequential(LayerChoice([Odd(pick=InputChoice(2, 2, "in"))], "k")), "'in': picks several and stands inside"),
    ],
)
def test_what_cannot_be_a_space(model, reason):
    with pytest.raises(HwnasError, match=reason):
        Space.from_model(model, torch.zeros(1, 2, 6, 6))


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: LayerChoice([], "k"), "at least one"),
        (lambda: LayerChoice({"a": None}, "k"), "must be nn.Modules"),
        (lambda: LayerChoice([nn.ReLU()], "k", n_chosen=2), "n_chosen=2 of 1 options"),
        (lambda: InputChoice(3, (2, 1), "k"), "n_chosen=\\(2, 1\\)"),
        (lambda: InputChoice(2, names=["a"]), "1 names for 2"),
        (lambda: ValueChoice([0.1, 0.1], "k"), "distinct"),
        (lambda: ValueChoice([], "k"), "at least one"),
        (lambda: InputChoice(3, 1, "k")([torch.zeros(1)]), "1 tensors, it was made for 3"),
        (lambda: Space.from_model(Denoiser(), torch.zeros(3, 3)[0]), "expected one tensor"),
    ],
)
def test_choices_that_make_no_sense(make, reason):
    with pytest.raises(HwnasError, match=reason):
        make()
