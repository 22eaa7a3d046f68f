"""The report's page: one file that holds all it needs and asks for nothing."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from .. import __version__
from ..cost import METRICS
from ..errors import HwnasError
from ..files import write_atomic
from ..steps import RunFolder
from .findings import Findings
from .view import View


@dataclass(frozen=True)
class Written:
    """Where the report is, and what it could not show yet."""

    path: Path
    bytes: int
    missing: tuple[str, ...]


def write_report(run: RunFolder, out: Path | None = None) -> Written:
    """Writes one HTML file (default: report.html in the run's folder); a half-finished run gives what there is.

    Raises HwnasError when not even the space of the run is known, or the file cannot be written.
    """
    out = out or run.path / "report.html"
    if out.is_dir():
        raise HwnasError(f"--out {out}: is a folder: name a file, such as {out / 'report.html'}")
    view = View(Findings.read(run))
    text = render(view)
    write_atomic(out, text)
    return Written(out, len(text.encode()), tuple(view.missing))


def render(view: View) -> str:
    """The page. Its content security policy lets run the two scripts by their hashes and nothing else, and forbids every request."""
    page, plotly = _own("page.js"), _plotly()
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in (page, plotly))
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    template = _templates().get_template("report.html")
    return template.render(
        v=view,
        policy=policy,
        css=Markup(_own("page.css")),
        script=Markup(page),
        plotly=_packed(),
        charts=Markup(_json(view.charts)),
        version=__version__,
        now=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )


def _json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _templates() -> Environment:
    pages = PackageLoader("hwnas.report", "pages")
    found = Environment(loader=pages, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["metric"] = lambda value, name: METRICS[name].text(value)
    found.filters["commands"] = _commands
    return found


def _commands(text: str) -> Markup:
    """A sentence in which what stands between backticks is set as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _own(name: str) -> str:
    return resources.files("hwnas.report").joinpath("pages", name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    return resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


@cache
def _packed() -> str:
    """plotly.js, 4.8 MB, as 1.9 MB of text that the browser unpacks."""
    return b64encode(gzip.compress(_plotly().encode(), 9, mtime=0)).decode()
