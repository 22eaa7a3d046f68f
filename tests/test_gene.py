"""hwnas/gene.py: the five forms of a choice, and what is refused."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import HwnasError
from hwnas.gene import Gene

LABELS = st.lists(st.text(max_size=4), min_size=1, max_size=5, unique=True)
NUMBERS = st.lists(st.integers(-9, 99) | st.sampled_from([0.25, 0.5, 1.5]), min_size=1, max_size=5, unique=True)
OPS = ("none", "conv", "pool")


@st.composite
def genes(draw):
    options = draw(LABELS | NUMBERS)
    kind = draw(st.sampled_from(["one", "some", "prefix"]))
    if kind != "some":
        return getattr(Gene, kind)("g", options)
    hi = draw(st.integers(1, len(options)))
    return Gene.some("g", options, draw(st.integers(0, hi)), hi)


@settings(deadline=None, max_examples=200)
@given(genes())
def test_every_value_comes_back_from_what_is_written(gene):
    for value, picks in enumerate(gene.values):
        assert gene.encode(gene.decode(value)) == value
        assert gene.encode([gene.options[i] for i in reversed(picks)]) == value
        assert gene.encode([i in picks for i in range(len(gene.options))]) == value
        if isinstance(gene.options[0], str):
            assert gene.encode(list(picks)) == value
            assert len(picks) != 1 or gene.is_prefix or gene.encode(picks[0]) == value


@pytest.mark.parametrize("choice", ["pool", 2, ["pool"], [2], [False, False, True], ("pool",)])
def test_five_forms_of_one_choice(choice):
    assert Gene.one("op", OPS).encode(choice) == 2


@pytest.mark.parametrize("choice", [["none", "pool"], ["pool", "none"], [0, 2], [2, "none"], [True, False, True]])
def test_forms_of_a_set(choice):
    gene = Gene.some("ops", OPS, 1, 2)
    assert gene.values[gene.encode(choice)] == (0, 2)
    assert gene.decode(gene.encode(choice)) == ["none", "pool"]


@pytest.mark.parametrize("choice", [2, [1, 2], [True, True, False]])
def test_forms_of_a_depth(choice):
    gene = Gene.prefix("depth", [1, 2, 4])
    assert gene.context and gene.encode(choice) == 1 and gene.decode(1) == 2


def test_a_label_wins_over_an_index():
    assert Gene.one("width", [2, 1, 0]).encode(2) == 0
    assert Gene.one("kernel", [3, 5]).encode(5.0) == 1
    assert Gene.one("name", ["1", "0"]).encode("0") == 1 and Gene.one("name", ["1", "0"]).encode(0) == 0


@pytest.mark.parametrize(
    "gene, choice, reason",
    [
        (Gene.one("op", OPS), "convx", "'convx' is none of ['none', 'conv', 'pool']"),
        (Gene.one("op", OPS), 3, "3 is none of"),
        (Gene.one("op", OPS), -1, "-1 is none of"),
        (Gene.one("op", OPS), None, "None is none of"),
        (Gene.one("op", OPS), 1.5, "1.5 is none of"),
        (Gene.one("op", OPS), {"a": 1}, "is none of"),
        (Gene.one("op", OPS), True, "True is none of"),
        (Gene.one("op", OPS), [["conv"]], "is none of"),
        (Gene.one("op", OPS), [], "pick 1 to 1 of"),
        (Gene.one("op", OPS), ["conv", "pool"], "pick 1 to 1 of"),
        (Gene.one("op", OPS), [True, False], "2 booleans for 3 options"),
        (Gene.one("op", OPS), [True, True, False], "pick 1 to 1 of"),
        (Gene.one("flag", [0, 1]), True, "True is none of"),
        (Gene.one("kernel", [3, 5]), 0, "0 is none of"),  # a number is no index where options are numbers
        (Gene.some("ops", OPS, 1, 2), list(OPS), "pick 1 to 2 of"),
        (Gene.some("ops", OPS, 1, 2), ["conv", "conv"], "pick 1 to 2 of"),
        (Gene.prefix("depth", [1, 2, 4]), [1, 4], "pick 1 to 3 of"),
    ],
)
def test_a_choice_that_is_none_names_gene_choice_and_options(gene, choice, reason):
    with pytest.raises(HwnasError) as error:
        gene.encode(choice)
    assert str(error.value).startswith(f"{gene.name}: ") and reason in str(error.value)


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: Gene.one("op", []), "at least one"),
        (lambda: Gene.prefix("op", []), "at least one"),
        (lambda: Gene.one("op", ["a", "a"]), "distinct"),
        (lambda: Gene.one("op", [1, 1.0]), "distinct"),
        (lambda: Gene.some("op", OPS, 2, 1), "cannot choose 2 to 1 of 3"),
        (lambda: Gene.some("op", OPS, 1, 4), "cannot choose 1 to 4 of 3"),
        (lambda: Gene.some("op", OPS, -1, 2), "cannot choose"),
        (lambda: Gene.some("op", OPS, 0, 0), "cannot choose"),
        (lambda: Gene.some("op", range(13)), "8191 sets, over 4096"),
    ],
)
def test_genes_that_cannot_be(make, reason):
    with pytest.raises(HwnasError, match="gene 'op'") as error:
        make()
    assert reason in str(error.value)


def test_values_are_all_sets_of_the_sizes_asked_for():
    gene = Gene.some("ops", range(6), 2, 4)
    assert set(gene.values) == {c for k in (2, 3, 4) for c in combinations(range(6), k)} and len(set(gene.values)) == len(gene.values)
    assert len(Gene.some("ops", range(12)).values) == 4095
    assert Gene.some("ops", OPS, 0, 1).decode(0) == []


def test_kinds():
    assert Gene.one("a", OPS).is_scalar and not Gene.one("a", OPS).is_prefix
    assert Gene.prefix("a", OPS).is_scalar and Gene.prefix("a", OPS).is_prefix
    assert not Gene.some("a", OPS).is_scalar and Gene.some("a", OPS, 1, 1).is_scalar
