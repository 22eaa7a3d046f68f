"""`hwnas lut`: look at tables, see whether they can be right, compare them; lut_exchange.py takes them in and out."""

from __future__ import annotations

import json as jsonlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.text import Text

from ..budget import Budget
from ..errors import HwnasError
from ..lut import check_table, diff_tables, impact, table_path
from ..measure import Quietness, metrics_of
from ..predict import Trust, calibrate, device_model
from ..profiler import is_estimate
from ..search import reachable
from ..shipped import device_names
from ..space import Space
from ..spaces import load_space
from ..table import Table
from .console import JSON, LUT, TABLE, out, show_json, show_table
from .lut_exchange import MANY, export, import_, merge

lut = typer.Typer(
    help="Tables of devices: look, check, compare, merge, share.\n\n"
    "A TABLE is a device's name, a folder with a table.jsonl, or that file. Names are looked up in --lut first, then among the tables "
    "that come with hwnas, which are only read.",
    no_args_is_help=True,
    add_completion=False,
)
# Column of `hwnas lut show` -> field of a row, and how many of the field's units one of the column's is.
COLUMNS = {
    ">p95 us": ("p95_ms", 1e-3),
    ">first run us": ("first_run_ms", 1e-3),
    ">load ms": ("load_ms", 1.0),
    ">peak MB": ("peak_rss_bytes", 1e6),
    ">energy mJ": ("energy_mj", 1.0),
    ">M instructions": ("instructions", 1e6),
}


@lut.command()
def show(
    device: str = TABLE,
    lut: Path = LUT,
    slowest: int = typer.Option(10, "--slowest", help="How many blocks to list; 0 lists all."),
    json: bool = JSON,
) -> None:
    """What a table holds: under what it was measured, how quiet the machine was, how far it can be trusted, its slowest blocks."""
    path = table_path(device, lut)
    table = Table.read(path)
    values, errors, others, quietness = table.values(), table.standard_error(), metrics_of(table), Quietness.of(table)
    reports = Trust.load_all(path.parent / "trust.json")
    estimate = is_estimate(table.fingerprint)
    blocks = {k: v for k, v in values.items() if not k.startswith("net(")}
    order = sorted(blocks, key=lambda k: -blocks[k])
    if json:
        data: dict[str, Any] = {"device": table.device, "fingerprint": table.fingerprint, "provenance": table.provenance}
        data |= {"estimate": estimate, "quiet": quietness.quiet, "verdict": str(quietness), "trust": [t.to_dict() for t in reports]}
        rows = [
            {"key": k, "latency_ms": values[k], "standard_error": errors.get(k)} | {f: told[k] for f, told in others.items() if k in told}
            for k in values
        ]
        show_json(data | {"rows": rows, "failed": table.failed})
        return
    host, runtime = table.fingerprint.get("host", {}), table.fingerprint.get("runtime", {})
    where = "" if estimate else f" on {host.get('cpu', host)}"
    out.print(f"[bold]{table.device}[/bold]  {runtime.get('name')} {runtime.get('version')}{where}", highlight=False)
    verdict = "[yellow]ESTIMATE[/yellow] from a datasheet: nothing was measured" if estimate else str(quietness)
    out.print(f"{len(blocks)} blocks, {len(values) - len(blocks)} networks, {len(table.failed)} failed; {verdict}", highlight=False)
    for entry in table.provenance:
        who = f" by {entry['by']}" if entry.get("by") else ""
        out.print(f"{entry.get('what')} {entry.get('at')}{who} with {entry.get('tool')}", highlight=False, markup=False)
    for report in reports:
        out.print(f"{report.space}: {report.verdict}; {report}", highlight=False, soft_wrap=True, markup=False)
    shown = {column: (told, scale) for column, (f, scale) in COLUMNS.items() if (told := others.get(f))}
    body = []
    for k in order[: slowest or None]:
        more = [f"{told[k] / scale:.3g}" if k in told else "" for told, scale in shown.values()]
        known = f"{2 * errors[k]:.1%}" if k in errors else ""  # a single round tells nothing of itself
        body.append((k, f"{1000 * blocks[k]:.1f}", known, *more))
    show_table("slowest blocks" if slowest else "blocks", ["block", ">us", ">known within", *shown], body)
    for key, reason in table.failed.items():
        out.print(f"failed: {key}: {reason}", highlight=False)


