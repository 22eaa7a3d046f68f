"""hwnas/space.py, slot.py, liveness.py: codes, the blocks they stand for, and what is dead in them."""

import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_spaces import SPACES, all_codes, chain_space, walk

from hwnas.block import Block
from hwnas.errors import HwnasError
from hwnas.gene import Gene
from hwnas.liveness import alive
from hwnas.slot import Slot
from hwnas.space import FEW, Space

EACH = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
SEEDS = st.integers(0, 2**32 - 1)


def some_codes(space, seed, n=40):
    """Random codes, near copies of them, and the extremes."""
    rng = np.random.default_rng(seed)
    Z = space.sample(n, rng)
    return np.concatenate([Z, space.mutate(Z, rng, 0.1), [space.smallest(), space.largest()]])


def by_place(space, rows):
    """What rows (slots + joins,) say, in the form of `walk`."""
    places = [*("slot " + s.name for s in space.slots), *(node for node, _ in space.joins)]
    return {p: [str(space.blocks[i]) for i in space.members[r]] for p, r in zip(places, rows) if space.members[r]}


@EACH
@settings(deadline=None, max_examples=8)
@given(SEEDS)
def test_rows_are_what_a_slow_walk_finds(space, seed):
    Z = some_codes(space, seed, 15)
    for z, rows in zip(Z, space.rows(Z)):
        expected = {p: b for p, b in walk(space, z).items() if b != ["passes"]}
        assert by_place(space, rows) == expected
        assert Counter(map(str, space.blocks_of(z))) == Counter(b for blocks in expected.values() for b in blocks)


@EACH
def test_keys_are_equal_where_the_same_runs(space):
    Z = some_codes(space, 0, 300)
    walks, keys = [str(sorted(walk(space, z).items())) for z in Z], space.keys(Z)
    assert len(set(walks)) == len(set(keys)) == len(set(zip(walks, keys)))
    assert len(set(keys)) >= 3
    hashes = space.hashes(space.rows(Z)).tolist()
    assert len(set(hashes)) == len(set(keys)) == len(set(zip(hashes, keys)))


@EACH
def test_few_codes_and_many_take_other_ways_to_the_same_rows(space):
    Z = space.sample(FEW + 1, np.random.default_rng(0))
    assert (space.raw_rows(Z)[:FEW] == space.raw_rows(Z[:FEW])).all()


@EACH
@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_canonical_codes_are_the_same_architectures(space, seed):
    Z = some_codes(space, seed)
    C = space.canonical(Z)
    assert space.keys(C) == space.keys(Z) and (space.canonical(C) == C).all()
    assert ((C == Z) | (C == 0)).all()


@pytest.mark.parametrize("name", ["chain", "passing", "nasbench201"])
def test_equal_architectures_have_one_canonical_code(name):
    space = SPACES[name]
    found = defaultdict(set)
    Z = some_codes(space, 1, 2000)
    for key, code in zip(space.keys(Z), map(tuple, space.canonical(Z))):
        found[key].add(code)
    assert {len(codes) for codes in found.values()} == {1}


def test_dead_parts_cost_nothing():
    """NAS-Bench-201 with everything cut but one edge: stem, the edge in each cell, the convolutions between stages, head."""
    space = SPACES["nasbench201"]
    none = dict.fromkeys((f"{i}_to_{j}" for j in (1, 2, 3) for i in range(j)), "none")
    ops = lambda **choice: Counter(b.op for b in space.blocks_of(space.encode({**none, **choice})))
    assert ops() == {"head": 1}
    assert ops(**{"0_to_3": "nor_conv_3x3"}) == {"stem": 1, "relu_conv": 3, "conv": 2, "head": 1}
    dead = {"1_to_2": "nor_conv_3x3", "0_to_2": "nor_conv_3x3"}  # node 1 is never reached, node 2 never read
    assert ops(**{"0_to_3": "avg_pool_3x3"}, **dead) == {"stem": 1, "avg_pool": 3, "conv": 2, "head": 1}
    assert ops(**{"0_to_3": "skip_connect", "0_to_1": "nor_conv_1x1", "1_to_3": "skip_connect"})["add"] == 3


def test_a_layer_left_out_passes_and_a_layer_of_none_cuts():
    space = SPACES["passing"]
    live = lambda op, depth: alive(space, space.raw_rows(space.encode({"op": op, "depth": depth})[None]))[0][0].tolist()
    assert live("none", "short") == live("conv", "short") == live("conv", "long") == [True, True]
    assert live("none", "long") == [False, True]
    assert len(set(space.keys(all_codes(space)))) == 3


@pytest.mark.parametrize(
    "space",
    [
        chain_space(widths=((6, 8),), strides=(2,), depth=3, kernels=(3, 5), expands=(1, 2), squeezes=(0,), acts=("relu",)),
        chain_space(widths=((6,), (8,)), resolutions=(8,), depth=2, kernels=(3, 5), expands=(1,), squeezes=(0, 4), acts=("relu",)),
        SPACES["passing"],
    ],
    ids=["one stage", "two stages", "passing"],
)
def test_architectures_against_counting_them(space):
    Z = all_codes(space)
    brute = len({str([None if x is None else str(x) for s in space.slots for x in _run(s, space, z)]) for z in Z})
    assert space.architectures == brute < len(Z)
    if space.name != "passing":  # there, slots behind a `none` are dead, which the count does not look through
        assert brute == len(set(space.keys(Z)))


def _run(slot, space, z):
    """What stands in a slot as the genes say, dead or not; ["off"] where it is inactive."""
    chosen = slot.chosen(dict(zip(space.genes, map(int, z))))
    return [slot.name, "off"] if chosen is None else [slot.name, *(slot.at(c) for c in chosen)]


