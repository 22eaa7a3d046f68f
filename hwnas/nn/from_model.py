"""from_model: the space of a user's own model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from hashlib import sha256
from itertools import product
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from ..block import Block
from ..errors import HwnasError
from ..gates import Gate
from ..gene import Gene
from ..lower import Program, lower
from ..lower.unknown import UnknownOp
from ..lower.walk import evaluating
from ..ops.user import UserOp
from ..slot import Slot
from ..space import Space
from ..supernet.choice import State
from .fixed import put_in
from .input_choice import InputChoice
from .keyed import Keyed, name_choices
from .layer_choice import LayerChoice
from .own_model import OwnModel
from .tracing import Trace, units
from .value_choice import ValueChoice

MAX_VALUES = 64  # combinations of values that are read outside of units: the model is traced for each
MAX_OPTIONS = 1024  # of one slot, choices nested in it included: each is built and lowered

Options = tuple[int, ...]


class _Piece(NamedTuple):
    """One slot under one combination of the model's values: its blocks, by options of its own genes, last one fastest."""

    name: str
    reads: tuple[str, ...]
    writes: str
    genes: tuple[Gene, ...]
    blocks: tuple[Block, ...]
    when: tuple[tuple[Gene, int], ...] = ()


def from_model(model: nn.Module, example_input: Tensor, name: str = "own-model") -> Space:
    """The space of a model with hwnas.nn choices: a slot for each choice and each fixed piece between choices.

    example_input: (n, c, h, w) or (n, features), as the model is called. The slots are those of the model's own graph
    (torch.fx), so the cost of an architecture leaves out all that only feeds inputs it does not choose. A block is the piece's
    primitives and shapes, whatever its code looks like; equal ones are measured once. The model itself is left as it is.

    Raises HwnasError where the graph depends on the input's values, where options disagree in shape, or where a layer cannot be lowered.
    """
    genes = name_choices(model)
    if not isinstance(example_input, Tensor) or example_input.ndim not in (2, 4):
        raise HwnasError("example_input: expected one tensor, (n, channels, height, width) or (n, features), as the model takes it")
    ops, seen = dict[str, UserOp](), dict[object, str]()
    example = example_input[:1].float()
    with evaluating(model), torch.no_grad(), _own_gates(model, genes) as state:
        shared = [genes[key] for key in _values_of_all(model)]
        if prod(len(g.options) for g in shared) > MAX_VALUES:
            keys = ", ".join(g.name for g in shared)
            raise HwnasError(
                f"values {keys}: more than {MAX_VALUES} combinations: move some into modules of their own, with what they change"
            )
        combinations = [*product(*(range(len(g.options)) for g in shared))]
        traced = []
        for options in combinations:
            state.gates = {g.name: Gate(g.values[0]) for g in genes.values()} | {g.name: Gate((o,)) for g, o in zip(shared, options)}
            values = {g.name: (o,) for g, o in zip(shared, options)}
            traced.append([*_Pieces(Trace(model, example), genes, values, ops, seen)])
    slots = _joined(traced, shared, combinations)
    return Space(name, tuple(slots), slots[-1].writes, own=OwnModel(deepcopy(model), ops))


def _values_of_all(model: nn.Module) -> list[str]:
    """Keys of the values that are read outside of units."""
    inside = {id(m) for unit in units(model).values() for m in unit.modules()}
    return list(dict.fromkeys(m.key for m in model.modules() if isinstance(m, ValueChoice) and id(m) not in inside))


@contextmanager
def _own_gates(model: nn.Module, genes: Mapping[str, Gene]) -> Iterator[State]:
    """One state for all choices, and after that each its own again."""
    choices = [m for m in model.modules() if isinstance(m, Keyed)]
    before, state = [m.state for m in choices], State()
    for m in choices:
        m.state = state
    try:
        yield state
    finally:
        for m, old in zip(choices, before):
            m.state = old


