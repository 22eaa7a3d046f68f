"""The command `hwnas` and what all its subcommands share."""

from __future__ import annotations

import logging
import os
import sys

import typer
from rich.markup import escape

from .. import __version__
from ..errors import HwnasError
from .console import console
from .lazy import Command, lazy_group

COMMANDS = {
    "devices": Command("look:devices", "Installed profilers and known devices: what runs here, what is missing and how to install it."),
    "device": Command("device:device", "Make boards, phones and other Python interpreters known as devices, and look at them."),
    "spaces": Command("spaces:spaces", "Search spaces: how many architectures and distinct blocks they have, what may vary."),
    "profile": Command(
        "measure:profile", "Measures the blocks of a space on a device into lut/DEVICE/, and whole networks to calibrate their sum."
    ),
    "transfer": Command(
        "transfer:transfer", "Predicts a space on a new device from other devices' tables and a few networks measured on it."
    ),
    "check": Command(
        "check:check",
        "Checks that a device profiler keeps what hwnas relies on: for authors of plugins, and for boards one does not trust.",
    ),
    "lut": Command("lut:lut", "Tables of devices: look, check, compare, merge, share."),
    "algorithms": Command(
        "algorithms:algorithms",
        "Training algorithms: for how many devices each trains, what must be retrained, and with a name its options.",
    ),
    "train": Command(
        "train:train", "Trains a supernet: one for all devices, or, where the algorithm learns an architecture, one for each budget."
    ),
    "health": Command(
        "health:health_command",
        "Compares inherited accuracies with those of architectures trained alone: rank correlation, its ceiling, visits, a verdict.",
    ),
    "search": Command("search:search", "Finds the best architecture for each budget, with random search at equal evaluations beside it."),
    "fleet": Command("fleet:fleet_command", "The fewest models that serve every budget of a run, and every winner timed on every device."),
    "retrain": Command("train:retrain", "Trains winners alone; `hwnas export` then takes those weights."),
    "export": Command("export:export", "Writes ONNX and TFLite files for each winner and certifies them on their devices."),
    "run": Command(
        "export:run", "All steps: profile, train, search, export, certify. A finished step is not done again, a changed one is."
    ),
    "verify": Command(
        "bundle:verify",
        "Repeats a certificate, here and now: times the bundle's file under its budget, compares its outputs with those at export.",
    ),
    "audit": Command(
        "bundle:audit", "What a model file consists of, and which operators fall back, are slow, or only move and convert data."
    ),
    "report": Command(
        "report:report",
        "Writes the run as one HTML file: verdicts, fronts, winners block by block, what a change would cost, trust, curves.",
    ),
    "ui": Command(
        "report:ui", "Serves the run live on 127.0.0.1: how far each step is, the report as of now, and what another budget would give."
    ),
}

app = typer.Typer(
    name="hwnas",
    cls=lazy_group(COMMANDS),
    help="Hardware-aware neural architecture search: measure your devices, train ONE supernet, get one certified model file per device.\n\n"
    "Start with `hwnas devices`, then `hwnas run quickstart`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a certificate did not PASS, 2 wrong input, 130 interrupted (run again to go on).",
)


@app.callback(invoke_without_command=True)
def options(
    version: bool = typer.Option(False, "--version", help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more."),
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Runs the command line. A user's mistake is one line on stderr and exit code 2; no traceback."""
    try:
        app()
    except HwnasError as error:
        if os.environ.get("HWNAS_TRACEBACK"):
            raise
        console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # typer makes this of Ctrl-C
            console.print("interrupted: the same command goes on from here")
        raise
