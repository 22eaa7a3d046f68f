"""The command that says whether a supernet can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import HwnasError
from ..steps import RunFolder, health
from .console import JSON, LUT, RUN, bar, console, say, show_json, show_table
from .train import SET, settings_of

TITLES = {
    "inherited": "inherited accuracy",
    "within": "inherited, within fifths of MACs",
    "macs": "MACs alone",
    "params": "parameters alone",
    "kl": "nearness to {all_paths} (symmetrised KL)",
    "ceiling": "the same networks, another seed",
}


def health_command(
    run: Path = RUN,
    networks: int = typer.Option(20, "--networks", min=4, help="How many architectures to train alone."),
    epochs: int = typer.Option(5, "--epochs", min=1, help="For each of them, from scratch."),
    ceiling: int = typer.Option(10, "--ceiling", min=0, help="So many are trained a second time: the noise ceiling. 0 = none."),
    quintile: int = typer.Option(0, "--quintile", min=0, max=5, help="Draw from this fifth of the MACs, 1 to 5; 0 = from all."),
    rates: str = typer.Option(
        "", "--drop-rates", help="0,0.1,0.5: trains a one-shot supernet with each, by the run's recipe, and shows how well it ranks."
    ),
    set: list[str] = SET,
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Compares inherited accuracies with those of architectures trained alone: rank correlation, its ceiling, visits, a verdict.

    Takes as long as training --networks + --ceiling networks; killed, the same command goes on. 20 networks give an interval
    of about +-0.25, 40 of +-0.15.
    """
    opened = RunFolder.open(run, lut)
    if opened.traits.learns and len(budgets := opened.experiment.parsed_budgets()) > 1:
        say(f"{len(budgets)} budgets have a supernet each: this is that of {budgets[0].device} {budgets[0].name}")
    found = health(opened, networks, epochs, ceiling, quintile, settings_of(set), bar, _numbers(rates))
    if json:
        show_json(found)
        return
    show_table(
        f"{run}: {found['algorithm']}, {networks} networks trained alone for {epochs} epochs",
        ["order of", ">networks", ">Kendall", "95 % interval", ">Spearman", "95 % interval"],
        [_row(title.format(**found), found["ranks"][name]) for name, title in TITLES.items() if name in found["ranks"]],
    )
    recalibration, skips, choice = found["recalibration"], found["skip_share"], found["choice"]
    least, most = found["visits"]["least"], found["visits"]["most"]
    say(
        f"BatchNorm: {recalibration['with']:.2%} recalibrated, {recalibration['without']:.2%} as training left it\n"
        f"visits: {least['visits']:,} ({least['option']}) to {most['visits']:,} ({most['option']})\n"
        f"skips: {skips['drawn']:.0%} of the slots, {skips['best_quarter']:.0%} in the quarter that scores best\n"
        f"trained alone: {choice['by_inherited']:.2%} for the first by inherited accuracy, {choice['at_random']:.2%} for a random one, "
        f"{choice['best']:.2%} for the best" + (f"; one seed's sd {choice['seed_sd']:.2%}" if choice["seed_sd"] is not None else "")
    )
    if found["drop_rates"]:
        show_table(
            "one-shot supernets, by the drop rate they were trained with",
            [">drop rate", ">Kendall", "95 % interval", ">mean accuracy"],
            [[f"{r['drop']:g}", *_row("", r)[2:4], f"{r['mean_accuracy']:.2%}"] for r in found["drop_rates"]],
        )
    for sentence in found["verdict"]:
        console.print(f"[bold]{sentence}[/bold]", highlight=False)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise HwnasError(f"--drop-rates {text}: expected numbers such as 0,0.1,0.5") from None


def _row(title: str, rank: dict[str, Any]) -> list[str]:
    def interval(of: str) -> str:
        low, high = rank[f"{of}_interval"]
        return f"{low:.2f} to {high:.2f}" if low == low else ""

    return [
        title,
        str(rank["n"]),
        f"{rank['kendall']:.2f}",
        interval("kendall"),
        f"{rank['spearman']:.2f}" if rank["spearman"] == rank["spearman"] else "",
        interval("spearman"),
    ]