class _Pieces:
    """The pieces of one trace. `seen` remembers over all traces what weights a program had when it was first met."""

    def __init__(
        self, trace: Trace, genes: Mapping[str, Gene], values: Mapping[str, Options], ops: dict[str, UserOp], seen: dict[object, str]
    ):
        self.trace, self.genes, self.values, self.ops, self.seen = trace, genes, values, ops, seen

    def __iter__(self) -> Iterator[_Piece]:
        trace, names = self.trace, set[str]()
        nodes = {n: "x" for n in trace.graph.nodes if n.op == "placeholder"}  # where in the space's graph a tensor lies
        for node in trace.pieces():
            stem = str(node.target) if node.op == "call_module" else node.name
            name = next(n for n in (stem, *(f"{stem}#{k}" for k in range(2, 10_000))) if n not in names)
            names.add(name)
            nodes[node] = f"{name}:out"
            if trace.shapes[node] is None:
                raise HwnasError(f"{stem}: gives a tuple: a choice must give one tensor")
            if trace.is_input_choice(node):
                yield from self._handed_on(node, nodes, name)
                continue
            own, blocks = self._unit(node, name) if trace.is_unit(node) else ((), (self._fixed(node, name),))
            yield _Piece(name, tuple(nodes[n] for n in trace.inputs(node)) or ("x",), nodes[node], own, blocks)

    def _handed_on(self, node: fx.Node, nodes: Mapping[fx.Node, str], name: str) -> Iterator[_Piece]:
        """An InputChoice: each candidate is handed on while it is picked."""
        choice, candidates, shape = self.trace.model.get_submodule(str(node.target)), node.args[0], self.trace.shapes[node] or ()
        assert isinstance(choice, InputChoice) and isinstance(candidates, Sequence)
        for j, candidate in enumerate(candidates):
            if not isinstance(candidate, fx.Node) or candidate not in nodes:
                raise HwnasError(f"{name}: candidate {j} is no tensor that was computed from the model's input")
            if self.trace.shapes[candidate] != shape:
                raise HwnasError(f"{name}: candidate {j} has shape {self.trace.shapes[candidate]}, candidate 0 {shape}: they must agree")
            c, h, w = _chw(shape)
            yield _Piece(f"{name}[{j}]", (nodes[candidate],), nodes[node], (), (Block("skip", c, c, h, w),), ((choice.gene, j),))

    def _fixed(self, node: fx.Node, name: str) -> Block:
        """What stands between choices."""
        module = self.trace.module(node)
        program = self._lowered(node, module, name)
        return self._block(node, module, self._identity(name, program, tuple(self.values.items())))

    def _unit(self, node: fx.Node, name: str) -> tuple[tuple[Gene, ...], tuple[Block, ...]]:
        """Genes of a unit, and its block for each combination of their options."""
        unit = self.trace.model.get_submodule(str(node.target))
        keys = dict.fromkeys(m.key for m in unit.modules() if isinstance(m, Keyed) and m.key not in self.values)
        own = tuple(self.genes[key] for key in keys)
        for gene in own:
            if not gene.is_scalar and not (isinstance(unit, LayerChoice) and gene == unit.gene):
                raise HwnasError(f"choice {gene.name!r}: picks several and stands inside of {name!r}: only an outermost choice may do that")
        if prod(len(g.options) for g in own) > MAX_OPTIONS:
            raise HwnasError(f"{name}: its nested choices have more than {MAX_OPTIONS} combinations: make it several choices in a row")
        known: dict[tuple[object, ...], Block] = {}
        blocks = []
        for options in product(*(range(len(g.options)) for g in own)):
            picks = {g.name: (o,) for g, o in zip(own, options)} | dict(self.values)
            relevant = _relevant(unit, picks)
            if relevant not in known:
                said = f"{name} with " + ", ".join(f"{g.name}={g.options[o]}" for g, o in zip(own, options))
                module = self.trace.module(node, put_in(deepcopy(unit), picks))
                program = self._lowered(node, module, said)
                values = tuple((g.name, g.options[o]) for g, o in zip(own, options) if g.context)
                others = tuple(o for g, o in zip(own, options) if not g.context)
                known[relevant] = self._block(node, module, self._identity((name, others), program, (*values, *self.values.items())))
            blocks.append(known[relevant])
            if (a := blocks[0]) and (b := blocks[-1]) and (a.cout, a.out_size) != (b.cout, b.out_size):
                raise HwnasError(
                    f"{name}: options give {a.cout} x {a.out_size} and {b.cout} x {b.out_size} (channels x size): they must agree. "
                    "A width that other layers see: read it in the forward of the whole model"
                )
        return own, tuple(blocks)

    def _lowered(self, node: fx.Node, module: nn.Module, said: str) -> Program:
        try:
            return lower(module, *self._shapes(node))
        except UnknownOp as error:
            raise HwnasError(f"{said}: {error}") from error

    def _identity(self, where: object, program: Program, values: tuple[tuple[str, object], ...]) -> str:
        """The program without its weights. Values that change numbers alone (a slope, a scale) belong to it, too."""
        nodes = [
            (n.op, n.inputs, sorted(n.attrs.items()), [(k, tuple(t.shape)) for k, t in sorted(n.weights.items())]) for n in program.nodes
        ]
        text = repr((nodes, [program.shapes[name] for name in program.inputs], program.outputs))
        weights = _digest(program)
        return text + (repr(values) if values and self.seen.setdefault((where, text), weights) != weights else "")

    def _block(self, node: fx.Node, module: nn.Module, identity: str) -> Block:
        """The block with that identity. Its numbers describe it; what runs is the module."""
        shapes = self._shapes(node)
        op = UserOp.of("user-" + sha256(identity.encode()).hexdigest()[:12], module, shapes)
        self.ops[op.name] = op
        y = module.eval()(*(torch.zeros(s) for s in shapes))
        (cin, h, w), (cout, h_out, _) = _chw(shapes[0] if shapes else tuple(y.shape)), _chw(tuple(y.shape))
        return Block(op.name, cin, cout, h, w, max(1, -(-h // h_out)), inputs=max(1, len(shapes)))

    def _shapes(self, node: fx.Node) -> tuple[tuple[int, ...], ...]:
        return tuple(self.trace.shapes[n] or () for n in self.trace.inputs(node))


def _relevant(module: nn.Module, picks: Mapping[str, Options]) -> tuple[object, ...]:
    """What decides about a module under these picks: those of choices that are left out do not."""
    if isinstance(module, LayerChoice):
        return (module.key, *((i, *_relevant(module.candidates[i], picks)) for i in picks[module.key]))
    if isinstance(module, Keyed):
        return module.key, picks[module.key]
    return tuple(found for child in module.children() if (found := _relevant(child, picks)))


def _chw(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[-1], 1, 1)


def _digest(program: Program) -> str:
    """Of the weights, in the order of the nodes."""
    hashed = sha256()
    for node in program.nodes:
        for _, tensor in sorted(node.weights.items()):
            hashed.update(tensor.contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _joined(traced: Sequence[Sequence[_Piece]], shared: Sequence[Gene], combinations: Sequence[Options]) -> list[Slot]:
    """Slots whose blocks depend on the model's values, too, where they do."""
    first = traced[0]
    skeleton = [(p.name, p.reads, p.writes, p.genes, p.when) for p in first]
    for options, pieces in zip(combinations, traced):
        if [(p.name, p.reads, p.writes, p.genes, p.when) for p in pieces] != skeleton:
            values = ", ".join(f"{g.name}={g.options[o]}" for g, o in zip(shared, options))
            raise HwnasError(f"{values}: other parts of the model run than before: offer those parts in a LayerChoice, with nn.Identity()")
    slots, seen = [], set[Gene]()
    for at, piece in enumerate(first):
        by_values = {options: pieces[at].blocks for options, pieces in zip(combinations, traced)}
        matter = [i for i, _ in enumerate(shared) if any(b != by_values[(*o[:i], 0, *o[i + 1 :])] for o, b in by_values.items())]
        if at == len(first) - 1:  # a value that changes no block (a dropout rate) is a gene all the same
            matter = sorted({*matter, *(i for i, g in enumerate(shared) if g not in seen)})
        mine = [shared[i] for i in matter]
        seen.update(mine)
        blocks: list[Block | None] = []
        for options in product(*(range(len(g.options)) for g in mine)):
            whole = [0] * len(shared)
            for i, o in zip(matter, options):
                whole[i] = o
            blocks += by_values[tuple(whole)]
        slots.append(
            Slot(piece.name, piece.reads[0], piece.writes, (*mine, *piece.genes), tuple(blocks), piece.when, "none", piece.reads[1:])
        )
    return slots
