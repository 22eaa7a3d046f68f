"""hwnas.fix and the five forms of architecture.json."""

import json

import pytest
import torch
from own_models import make
from torch import nn

import hwnas
from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.nn import Keyed
from hwnas.space import Space
from hwnas.supernet import Supernet

CHOICES = {"slope": 1.0, "first": "nested", "inner": "1", "second": ["id", "dw"], "skip": [0, 2], "kernel": 3, "rate": 0.3}


def test_a_fixed_model_is_the_same_model_with_its_choices_made(tmp_path):
    model, x = make("everything")
    file = tmp_path / "architecture.json"
    file.write_text(json.dumps(CHOICES))
    fixed, space = hwnas.fix(model, file), Space.from_model(model, x)
    assert type(fixed) is type(model) and not any(isinstance(m, Keyed) for m in fixed.modules())
    assert torch.allclose(fixed.eval()(x), Supernet(space, body=model).eval()(x, path(space, space.encode(CHOICES))), atol=1e-5)
    assert not any(torch.equal(p, q) and p.data_ptr() == q.data_ptr() for p in fixed.parameters() for q in model.parameters())
    gone = ("first.candidates.0", "first.candidates.1", "first.candidates.2.0.candidates.0", "between")
    kept = [p for name, p in model.named_parameters() if not name.startswith(gone)]
    assert sorted(p.sum().item() for p in kept) == sorted(p.sum().item() for p in fixed.parameters())
    assert not any("candidates" in name for name in fixed.state_dict())


def test_unused_modules_are_gone():
    model, x = make("everything")
    names = {n.split(".")[0] for n, _ in hwnas.fix(model, CHOICES).named_parameters()}
    assert names == {"stem", "first", "before", "second", "elastic", "classify"}, "between fed input 1 only"
    alone = hwnas.fix(model, {**CHOICES, "skip": [1]})
    assert {n.split(".")[0] for n, _ in alone.named_parameters()} == {"stem", "first", "between", "elastic", "classify"}
    assert alone(x).shape == (2, 4)
    assert sum(p.numel() for p in hwnas.fix(model, {**CHOICES, "first": "c3"}).first.parameters()) == 8 * 8 * 9 + 16


@pytest.mark.parametrize("skip", [[0], [1], [2], [0, 1]])
def test_a_fixed_model_trains_with_the_same_code(skip):
    model, x = make("everything")
    fixed = hwnas.fix(model, {**CHOICES, "skip": skip}).train()
    optimizer = torch.optim.SGD(fixed.parameters(), lr=0.01)
    before = {k: p.clone() for k, p in fixed.named_parameters()}
    nn.functional.cross_entropy(fixed(x), torch.tensor([0, 3])).backward()
    optimizer.step()
    assert all(p.grad is not None for p in fixed.parameters()), "whatever is left takes part"
    assert any(not torch.equal(p, before[k]) for k, p in fixed.named_parameters())


@pytest.mark.parametrize(
    "first, second, skip, kernel",
    [
        ("nested", ["id", "dw"], [0, 2], 3),  # a string, a list of strings, a list of numbers, a number
        (2, [0, 1], [2, 0], 3.0),  # a number is an index where no option is a number
        ([False, False, True], [True, True], [True, False, True], [False, True, False]),  # booleans before numbers
        (["nested"], ["dw", "id"], [0, 2], [3]),
    ],
)
def test_all_five_forms_say_the_same(first, second, skip, kernel, tmp_path):
    choices = {**CHOICES, "first": first, "second": second, "skip": skip, "kernel": kernel}
    model, x = make("everything")
    file = tmp_path / "architecture.json"
    file.write_text(json.dumps({"space": "own-model()", "choices": choices}))
    for source in (choices, {"choices": choices}, file, str(file)):
        assert torch.equal(hwnas.fix(model, source).eval()(x), hwnas.fix(model, CHOICES).eval()(x))


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"first": "c4"}, "first: 'c4' is none of \\['c3', 'c5', 'nested'\\]"),
        ({"first": 3}, "first: 3 is none of"),
        ({"first": True}, "first: True is none of"),
        ({"kernel": 0}, "kernel: 0 is none of \\[1, 3, 5\\]"),
        ({"kernel": True}, "kernel: True is none of"),
        ({"kernel": [True, True, False]}, "pick 1 to 1"),
        ({"skip": [True, False]}, "2 booleans for 3 options"),
        ({"skip": [True, 1]}, "skip: True is none of"),
        ({"skip": []}, "pick 1 to 2"),
        ({"skip": [0, 1, 2]}, "pick 1 to 2"),
        ({"skip": None}, "skip: None is none of"),
        ({"secnd": "id"}, "unknown architecture choice 'secnd': did you mean 'second'"),
    ],
)
def test_choices_that_are_none(change, reason):
    with pytest.raises(HwnasError, match=reason):
        hwnas.fix(make("everything")[0], {**CHOICES, **change})


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "a list, expected a mapping"),
        ('{"first": "c3", "first": "c5"}', "'first' stands there twice"),
        ('{"first": "c3"}', "no choice for slope, inner, second, skip, kernel, rate of model Everything"),
    ],
)
def test_files_that_are_none(text, reason, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(HwnasError, match=reason):
        hwnas.fix(make("everything")[0], tmp_path / "a.json")
    with pytest.raises(HwnasError, match="cannot be read"):
        hwnas.fix(make("everything")[0], tmp_path / "missing.json")
