"""UnknownOp: a module that the walk cannot turn into primitives."""

from __future__ import annotations

from ..errors import HwnasError


class UnknownOp(HwnasError):
    """Names the module or function that `lower` does not know, and why."""


def need(condition: bool, reason: str) -> None:
    """Raises UnknownOp with the reason unless the condition holds; `lower` adds where it happened."""
    if not condition:
        raise UnknownOp(reason)
