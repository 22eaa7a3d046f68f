"""`hwnas search`: the best architecture for each budget, or a front below it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer

from ..architecture import short_name
from ..cost import FIELDS, METRICS, CostModel
from ..errors import HwnasError
from ..score import RunScorer
from ..search import Target
from ..steps import Experiment, RunFolder, derived_winner, load_supernet, retime_devices, search_target, time_tails
from ..steps.pareto import parse_objectives, search_front
from ..steps.retime import mistrust
from ..steps.search import Winner, make_scorer, resolve
from ..tasks import Workers
from .console import JSON, LUT, RAY, RUN, WORKERS, bar, say, show_json, show_table

BUDGET_HELP = (
    "DEVICE:metric=value,... such as onnx-cpu:latency=2ms,memory=4MB. Metrics: latency (the median), latency_p90, latency_p95, load (of "
    "the file), memory, size, macs, params; energy and instructions where the device tells them. 1ms|2ms gives a winner for each; 30% is "
    "a share of the reachable range; 2ms@90% has to hold with a probability of 90 %, not 95; 2ms~0.5%per10% is soft: each 10 % over cost "
    "0.5 % of accuracy. Repeat for more devices."
)
BUDGET = typer.Option([], "--budget", "-b", help=BUDGET_HELP)


def search(
    run: Path = RUN,
    budget: list[str] = BUDGET,
    method: str = typer.Option(
        "",
        "--method",
        help="evolution, regularised (evolution where the oldest dies), nsga2, nsga3, exact (a mixed-integer program on a fitted score "
        "seeds the evolution), surrogate (a model with uncertainty proposes), progressive, local, rl, exhaustive, random. All evaluate "
        "population x generations architectures at most, exhaustive everything. Empty keeps the run's setting.",
    ),
    generations: int = typer.Option(0, "--generations", help="0 keeps the run's setting."),
    score: str = typer.Option(
        "", "--score", help="inherited (the supernet's weights) or train (each candidate alone, from scratch; no supernet is needed)."
    ),
    epochs: int = typer.Option(0, "--epochs", help="With --score train: of each candidate; 0 keeps the run's setting."),
    share: float = typer.Option(
        0.0, "--share", help="With --score train: of the training images, such as 0.25; 0 keeps the run's setting."
    ),
    pareto: str = typer.Option(
        "",
        "--pareto",
        help="Two or three of accuracy and the metrics, such as accuracy,latency,size: the whole front below the budget, not one winner "
        "(NSGA-II; NSGA-III with --method nsga3).",
    ),
    force: bool | None = typer.Option(
        None,
        "--force/--no-force",
        help="With a table whose trust report is missing or bad; never calibrated: plain sums, no bound. Left out: the run's setting.",
        show_default=False,
    ),
    no_retime: bool = typer.Option(
        False, "--no-retime", help="Do not time five networks of each table again to see how fast the device is today."
    ),
    workers: int = WORKERS,
    ray: str = RAY,
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Finds the best architecture for each budget, with random search at equal evaluations beside it."""
    opened = RunFolder.open(run, lut)
    fields = opened.experiment.model_dump()
    if budget:
        fields["budgets"] = budget
    if method:
        fields["search"]["method"] = method
    if generations:
        fields["search"]["generations"] = generations
    fields["search"] |= {k: v for k, v in {"score": score, "epochs": epochs, "share": share}.items() if v}
    if force is not None:
        fields["search"]["force"] = force
    opened = RunFolder(run, Experiment.parse(fields, f"hwnas search {run}"), lut)
    objectives = parse_objectives(pareto) if pareto else []
    retime(opened, again=True, skip=no_retime)
    with Workers(workers, ray) as hands:
        if objectives:
            _fronts(opened, objectives, json, hands)
            return
        winners = [winner for _, winner in find_winners(opened, hands)]
    if json:
        show_json([{"device": w.target.budget.device, "choices": opened.space.decode(w.z), **w.to_dict()} for w in winners])
        return
    rows = []
    for w in winners:
        names = w.target.metric_names
        soft = ["" if hard else " (soft)" for hard in w.target.hard]
        limits = ", ".join(f"{n} {METRICS[n].text(v)}{s}" for n, v, s in zip(names, w.target.limits, soft))
        estimate = " (estimate)" if w.estimate else ""
        upper = ", ".join(METRICS[n].text(w.upper[METRICS[n].field]) for n in names)
        rows.append((w.target.budget.device + estimate, limits, upper, f"{w.accuracy:.2%}", f"{w.random_accuracy:.2%}", w.evaluations))
    show_table("winners", ["device", "budget", "upper bound", ">accuracy (search-validation)", ">random search", ">evaluations"], rows)
    for w in winners:
        if w.note:
            say(f"{w.target.budget.device} {w.target.budget.name}: {w.note}")
    say(f"Next: hwnas export {run}")


