"""How the command line writes: results to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # it would import torch, which `hwnas --help` does not need
    from ..steps.progress import Advance


follows = os.environ.get("RANK", "0") != "0"  # one of torchrun's processes, and not the one that speaks for all
console = Console(stderr=True, quiet=follows)
out = Console(width=None if sys.stdout.isatty() else 120, quiet=follows)

RUN = typer.Argument(help="Folder of a run, as `hwnas train --out` made it.", show_default=False)
TABLE = typer.Argument(help="A device with a table, or the table's path.", metavar="TABLE")
LUT = typer.Option(Path("lut"), "--lut", help="Folder of the devices' tables.", show_default=True)
WORKERS = typer.Option(
    0, "--workers", min=0, help="Processes that work at once, one core each; the result is the same to the bit. 0: one for each core."
)
RAY = typer.Option("", "--ray", help="ADDRESS of a Ray cluster that works instead: 10.0.0.1:6379. See docs/many-machines.md.")
JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")


def say(text: str) -> None:
    """Writes text to stderr as it is: `[search]` is no markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def bar(title: str) -> Iterator[Advance]:
    """A progress bar with elapsed and remaining time; where stderr is no terminal, a line when it is done."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None, text="")
        last = ""

        def advance(done: int, total: int, text: str) -> None:
            nonlocal last
            last = f"{done}/{total} {text}"
            progress.update(task, completed=done, total=total, text=text)

        yield advance
    if not console.is_terminal:
        console.print(f"{title}: {last}" if last else f"{title}: already done", soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> None:
    """columns that begin with `>` are set flush right; a cell is plain text (a name may hold brackets) or a rich Text."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    out.print(table)
    if note:
        out.print(f"[dim]{note}[/dim]")


def show_json(data: Mapping[str, Any] | Sequence[Any]) -> None:
    print(json.dumps(data, indent=1))


def count(n: int) -> str:
    """A number of architectures: 1,594,323, or 1.42e+12 where nobody counts."""
    return f"{n:,}" if n < 10**9 else f"{n:.3g}"
