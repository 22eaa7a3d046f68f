"""`hwnas algorithms`: what a supernet can be trained with, and the options of each."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

import typer

from ..errors import HwnasError
from ..plugins import ALGORITHMS, installed, load
from ..train import Algorithm, options_type, traits_of
from .console import JSON, out, show_json, show_table

NAME = typer.Argument("", help="One algorithm: what it does, and its options.", show_default=False)


def algorithms(name: str = NAME, json: bool = JSON) -> None:
    """Training algorithms: for how many devices each trains, what must be retrained, and with a name its options."""
    if name:
        _one(load(ALGORITHMS, name), name, json)
        return
    rows = []
    for known in installed(ALGORITHMS):
        try:
            found = load(ALGORITHMS, known)
        except HwnasError as error:
            rows.append({"name": known, "error": str(error)})
            continue
        traits = traits_of(found)
        rows.append(
            {
                "name": known,
                "serves": "one target" if traits.learns else "all devices",
                "architecture": ("with the weights" if traits.coupled else "learned apart") if traits.learns else "searched afterwards",
                "winners": "keep their weights" if traits.one_stage else "are retrained",
                "what": _first_sentence(found),
            }
        )
    if json:
        show_json(rows)
        return
    body = [[r["name"], r.get("serves", ""), r.get("architecture", ""), r.get("winners", ""), r.get("what", r.get("error"))] for r in rows]
    show_table("algorithms", ["name", "one supernet serves", "architecture is", "winners", "in a sentence"], body)
    out.print("[dim]hwnas algorithms NAME shows its options; docs/algorithms.md helps to choose[/dim]")


def _one(algorithm: Algorithm, name: str, json: bool) -> None:
    kind = options_type(algorithm)
    source = inspect.getsource(kind).splitlines() if kind else []
    options: list[dict[str, Any]] = []
    for field in fields(kind) if kind else ():
        line = next((x for x in source if x.strip().startswith(f"{field.name}:")), "")
        options.append({"name": field.name, "type": str(field.type), "default": field.default, "what": line.partition("#")[2].strip()})
    traits = traits_of(algorithm)
    if json:
        show_json({"name": name, **vars(traits), "options": options, "what": inspect.getdoc(algorithm)})
        return
    out.print(inspect.getdoc(algorithm) or name, markup=False, highlight=False, soft_wrap=True)
    out.print(f"\none epoch: {traits.epoch}", markup=False, highlight=False)
    if options:
        rows = [[o["name"], o["type"], o["default"], o["what"]] for o in options]
        show_table("\noptions: --option name=value, or in a file under \\[train.options]", ["name", "type", "default", "what"], rows)


def _first_sentence(algorithm: Algorithm) -> str:
    text = " ".join((inspect.getdoc(algorithm) or "").split("\n\n")[0].split())
    return re.split(r"\.(?: (?=[A-Z])|$)", text)[0]