@lut.command()
def check(
    tables: list[str] = typer.Argument(
        help="Devices or paths; none checks every table in --lut, and those that come with hwnas.", default=None
    ),
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Whether tables can be right: lines, keys, duplicates, impossible values, noise, drift, fingerprints, content. Exit code 1 if not."""
    paths = [table_path(name, lut) for name in tables or []] or sorted(
        {*lut.glob("*/table.jsonl")} | {t for folder in device_names(lut).values() if (t := folder / "table.jsonl").exists()}
    )
    if not paths:
        raise HwnasError(f"no table in {lut}: name one, or --lut DIR")
    results = [check_table(path) for path in paths]
    if json:
        show_json([r.to_dict() for r in results])
    for r in results if not json else []:
        verdict = "[green]ok[/green]" if r.ok else "[red]not ok[/red]"
        facts = f"{r.blocks} blocks, {r.networks} networks, {r.rows} rows, {r.failed} failed; content {r.content[:16]}"
        out.print(f"[bold]{r.path}[/bold]: {verdict}: {facts}", highlight=False, soft_wrap=True)
        listed: Counter[str] = Counter()
        for f in r.findings:
            listed[f.check] += 1
            if listed[f.check] <= MANY:
                out.print(f"  {f}", highlight=False, soft_wrap=True, markup=False)
        for name, count in listed.items():
            if count > MANY:
                out.print(f"  {name}: {count - MANY} more like these: --json lists all", highlight=False)
    if not all(r.ok for r in results):
        raise typer.Exit(1)


@lut.command()
def diff(
    a: str = TABLE,
    b: str = TABLE,
    lut: Path = LUT,
    space: str = typer.Option("", "--space", help="Also: would a search of this space come to other winners?"),
    budget: list[str] = typer.Option(
        [], "--budget", "-b", help="latency=2ms or latency=30% (of A's range); repeat for more. Default 20, 50 and 80 %."
    ),
    architecture: list[Path] = typer.Option(
        [], "--architecture", "-a", help="An architecture.json, or a run's folder with winners: do they still keep the budgets?"
    ),
    rows: int = typer.Option(10, "--rows", help="How many rows to list of those that changed most."),
    json: bool = JSON,
) -> None:
    """What changed from table A to table B: by block, by kind of block, in the fingerprints, and for a search."""
    path_a, path_b = table_path(a, lut), table_path(b, lut)
    found = diff_tables(Table.read(path_a), Table.read(path_b))
    effect = None
    if space or architecture:
        made = load_space(space or _space_of(architecture[0]))
        effect = _effect(made, path_a.parent, path_b.parent, budget, architecture)
    if json:
        show_json({**found.to_dict(), "impact": effect.to_dict() if effect else None})
        return
    out.print("\n".join(found.fingerprint) or "the same fingerprint", highlight=False, markup=False, soft_wrap=True)
    for name, keys in (("only in A", found.only_a), ("only in B", found.only_b), ("measured in A, failed in B", tuple(found.failed_in_b))):
        if keys:
            out.print(f"{name}: {len(keys)} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})", highlight=False, markup=False)
    body: list[tuple[object, ...]]
    groups = {"all blocks": found.blocks, "networks": found.networks, **found.by_kind}
    body = [(n, r.n, f"{r.median:.3f}", f"{r.p10:.3f}", f"{r.p90:.3f}") for n, r in groups.items() if r]
    note = f"the change of a typical row is known within {2 * found.error:.1%}: smaller ones say nothing"
    show_table("B / A", ["", ">rows", ">median", ">p10", ">p90"], body, note)
    body = [(k, f"{1000 * x:.1f}", f"{1000 * y:.1f}", f"{r:.3f}") for k, x, y, r in found.changed[:rows]]
    show_table("changed most, against all others", ["row", ">A us", ">B us", ">B / A"], body)
    if effect:
        out.print(
            f"costs of {effect.samples} random architectures: B / A {effect.ratio:.3f}, rank correlation {effect.spearman:.4f}",
            highlight=False,
        )
        body = [(f"{limit:.4g} ms", "none feasible" if np.isnan(x) else f"{x:.0%}") for limit, x in effect.overlap.items()]
        show_table("feasible in both / in either", [">latency", ">overlap"], body)
        yes = {True: Text("kept", style="green"), False: Text("broken", style="red")}
        body = [
            (k.architecture, f"{k.limit_ms:.4g}", f"{k.a_upper_ms:.4g}", yes[k.a_keeps], f"{k.b_upper_ms:.4g}", yes[k.b_keeps])
            for k in effect.kept
        ]
        if body:
            show_table("architectures", ["", ">budget ms", ">A bound ms", "A", ">B bound ms", "B"], body)


lut.command()(merge)
lut.command()(export)
lut.command("import")(import_)


@lut.command()
def trust(
    device: str = TABLE,
    space: str = typer.Option("", "--space", help="Calibrate for this space on the networks that the table holds, and report."),
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """How well whole networks are predicted on a device, by networks that took no part in it. Exit code 1 if too badly to search."""
    folder = table_path(device, lut).parent
    reports = Trust.load_all(folder / "trust.json")
    if space:
        made = load_space(space)
        if not any(t.space_hash == made.hash for t in reports):
            calibrate(made, folder)
            reports = Trust.load_all(folder / "trust.json")
        reports = [t for t in reports if t.space_hash == made.hash]
    if not reports:
        raise HwnasError(f"device {device!r}: no trust report: `hwnas lut trust {device} --space SPACE`, or profile it")
    if json:
        show_json([t.to_dict() for t in reports])
    for t in reports if not json else []:
        color = "red" if t.reasons else "green"
        out.print(f"[bold]{t.device}[/bold] {t.space}: [{color}]{t.verdict}[/{color}]", highlight=False, soft_wrap=True)
        out.print(
            f"{t.blocks_measured} blocks measured, {t.blocks_predicted} predicted; bound: predicted + {t.margin:.1%}", highlight=False
        )
        body: list[tuple[object, ...]] = []
        for name, f, covered in ((f"{t.kind} networks", t.held_out, t.covered), ("picked by searches", t.searched, t.searched_covered)):
            if f:
                shares = f"{f.within_5:.0%}", f"{f.within_10:.0%}", f"{f.worst:.1%}", f"{f.bias:+.1%}", f"{f.spearman:.3f}"
                body.append((name, f.networks, f"{f.mape:.1%}", *shares, f"{covered}/{f.networks}"))
        show_table("", ["held out", ">n", ">MAPE", ">in 5 %", ">in 10 %", ">worst", ">bias", ">rank", ">in bound"], body)
        body = [
            (
                f"{w['error']:+.1%}",
                f"{1000 * w['measured_ms']:.1f}",
                f"{1000 * w['predicted_ms']:.1f}",
                "; ".join(f"{k} {h}" for k, _, h in w["blocks"]),
            )
            for w in t.worst
        ]
        show_table("worst", [">error", ">measured us", ">predicted us", "its dearest blocks"], body)
    if any(t.reasons for t in reports):
        raise typer.Exit(1)


def _effect(space: Space, a: Path, b: Path, budgets: Sequence[str], architectures: Sequence[Path]) -> Any:
    """Both cost models, limits in ms, codes by name."""
    models = [device_model(space, folder, force=True) for folder in (a, b)]
    span = reachable(models[0], "latency_ms")
    texts = budgets or ["latency=20%", "latency=50%", "latency=80%"]
    limits = []
    for budget in (found for t in texts for found in Budget.parse(t if ":" in t else f"any:{t}")):
        limits += [span.at(x.value) if x.relative else x.value for x in budget.limits if x.metric == "latency"]
    codes = {}
    for path in architectures:
        files = [path] if path.is_file() else sorted(path.glob("devices/**/architecture.json"))
        if not files:
            raise HwnasError(f"{path}: no architecture.json, and no run that has exported any")
        for file in files:
            name = str(file.parent.relative_to(path) if path.is_dir() else file).removeprefix("devices/")
            codes[name] = space.encode(_architecture(file)["choices"])
    return impact(models[0], models[1], limits, codes)


def _architecture(path: Path) -> dict[str, Any]:
    try:
        data = jsonlib.loads(path.read_text())
        return {"space": str(data["space"]), "choices": dict(data["choices"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HwnasError(f"{path}: not an architecture.json ({type(error).__name__}: {error})") from None


def _space_of(path: Path) -> str:
    files = [path] if path.is_file() else sorted(path.glob("devices/**/architecture.json"))
    if not files:
        raise HwnasError(f"{path}: no architecture.json: give --space")
    return str(_architecture(files[0])["space"])
