"""fix: the user's model with its choices made."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..architecture import encode, read_architecture
from .keyed import Keyed, name_choices


def fix(model: nn.Module, architecture: str | Path | Mapping[str, object]) -> nn.Module:
    """A copy of the model with every choice made and unused modules gone; train it with the code that trains the model.

    architecture: an architecture.json, or the mapping in it: key -> option name, number, list of names, list of numbers, or
    list of booleans. Weights are those of the model. Raises HwnasError that names the key for anything else.
    """
    genes = name_choices(model)
    code = encode(tuple(genes.values()), read_architecture(architecture), f"model {type(model).__name__}")
    picks = {g.name: g.values[int(v)] for g, v in zip(genes.values(), code)}
    fixed = put_in(deepcopy(model), picks)
    _drop_unused(fixed)
    return fixed


def put_in(module: nn.Module, picks: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """The module itself, every choice in it replaced by what stands there under the picks (key -> option indices)."""
    while isinstance(module, Keyed):
        module = module.fixed(picks[module.key])
    done: dict[int, nn.Module] = {}
    for name, child in list(module._modules.items()):
        if child is not None:
            if id(child) not in done:  # a module that stands in two places stays one
                done[id(child)] = put_in(child, picks)
            module._modules[name] = done[id(child)]
    return module


def _drop_unused(model: nn.Module) -> None:
    """Replaces modules whose output nothing needs, since it only fed inputs that were not chosen.

    A model that torch.fx cannot trace keeps them: it computes the same, and carries some weights that do nothing.
    """
    try:
        graph = fx.Tracer().trace(model)
    except Exception:  # whatever the user's forward raises under tracing
        return
    used = {str(n.target) for n in graph.nodes if n.op == "call_module"}
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    used -= {str(n.target) for n in graph.nodes if n.op == "call_module"}
    for path in used:
        parent, _, name = path.rpartition(".")
        model.get_submodule(parent)._modules[name] = Unused()


class Unused(nn.Module):
    """Stands where a module stood whose output nothing needs."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return torch.zeros(()).as_subclass(Nothing)


class Nothing(torch.Tensor):
    """What unused modules give: anything that is done with it gives the same, so that the user's forward still runs."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Tensor:
        with torch._C.DisableTorchFunctionSubclass():
            return torch.zeros(()).as_subclass(Nothing)
