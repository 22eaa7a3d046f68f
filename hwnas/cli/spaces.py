"""The command `hwnas spaces`."""

from __future__ import annotations

from typing import Any

import typer

from ..plugins import SPACES, installed
from ..spaces import load_space
from .console import JSON, count, show_json, show_table


def spaces(
    spec: str = typer.Argument("", help="Name, name(key=value, ...), or file.py:function: then its genes are listed.", show_default=False),
    json: bool = JSON,
) -> None:
    """Search spaces: how many architectures and distinct blocks they have, what may vary."""
    named = [load_space(spec)] if spec else [load_space(name) for name in installed(SPACES)]
    rows: list[dict[str, Any]] = [
        {
            "space": s.spec.partition("(")[0] if not spec else s.spec,
            "architectures": s.architectures,
            "genes": len(s.genes),
            "blocks": len(s.blocks),
            "hash": s.hash,
            **({"options": {g.name: list(g.options) for g in s.genes}} if spec else {}),
        }
        for s in named
    ]
    if json:
        show_json(rows[0] if spec else {"spaces": rows})
        return
    body = [(r["space"], count(r["architectures"]), r["genes"], r["blocks"]) for r in rows]
    note = "" if spec else "at their default sizes; `hwnas spaces 'NAME(size=64, classes=100)'` lists the genes of one"
    show_table("spaces", ["space", ">architectures", ">genes", ">blocks to measure"], body, note=note)
    if spec:
        genes = [(g.name, len(g.values), ", ".join(map(str, g.options))) for g in named[0].genes]
        show_table("genes", ["gene", ">values", "options"], genes)