def _fronts(run: RunFolder, objectives: list[str], json: bool, workers: Workers) -> None:
    resolved, scorer = resolved_budgets(run), shared_scorer(run, workers)
    shown = []
    for model, target in resolved:
        front = search_front(run, model, target, scorer, objectives, bar)
        budget, columns = target.budget, [o if o == "accuracy" else METRICS[o].field for o in objectives]
        values, choices = [list(map(float, v)) for v in front.values], [run.space.decode(z) for z in front.codes]
        shown += [{"device": budget.device, "budget": budget.name, **dict(zip(columns, v)), "choices": c} for v, c in zip(values, choices)]
        if not json:
            text = [(lambda a: f"{a:.2%}") if o == "accuracy" else METRICS[o].text for o in objectives]
            rows = [(*(t(a) for t, a in zip(text, v)), short_name(c)) for v, c in zip(values, choices)]
            title = f"{budget.device} {budget.name}: {len(rows)} of {front.evaluations} architectures are on the front"
            heads = [">accuracy (search-validation)" if o == "accuracy" else f">{o} (bound)" for o in objectives]
            show_table(title, [*heads, "architecture"], rows)
    if json:
        show_json(shown)


def find_winners(run: RunFolder, workers: Workers) -> list[tuple[CostModel, Winner]]:
    """For each budget its device's cost model and the winner.

    All budgets are resolved, and refused if they cannot be reached, before the first is searched.
    """
    resolved = resolved_budgets(run)
    if run.traits.learns:
        if run.experiment.search.score == "train":
            name = run.experiment.train.algorithm
            raise HwnasError(f"[search] score = 'train': {name} learns the architecture itself: take another algorithm, such as sandwich")
        run.save()
        return [(model, derived_winner(run.for_budget(target.budget), model, target, workers)) for model, target in resolved]
    scorer = make_scorer(run, load_supernet(run), workers)
    if run.experiment.search.score == "train":
        s, n = run.experiment.search, len(resolved)
        each = f"{s.population * s.generations:,} candidates, and as many at random" + (f", for each of {n} budgets" if n > 1 else "")
        say(
            f"each candidate is trained for {s.epochs} epochs on {s.share:.0%} of the images: at most {each}; none is trained twice, "
            "and one after another"
        )
    run.save()
    return [(model, search_target(run, model, target, scorer, show=bar)) for model, target in resolved]


def shared_scorer(run: RunFolder, workers: Workers | None = None) -> RunScorer:
    """Raises HwnasError for a run that has a supernet for each budget, so that scores of two budgets cannot be compared."""
    if run.traits.learns:
        name = run.experiment.train.algorithm
        raise HwnasError(
            f"run {str(run.path)!r}: {name} learned one architecture for each budget: train one supernet for all: --algorithm sandwich"
        )
    return make_scorer(run, load_supernet(run), workers)


def resolved_budgets(run: RunFolder) -> list[tuple[CostModel, Target]]:
    """Each budget with its device's cost model, said on stderr. Raises HwnasError where there is none, or one cannot be reached."""
    resolved = [resolve(run, budget) for budget in run.experiment.parsed_budgets()]
    if not resolved:
        raise HwnasError(f"run {str(run.path)!r}: no budget: `hwnas search {run.path} --budget DEVICE:latency=2ms`")
    if run.experiment.search.force:
        for name in run.experiment.devices:
            if reason := mistrust(run, name):
                say(f"{name}: FORCED although {reason}")
    for model, target in resolved:
        for name, span, limit in zip(target.metric_names, target.ranges, target.limits):
            text = METRICS[name].text
            say(f"{target.budget.device}: {name} {text(span.low)} to {text(span.high)} reachable, budget {text(limit)}")
        if model.estimate:
            say(f"{target.budget.device}: latencies are an ESTIMATE from a datasheet: nothing was measured")
        if model.predicted:
            usual = float(np.median(list(model.predicted.values())))
            deviation = f", with a standard deviation of {usual:.1%}" if np.isfinite(usual) else ""
            say(f"{target.budget.device}: {len(model.predicted)} of {len(run.space.blocks)} blocks predicted, not measured{deviation}")
    return resolved


def retime(run: RunFolder, again: bool = False, skip: bool = False) -> None:
    """Times networks of each table again, and tails where a budget names them, and says on stderr what was found.

    again: also where it was done a while ago; skip: tables are taken as they are.
    """
    for name, drift in retime_devices(run, bar, again, skip).items():
        say(f"{name}: {drift}" if name not in str(drift) else str(drift))
    for name, tails in ({} if skip else time_tails(run, bar)).items():
        usual = {} if isinstance(tails, str) else tails.usual
        said = tails if isinstance(tails, str) else ", ".join(f"{FIELDS[f].name} {m:.2f} times the median" for f, m in usual.items())
        say(f"{name}: {said}" if name not in said else said)
