"""OwnModel: the user's model behind a space."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from ..errors import HwnasError
from ..ops.user import UserOp
from .fixed import fix
from .keyed import name_choices


@dataclass(frozen=True, eq=False)
class OwnModel:
    """What `Space.from_model` keeps: the model, and the operators that its blocks are made of."""

    module: nn.Module
    ops: Mapping[str, UserOp]

    def copy(self) -> nn.Module:
        return deepcopy(self.module)

    def checked(self, model: nn.Module) -> nn.Module:
        """The model, if it has the choices of this one. Raises HwnasError if not."""
        if name_choices(model) != name_choices(self.module):
            raise HwnasError(f"supernet: {type(model).__name__} has other choices than the model that the space was made from")
        return model

    def fixed(self, choices: Mapping[str, object], model: nn.Module | None = None) -> nn.Module:
        """The model (or another one of its kind) with its choices made, with copies of its weights."""
        return fix(self.module if model is None else model, choices)
