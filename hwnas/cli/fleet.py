"""`hwnas fleet`: all devices of a run in one table, and the fewest models that serve them."""

from __future__ import annotations

from pathlib import Path

import typer

from ..cost import METRICS
from ..errors import HwnasError
from ..steps import RunFolder
from ..steps.fleet import fleet
from ..steps.search import search_target
from ..tasks import Workers
from .console import JSON, LUT, RAY, RUN, WORKERS, bar, say, show_json, show_table
from .search import resolved_budgets, shared_scorer

WITHIN = typer.Option("0.5%", "--within", help="How far each device may fall behind its own winner, in points of accuracy.")


def fleet_command(
    run: Path = RUN,
    within: str = WITHIN,
    no_measure: bool = typer.Option(False, "--no-measure", help="Time nothing: predictions, and what was measured before."),
    workers: int = WORKERS,
    ray: str = RAY,
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """The fewest models that serve every budget of a run, and every winner timed on every device.

    `2 models serve 7 budgets, -0.3% at most`: candidates are all architectures that the run has scored; a model counts for a device
    only if its file, timed there, keeps the budget. Searches what was not searched yet; killed, it goes on where it was.
    """
    try:
        points = float(within.removesuffix("%")) / 100
    except ValueError:
        points = -1.0
    if not within.endswith("%") or not 0 <= points <= 1:
        raise HwnasError(f"--within {within!r}: write points of accuracy such as 0.5%")
    opened = RunFolder.open(run, lut)
    resolved = resolved_budgets(opened)
    with Workers(workers, ray) as hands:
        scorer = shared_scorer(opened, hands)
        winners = [search_target(opened, model, target, scorer, show=bar) for model, target in resolved]
        found = fleet(opened, resolved, winners, scorer, points, not no_measure, bar)
    if json:
        show_json(found)
        return
    ms, names = METRICS["latency"].text, [f"{b['device']} {b['budget']}" for b in found["budgets"]]
    cross = []
    for name, row in zip(names, found["cross"]):
        figures = [f"~{ms(c['predicted_ms'])}" if c["measured_ms"] is None else ms(c["measured_ms"]) for c in row["on"]]
        cross.append((name, *(f"{text} {'keeps' if c['keeps'] else 'breaks'}" for text, c in zip(figures, row["on"]))))
    note = "~ predicted, not measured" if any(c["measured_ms"] is None for row in found["cross"] for c in row["on"]) else "all measured"
    show_table("winners on every device", ["winner of", *(f">{n}" for n in names)], cross, note=note)
    for device, reason in found["away"].items():
        say(f"{device}: not measured: {reason}")
    served = []
    for k, model in enumerate(found["models"], 1):
        loss = max(found["loss"][b] for b in model["serves"])
        served.append((k, f"{model['accuracy']:.2%}", _change(loss), "; ".join(names[b] for b in model["serves"])))
    title = f"{len(served)} models serve {len(names)} budgets, {_change(max(found['loss']))} at most"
    show_table(title, [">model", ">accuracy (search-validation)", ">at most", "serves"], served, note=f"choices in {run}/fleet.json")


def _change(loss: float) -> str:
    """`-0.30%`; what rounds to nothing has no sign."""
    return f"{-loss:+.2%}" if abs(loss) >= 0.00005 else "0.00%"
