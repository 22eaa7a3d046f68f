"""Block: the identity of one piece of a network, and the key of its row in a lookup table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, replace
from urllib.parse import quote, unquote

from .errors import HwnasError

_GRAMMAR = re.compile(r"(?P<op>[^()]+)\((?P<args>[^()]*)\)")


@dataclass(frozen=True, order=True)
class Block:
    """Facts of one block and nothing else: device, runtime, threads, dtype and batch belong to the table.

    `str(b)` is the block's key everywhere and `Block.parse(str(b)) == b`. It names the operator, its channels and
    input size, and those other fields that differ from their default:

        mbconv(16,24,28,stride=2,kernel=5,expand=6,se=4,act=hswish)
        conv(3,16,32x64,kernel=3,act=relu)

    Text fields are percent-encoded, so any name can stand in them. Residual connections are derived, never stored.
    """

    op: str  # key of hwnas.ops.OPS
    cin: int  # channels of each input
    cout: int
    height: int  # of the input, pixels
    width: int
    stride: int = 1
    kernel: int = 1
    expand: int = 1  # hidden channels / cin
    se: int = 0  # squeeze-and-excitation: hidden channels / squeezed channels; 0 = none
    inputs: int = 1  # how many tensors it reads (sums and concatenations read several)
    act: str = ""

    def __str__(self) -> str:
        size = str(self.height) if self.height == self.width else f"{self.height}x{self.width}"
        rest = [f"{f.name}={_escape(v)}" for f in _OPTIONAL if (v := getattr(self, f.name)) != f.default]
        return f"{_escape(self.op)}({','.join([str(self.cin), str(self.cout), size, *rest])})"

    @classmethod
    def parse(cls, key: str) -> Block:
        """The block whose `str` is key. Raises HwnasError that quotes the key and says what is wrong in it."""
        match = _GRAMMAR.fullmatch(key)
        args = match["args"].split(",") if match else []
        if match is None or len(args) < 3:
            raise HwnasError(f"block {key!r}: expected op(cin,cout,size,field=value,...)")
        try:
            height, _, width = args[2].partition("x")
            known: dict[str, int | str] = {}
            for arg in args[3:]:
                name, _, value = arg.partition("=")
                if name not in _BY_NAME or name in known:
                    raise ValueError(f"field {name!r} is unknown or repeated; fields are {', '.join(_BY_NAME)}")
                known[name] = unquote(value) if name == "act" else int(value)
            block = cls(unquote(match["op"]), int(args[0]), int(args[1]), int(height), int(width or height), **known)  # type: ignore[arg-type]
        except ValueError as error:
            raise HwnasError(f"block {key!r}: {error}") from None
        if str(block) != key:
            raise HwnasError(f"block {key!r}: not in canonical form, write {str(block)!r}")
        return block

    @property
    def residual(self) -> bool:
        """Whether input and output have one shape, so that the block can add its input to its output."""
        return self.stride == 1 and self.cin == self.cout

    @property
    def out_size(self) -> tuple[int, int]:
        """(height, width) of the output, pixels: operators here pad so that stride s gives ceil(size / s)."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @staticmethod
    def hull(blocks: Iterable[Block]) -> Block:
        """The smallest block whose weights hold those of all the blocks: what they slice when they share."""
        blocks = list(blocks)
        largest = {n: max(getattr(b, n) for b in blocks) for n in ("cin", "cout", "height", "width", "kernel", "expand")}
        squeezes = [b.se for b in blocks if b.se]
        return replace(blocks[0], se=min(squeezes, default=0), **largest)


def _escape(value: object) -> str:
    return quote(str(value), safe="-._")


_OPTIONAL = [f for f in fields(Block) if f.default is not MISSING]
_BY_NAME = {f.name: f for f in _OPTIONAL}
