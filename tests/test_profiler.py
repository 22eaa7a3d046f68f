"""hwnas/profiler.py: plugins that do not fit are refused by name."""

from importlib.metadata import EntryPoint

import pytest

from hwnas import profiler
from hwnas.errors import HwnasError
from hwnas.profiler import load_profiler


def install(monkeypatch, **points):
    """Entry points as an installed distribution would have them."""
    found = [EntryPoint(name, value, "hwnas.profilers") for name, value in points.items()]
    monkeypatch.setattr("hwnas.plugins.entry_points", lambda group: found)


class Old(profiler.Profiler):
    api = 0


class Bare:
    api = 1
    suffix = ".bare"


def test_another_api_is_refused(monkeypatch):
    install(monkeypatch, old=f"{__name__}:Old")
    with pytest.raises(HwnasError, match="'old'.*speaks api 0, this hwnas speaks 1"):
        load_profiler("old")


def test_a_part_that_is_not_there_is_named(monkeypatch):
    install(monkeypatch, bare=f"{__name__}:Bare")
    with pytest.raises(HwnasError, match="'bare'.*has no 'device_module'"):
        load_profiler("bare")


def test_an_unknown_one_is_answered_with_the_known_ones():
    with pytest.raises(HwnasError, match="unknown profiler 'onx': did you mean 'onnx'"):
        load_profiler("onx")
