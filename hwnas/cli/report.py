"""Commands that show a run: `hwnas report`."""

from __future__ import annotations

from pathlib import Path

import typer

from ..steps import RunFolder
from .console import JSON, LUT, console, out, show_json
from .pipeline import RUN

OUT = typer.Option(None, "--out", help="The HTML file; default report.html in the run's folder.", show_default=False)


def report(run: Path = RUN, out_file: Path = OUT, lut: Path = LUT, json: bool = JSON) -> None:
    """Writes the run as one HTML file: verdicts, fronts, winners block by block, what a change would cost, trust, curves.

    The file needs no network and asks none; send it to anybody. A run that is not finished gives what there is, and says what is missing.
    """
    from ..report import write_report  # templates and plotly.js are read when they are needed

    written = write_report(RunFolder.open(run, lut), out_file)
    if json:
        show_json({"file": str(written.path), "bytes": written.bytes, "missing": list(written.missing)})
        return
    for sentence in written.missing:
        console.print(f"missing: {sentence}", highlight=False, soft_wrap=True, markup=False)
    out.print(f"{written.path}: {written.bytes / 1e6:.1f} MB; open it in a browser", highlight=False, soft_wrap=True, markup=False)
