"""User operators: pieces of a user's own model, named by what they compute."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from torch import nn


class UserOp:
    """A module and the NCHW or (n, c) shapes of its inputs at batch 1; never changed.

    `known` finds those that are in use by name; it is the Space that keeps them.
    """

    known: WeakValueDictionary[str, UserOp] = WeakValueDictionary()

    def __init__(self, name: str, module: nn.Module, shapes: tuple[tuple[int, ...], ...]):
        self.name, self.module, self.shapes = name, module, shapes

    def __deepcopy__(self, memo: dict[int, Any]) -> UserOp:
        return self

    @classmethod
    def of(cls, name: str, module: nn.Module, shapes: tuple[tuple[int, ...], ...]) -> UserOp:
        """The operator of that name: an equal one that is known already, or a new one."""
        op = cls.known.get(name)
        if op is None:
            op = cls.known[name] = cls(name, module, shapes)
        return op
