"""Tracing: the graph of a user's model, cut into choices and the fixed pieces between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..errors import HwnasError
from .input_choice import InputChoice
from .keyed import Keyed
from .layer_choice import LayerChoice
from .value_choice import ValueChoice


def units(model: nn.Module) -> dict[str, nn.Module]:
    """Path -> module of what becomes one slot: LayerChoices, and modules that hold ValueChoices and no other choice.

    Of nested ones the outermost: choices further in only change what it is.
    """
    found: dict[str, nn.Module] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, module in modules.items():
        if isinstance(module, LayerChoice):
            found[path] = module
        if isinstance(module, ValueChoice):
            owner = _owner(path, modules)
            if owner and not any(isinstance(m, (LayerChoice, InputChoice)) for m in modules[owner].modules()):
                found[owner] = modules[owner]
    return {p: m for p, m in found.items() if not any(_is_inside(p, other) for other in found)}


def _owner(path: str, modules: dict[str, nn.Module]) -> str:
    """The module whose forward reads a value: containers have none."""
    parent = path.rpartition(".")[0]
    while parent and isinstance(modules[parent], (nn.ModuleList, nn.ModuleDict, nn.Sequential)):
        parent = parent.rpartition(".")[0]
    return parent


def _is_inside(path: str, other: str) -> bool:
    return path.startswith(other + ".")


class Trace:
    """One run of the model on an example, recorded: its graph, the value of every node as a shape, and its pieces.

    A piece is a unit or a largest part of the graph without choices that has one output. So whether a piece is needed
    depends on its output alone.
    """

    def __init__(self, model: nn.Module, example: Tensor):
        self.model, self.units = model, units(model)
        try:
            self.graph = _Tracer(self.units).trace(model)
        except Exception as error:  # whatever the user's forward raises under tracing
            raise HwnasError(
                f"{type(model).__name__}: torch.fx cannot trace its forward: {type(error).__name__}: {_one_line(error)}. "
                "Put code that depends on the input's values into a module without choices"
            ) from error
        self.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        recorder = _Recorder(fx.GraphModule(model, self.graph))
        try:
            recorder.run(example)
        except Exception as error:  # whatever the user's forward raises
            raise HwnasError(f"{type(model).__name__}: fails on the example input: {type(error).__name__}: {_one_line(error)}") from error
        self.shapes: dict[fx.Node, tuple[int, ...] | None] = recorder.shapes
        self.output = self._output()
        self.heads = self._cut()

    def is_unit(self, node: fx.Node) -> bool:
        return node.op == "call_module" and str(node.target) in self.units

    def is_input_choice(self, node: fx.Node) -> bool:
        return node.op == "call_module" and isinstance(self.model.get_submodule(str(node.target)), InputChoice)

    def pieces(self) -> Iterator[fx.Node]:
        """The output node of each piece, and each InputChoice, in the order in which they run."""
        return (n for n in self.graph.nodes if self.is_unit(n) or self.is_input_choice(n) or self.heads.get(n) is n)

    def inputs(self, head: fx.Node) -> list[fx.Node]:
        """The nodes that a piece reads, in the graph's order."""
        return self._reach(head)[1]

    def module(self, head: fx.Node, unit: nn.Module | None = None) -> fx.GraphModule:
        """The piece that ends in `head` as a module of its inputs; unit: what to put in the place of a unit."""
        inside, inputs = self._reach(head)
        graph, copies, parts = fx.Graph(), dict[fx.Node, fx.Node](), dict[str, Any]()
        for node in inputs:
            copies[node] = graph.placeholder(node.name)
        for node in self.graph.nodes:
            if node in inside:
                copies[node] = graph.node_copy(node, copies.__getitem__)
                if node.op == "call_module":
                    parts[str(node.target)] = unit if unit is not None and node is head else self.model.get_submodule(str(node.target))
                elif node.op == "get_attr":
                    owner, _, name = str(node.target).rpartition(".")
                    parts[str(node.target)] = getattr(self.model.get_submodule(owner), name)
        graph.output(copies[head])
        return fx.GraphModule(parts, graph)

    def _output(self) -> fx.Node:
        end = next(n for n in self.graph.nodes if n.op == "output").args[0]
        if not isinstance(end, fx.Node) or self.shapes[end] is None or end.op == "placeholder":
            raise HwnasError(f"{type(self.model).__name__}: its forward must give one tensor that it computed")
        return end

    def _is_inline(self, node: fx.Node) -> bool:
        """Sizes, tuples and weights go into every piece that reads them."""
        return node.op == "get_attr" or self.shapes.get(node) is None

    def _cut(self) -> dict[fx.Node, fx.Node]:
        """Node -> output node of its piece, for what is neither choice nor inline. A node whose every reader is in one piece joins it."""
        head: dict[fx.Node, fx.Node] = {}
        for node in reversed(self.graph.nodes):
            if node.op in ("placeholder", "output") or self._is_inline(node) or self.is_unit(node) or self.is_input_choice(node):
                continue
            readers = {head.get(user, user) for user in self._readers(node)}
            (only,) = readers if len(readers) == 1 else (None,)
            head[node] = only if only is not None and head.get(only) is only else node
        return head

    def _readers(self, node: fx.Node) -> set[fx.Node]:
        found: set[fx.Node] = set()
        for user in node.users:
            found |= self._readers(user) if user.op != "output" and self._is_inline(user) else {user}
        return found

    def _reach(self, head: fx.Node) -> tuple[set[fx.Node], list[fx.Node]]:
        """(nodes of a piece, nodes it reads)."""
        inside, reads, todo = {head}, set[fx.Node](), [head]
        while todo:
            for node in todo.pop().all_input_nodes:
                if self._is_inline(node) or self.heads.get(node) is head:
                    if node not in inside:
                        inside.add(node)
                        todo.append(node)
                else:
                    reads.add(node)
        return inside, [n for n in self.graph.nodes if n in reads]


class _Tracer(fx.Tracer):
    """Enters only modules that hold choices, and reads values instead of recording them."""

    def __init__(self, units: dict[str, nn.Module]):
        super().__init__()
        self.units = {id(m) for m in units.values()}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Keyed) or id(m) in self.units or not any(isinstance(c, Keyed) for c in m.modules())

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(m, ValueChoice):
            return m.forward()
        return super().call_module(m, forward, args, kwargs)


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the shape of each tensor; None for what is none."""

    def __init__(self, module: fx.GraphModule):
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...] | None] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.shapes[n] = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        return value


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
