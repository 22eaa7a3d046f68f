"""How long work tells what it is doing, without knowing whether anybody draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int, int, str], None]  # done, total, what to say beside the bar
Show = Callable[[str], AbstractContextManager[Advance]]  # title -> a bar for as long as the context lasts


@contextmanager
def silent(title: str) -> Iterator[Advance]:
    """Shows nothing: the default for library callers."""
    yield lambda done, total, text: None
