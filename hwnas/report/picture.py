"""An architecture as a picture of its blocks: inline SVG."""

from __future__ import annotations

from math import log2

from markupsafe import Markup, escape

from ..block import Block
from .parts import Part

STEP, WIDE, TALL = 34, 26, 76  # from block to block, of a block, of the most channels; SVG units


def block_text(b: Block) -> str:
    """What a person calls a block: `mbconv 5×5, expand 3, 24 → 40, stride 2, SE 1/4, relu, 14 px`."""
    said = [f"{b.op} {b.kernel}×{b.kernel}" if b.kernel > 1 else b.op]
    if b.expand > 1:
        said.append(f"expand {b.expand}")
    said.append(f"{b.cin} → {b.cout}" if b.cin != b.cout else f"{b.cin} channels")
    if b.stride > 1:
        said.append(f"stride {b.stride}")
    if b.se:
        said.append(f"SE 1/{b.se}")
    if b.act:
        said.append(b.act)
    return ", ".join([*said, f"{b.height} px" if b.height == b.width else f"{b.height}×{b.width} px"])


def picture(parts: list[Part], name: str) -> Markup:
    """The blocks in running order. Height: channels in and out, log scale; the pale box behind: expanded channels; the number: kernel;
    the dot: squeeze-and-excitation; the gap before a block: where the image shrinks."""
    drawn = [(p.name, b) for p in parts for b in p.blocks]
    most = max((max(b.cin * b.expand, b.cout) for _, b in drawn), default=2)
    x, shapes, size = 6.0, [], 0
    for slot, b in drawn:
        if b.height != size:
            x += 10 if size else 0
            shapes.append(f'<text class="px" x="{x:.0f}" y="{TALL + 30}">{b.height}px</text>')
            size = b.height
        shapes.append(_block(slot, b, x, most))
        x += STEP
    title = f"{name}: {len(drawn)} blocks"
    svg = (
        f'<svg class="blocks" role="img" viewBox="0 0 {x + 4:.0f} {TALL + 36}" width="{x + 4:.0f}" height="{TALL + 36}">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )
    return Markup(svg)  # every name in it is escaped above and in _block


def _block(slot: str, b: Block, x: float, most: int) -> str:
    def tall(channels: int) -> float:
        return 10 + (TALL - 10) * log2(max(channels, 1) + 1) / log2(most + 1)

    middle, a, c = 8 + TALL / 2, tall(b.cin), tall(b.cout)
    out = [f"<g><title>{escape(f'{slot}: {block_text(b)}')}</title>"]
    if b.expand > 1:
        h = tall(b.cin * b.expand)
        out.append(f'<rect class="hidden" x="{x - 2:.1f}" y="{middle - h / 2:.1f}" width="{WIDE + 4}" height="{h:.1f}" rx="4"/>')
    points = f"{x},{middle - a / 2:.1f} {x + WIDE},{middle - c / 2:.1f} {x + WIDE},{middle + c / 2:.1f} {x},{middle + a / 2:.1f}"
    out.append(f'<polygon class="k{min(b.kernel, 7)}" points="{points}"/>')
    label = str(b.kernel) if b.kernel > 1 else ("+" if b.op == "add" else "1")
    out.append(f'<text class="k k{min(b.kernel, 7)}" x="{x + WIDE / 2:.1f}" y="{middle + 5:.1f}">{label}</text>')
    if b.se:
        out.append(f'<circle class="se" cx="{x + WIDE / 2:.1f}" cy="{middle + 16:.1f}" r="3"/>')
    return "".join([*out, "</g>"])
