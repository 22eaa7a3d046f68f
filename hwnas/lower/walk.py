"""lower(module, *shapes): a torch module -> the Program that computes the same in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import fx, nn

from .emitter import Emitter, Ref
from .program import Program
from .spellings import CALLS, MODULES, Grouped
from .unknown import UnknownOp, need

_WAY_OUT = "hwnas.lower.program lists the primitives it may consist of"


def lower(module: nn.Module, *shapes: tuple[int, ...]) -> Program:
    """The module as primitives: BatchNorm folded, dropout, identities and dead code gone.

    shapes: of each input, (n, c, h, w) or (n, c). The module computes as after `.eval()` but is left as it is; nothing is run, so a
    module on `torch.device("meta")` does for everything but writing a file. Raises UnknownOp for what has no primitive.
    """
    if type(module) in MODULES:
        module = nn.Sequential(module)  # so that a single layer is called like any other, and not entered
    with evaluating(module), torch.no_grad():
        graph = _trace(module, len(shapes))
        emitter = Emitter(shapes)
        inputs = iter(emitter.inputs)
        values: dict[fx.Node, Any] = {}
        for node in graph.nodes:
            if node.op == "placeholder":
                values[node] = next(inputs)
            elif node.op == "get_attr":
                values[node] = reduce(getattr, node.target.split("."), module)
            elif node.op == "output":
                return emitter.finish(_outputs(fx.map_arg(node.args[0], values.__getitem__)))
            else:
                values[node] = _lower_node(emitter, node, module, values)
    raise AssertionError("an fx graph ends with its output")


class _Tracer(fx.Tracer):
    """Records calls of torch.nn modules whole, and gives the root as many inputs as there are shapes, whatever its signature."""

    def __init__(self, inputs: int):
        super().__init__()
        self.inputs = inputs

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m.__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        return root_fn, [self.root, *(self.create_proxy("placeholder", f"input{i}", (), {}) for i in range(self.inputs))]


def _trace(module: nn.Module, inputs: int) -> fx.Graph:
    try:
        return _Tracer(inputs).trace(module)
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        raise UnknownOp(f"cannot lower {type(module).__name__}: torch.fx cannot trace it ({_one_line(error)})") from error


def _lower_node(emitter: Emitter, node: fx.Node, module: nn.Module, values: dict[fx.Node, Any]) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
    target: Any = node.target
    try:
        if node.op == "call_module":
            layer = module.get_submodule(target)
            need(type(layer) in MODULES, "no primitive does this")
            handler: Any = MODULES[type(layer)]
            return handler(emitter, layer, *args, **kwargs)
        if not _has_tensors((args, kwargs)):  # arithmetic on sizes and on weights
            return getattr(args[0], target)(*args[1:], **kwargs) if node.op == "call_method" else target(*args, **kwargs)
        need(target in CALLS, "no primitive does this")
        return CALLS[target](emitter, *args, **kwargs)
    except (UnknownOp, TypeError, IndexError) as error:
        name = type(layer).__name__ if node.op == "call_module" else getattr(target, "__name__", target)
        where = f"{name} ({target if node.op == 'call_module' else node.name})"
        raise UnknownOp(f"cannot lower {where} in {type(module).__name__}: {_one_line(error)}. {_WAY_OUT}") from error


def _has_tensors(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_has_tensors, value))
    if isinstance(value, dict):
        return any(map(_has_tensors, value.values()))
    return isinstance(value, (Ref, Grouped))


def _outputs(value: Any) -> list[Ref]:
    outputs = list(value) if isinstance(value, (tuple, list)) else [value]
    whole = all(isinstance(output, Ref) for output in outputs)
    need(whole, f"cannot lower an output that is a {type(value).__name__}: it must be a tensor or a tuple of tensors")
    return outputs


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, and after that as it was."""
    training = [m for m in module.modules() if m.training]
    try:
        for m in training:
            m.training = False
        yield
    finally:
        for m in training:
            m.training = True


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
