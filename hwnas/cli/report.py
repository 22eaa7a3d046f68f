"""Commands that show a run in a browser: `hwnas report`, `hwnas ui`."""

from __future__ import annotations

from pathlib import Path

import typer

from ..steps import RunFolder
from .console import JSON, LUT, RUN, out, say, show_json

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
        say(f"missing: {sentence}")
    out.print(f"{written.path}: {written.bytes / 1e6:.1f} MB; open it in a browser", highlight=False, soft_wrap=True, markup=False)


def ui(
    run: Path = RUN,
    port: int = typer.Option(0, "--port", min=0, max=65535, help="0 takes a free one."),
    lut: Path = LUT,
) -> None:
    """Serves the run live on 127.0.0.1: how far each step is, the report as of now, and what another budget would give.

    Open the printed address; it holds a token that is new at every start. Nothing is written; Ctrl-C ends it.
    """
    from ..ui import Server, Site

    server = Server(Site(RunFolder.open(run, lut)), port)
    out.print(server.url, highlight=False, soft_wrap=True, markup=False)
    say("Ctrl-C ends it")
    try:
        server.serve()
    except KeyboardInterrupt:
        say("ended")
