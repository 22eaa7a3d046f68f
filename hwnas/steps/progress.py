"""How long work tells what it is doing, without knowing whether anybody draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

from ..measure import Report

Advance = Callable[[int, int, str], None]  # done, total, what to say beside the bar
Show = Callable[[str], AbstractContextManager[Advance]]  # title -> a bar for as long as the context lasts


@contextmanager
def silent(title: str) -> Iterator[Advance]:
    """Shows nothing: the default for library callers."""
    yield lambda done, total, text: None


def pace(advance: Advance, rounds: int) -> Report:
    """A report for `measure` that says how many blocks (and networks) a minute it measures, all rounds of each counted as one."""
    began = monotonic()

    def report(done: int, total: int, key: str, sample: object) -> None:
        advance(done, total, f"{60 * done / rounds / (monotonic() - began + 1e-9):.0f} blocks/min  {key[:48]}")

    return report
