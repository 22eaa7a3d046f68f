"""`hwnas fleet`: all devices of a run in one table, and the fewest models that serve them."""

from __future__ import annotations

from pathlib import Path

import typer

from ..cost import METRICS
from ..errors import HwnasError
from ..steps import RunFolder
from ..steps.fleet import fleet
from ..steps.search import search_target
from .console import JSON, LUT, bar, show_json, show_table
from .pipeline import RUN, resolved_budgets, shared_scorer

WITHIN = typer.Option("0.5%", "--within", help="How far each device may fall behind its own winner, in points of accuracy.")


def fleet_command(run: Path = RUN, within: str = WITHIN, lut: Path = LUT, json: bool = JSON) -> None:
    """The fewest models that serve every budget of a run, and what each winner would cost on every device.

    `2 models serve 7 budgets, -0.3% at most`: candidates are all architectures that the run has scored. Searches what was not
    searched yet; measures nothing, so latencies are predictions unless a certificate has a measured one.
    """
    try:
        points = float(within.removesuffix("%")) / 100
    except ValueError:
        points = -1.0
    if not within.endswith("%") or not 0 <= points <= 1:
        raise HwnasError(f"--within {within!r}: write points of accuracy such as 0.5%")
    opened = RunFolder.open(run, lut)
    resolved = resolved_budgets(opened)
    scorer = shared_scorer(opened)
    winners = [search_target(opened, model, target, scorer, show=bar) for model, target in resolved]
    found = fleet(opened, resolved, winners, scorer, points)
    if json:
        show_json(found)
        return
    ms, names = METRICS["latency"].text, [f"{b['device']} {b['budget']}" for b in found["budgets"]]
    cross = []
    for name, row in zip(names, found["cross"]):
        cells = [f"{ms(c['predicted_ms'])} {'keeps' if c['keeps'] else 'breaks'}" for c in row["on"]]
        cross.append((name, *cells, ms(row["measured_ms"]) if row["measured_ms"] else ""))
    show_table("winners on every device, predicted", ["winner of", *(f">{n}" for n in names), ">measured on its own"], cross)
    served = []
    for k, model in enumerate(found["models"], 1):
        loss = max(found["loss"][b] for b in model["serves"])
        served.append((k, f"{model['accuracy']:.2%}", f"{-loss:.2%}", "; ".join(names[b] for b in model["serves"])))
    title = f"{len(served)} models serve {len(names)} budgets, {-max(found['loss']):.2%} at most"
    show_table(title, [">model", ">accuracy (search-validation)", ">at most", "serves"], served, note=f"choices in {run}/fleet.json")
