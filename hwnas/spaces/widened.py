"""widened: a space with more, or fewer, channels everywhere."""

from __future__ import annotations

from dataclasses import replace

from ..block import Block
from ..errors import HwnasError
from ..slot import Slot
from ..space import Space


def widened(space: Space, factor: float) -> Space:
    """The same genes and codes, every block with `factor` times its channels; the network's input and its classes stay.

    Searched at one width and deployed at another, as DARTS and ENAS do. Channels are rounded so that they stay divisible by the powers
    of two (up to 8) that divided them before. Raises HwnasError for a user's own model, and where a concatenation of rounded parts
    would not fit the block that reads it.
    """
    if space.own is not None:
        raise HwnasError(f"width {factor:g}: {space.name!r} is a model of your own: give its code a width, and fix that model")
    if not factor > 0:
        raise HwnasError(f"width {factor:g}: must be above 0")

    def channels(n: int) -> int:
        step = next(s for s in (8, 4, 2, 1) if n % s == 0)
        wide = max(step, step * round(n * factor / step))
        if space.cats and wide != n * factor:
            raise HwnasError(f"width {factor:g}: {n} channels of {space.name!r} would be {n * factor:g}: take a multiple of 1/{n // step}")
        return wide

    def wider(slot: Slot, block: Block | None) -> Block | None:
        if block is None:
            return None
        cin = block.cin if slot.reads == "x" else channels(block.cin)
        return replace(block, cin=cin, cout=block.cout if slot.writes == space.output else channels(block.cout))

    slots = tuple(replace(s, blocks=tuple(wider(s, b) for b in s.blocks)) for s in space.slots)
    return replace(space, name=f"{space.name} x {factor:g}", slots=slots, spec="")