def test_the_count_of_named_spaces():
    assert SPACES["nasbench201"].architectures == 5**6
    pick_two = 1 * 3 * 6  # of 2, 3 and 4 inputs
    assert SPACES["darts"].architectures == (pick_two * 8**6) ** len({g.name.split("_")[0] for g in SPACES["darts"].genes})


# ---- hash --------------------------------------------------------------------------------------------------------------


def make(reads="x", kernel=3, op="conv", options=("a", "b"), off="none", output="y", cats=None, resolution=None, when=0):
    gene, depth = Gene.one("g", options), Gene.prefix("d", [1, 2])
    first = Slot.of("first", reads, "n", {"g": gene}, lambda g: Block(op, 2, 2, 4, 4, kernel=kernel), [(depth, when)], off)
    return Space("s", (first, Slot.of("last", "n", "y", {}, lambda: Block("head", 2, 2, 4, 4))), output, cats or {}, resolution)


def test_the_hash_changes_with_everything_that_defines_a_space():
    spaces = [
        make(),
        make(reads="w"),
        make(kernel=5),
        make(op="mbconv"),
        make(options=("a", "c")),
        make(options=("a", "b", "c")),
        make(options=(1, 2)),
        make(options=("1", "2")),
        make(off="skip"),
        make(output="z"),
        make(cats={"c": ("n",)}),
        make(resolution=Gene.one("g", ("a", "b"))),
        make(when=1),
    ]
    assert len({s.hash for s in spaces}) == len(spaces)
    assert replace(make(), name="other", spec="other()").hash == make().hash and hash(make()) == hash(make())
    assert all(len(s.hash) == 16 and int(s.hash, 16) >= 0 for s in spaces)


def test_the_hash_is_the_same_in_another_process():
    program = "from hwnas.spaces import *; print(quickstart().hash, nasbench201().hash, darts().hash)"
    from hwnas.spaces import darts, nasbench201, quickstart

    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}).stdout
    assert out.split() == [quickstart().hash, nasbench201().hash, darts().hash]


# ---- operators, files, mistakes ------------------------------------------------------------------------------------------


@EACH
@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_operators_stay_in_the_space(space, seed):
    rng = np.random.default_rng(seed)
    X, Y = space.sample(30, rng), space.sample(30, rng)
    mutants, children = space.mutate(X, rng, 0.3), space.cross(X, Y, rng)
    for Z in (X, Y, mutants, children):
        assert ((Z >= 0) & (Z < space.sizes)).all() and Z.dtype == np.int64
    assert ((children == X) | (children == Y)).all()
    assert (space.mutate(X, rng, 0.0) == X).all() and (X == space.sample(30, np.random.default_rng(seed))).all()


def test_samples_reach_every_value_and_mutation_redraws_its_share():
    space, rng = SPACES["chain"], np.random.default_rng(0)
    Z = space.sample(4000, rng)
    for column, n in zip(Z.T, space.sizes):
        assert np.abs(np.bincount(column, minlength=n) / 4000 - 1 / n).max() < 0.05
    changed = (space.mutate(Z, rng, 0.3) != Z).mean(0)
    assert np.abs(changed - 0.3 * (1 - 1 / space.sizes)).max() < 0.05


@EACH
@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_architecture_json_round_trip(space, seed):
    for z in some_codes(space, seed, 5):
        assert (space.encode(space.decode(z)) == z).all()


def test_architecture_json_of_another_space_is_refused():
    space = SPACES["nasbench201"]
    choices = space.decode(space.smallest())
    with pytest.raises(HwnasError, match="no choice for 0_to_1"):
        space.encode({k: v for k, v in choices.items() if k != "0_to_1"})
    with pytest.raises(HwnasError, match="choice 'nonsense': known are 0_to_1.*of space 'nasbench201'"):
        space.encode({**choices, "nonsense": 1})
    with pytest.raises(HwnasError, match="0_to_1: 'nor_conv_9x9' is none of"):
        space.encode({**choices, "0_to_1": "nor_conv_9x9"})


def test_two_genes_of_one_name_are_refused():
    slots = [Slot.of(n, "x", "y", {"g": Gene.one("g", o)}, lambda g: Block("conv", 1, 1, 4, 4)) for n, o in (("a", "pq"), ("b", "pr"))]
    with pytest.raises(HwnasError, match="two different genes are called 'g'"):
        Space("s", tuple(slots), "y")


def test_shapes_that_do_not_fit_are_refused():
    def two(name):
        slots = [Slot.of(f"s{c}", "x", f"n{c}" if name else "y", {}, lambda c=c: Block("conv", 1, c, 4, 4)) for c in (1, 2)]
        return Space("s", tuple(slots), "y", {name: ("n1", "n2")} if name else {})

    with pytest.raises(HwnasError, match="node 'y' sums tensors of different shapes"):
        _ = two("").joins
    with pytest.raises(HwnasError, match="node 'cat' concatenates tensors of different shapes"):
        _ = two("cat").joins


def test_the_work_list_holds_every_block_that_can_run():
    for space in SPACES.values():
        Z = some_codes(space, 3, 100)
        assert {b for z in Z for b in space.blocks_of(z)} <= set(space.blocks) and len(set(space.blocks)) == len(space.blocks)


def test_input_sizes():
    space = SPACES["chain"]
    assert space.input_size(space.smallest()) == (6, 6) and space.input_size(space.largest()) == (8, 8)
    assert SPACES["darts"].input_size(SPACES["darts"].smallest()) == (8, 8)
