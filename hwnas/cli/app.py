"""The command `hwnas` and what all its subcommands share."""

from __future__ import annotations

import logging
import os
import sys

import typer
from rich.markup import escape

from .. import __version__
from ..errors import HwnasError
from . import bundle, check, device, fleet, health, look, measure, pipeline, report, transfer
from .algorithms import algorithms
from .console import console
from .lut import lut
from .spaces import spaces

app = typer.Typer(
    name="hwnas",
    help="Hardware-aware neural architecture search: measure your devices, train ONE supernet, get one certified model file per device.\n\n"
    "Start with `hwnas devices`, then `hwnas run quickstart`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a certificate did not PASS, 2 wrong input, 130 interrupted (run again to go on).",
)
app.command()(look.devices)
app.add_typer(device.device, name="device")
app.command()(spaces)
app.command()(measure.profile)
app.command()(transfer.transfer)
app.command()(check.check)
app.add_typer(lut, name="lut")
app.command()(algorithms)
app.command()(pipeline.train)
app.command("health")(health.health_command)
app.command()(pipeline.search)
app.command("fleet")(fleet.fleet_command)
app.command()(pipeline.retrain)
app.command()(pipeline.export)
app.command()(pipeline.run)
app.command()(bundle.verify)
app.command()(bundle.audit)
app.command()(report.report)
app.command()(report.ui)


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
