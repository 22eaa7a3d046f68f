"""The report of a real run, and what a real browser makes of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from commands import Cli


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(workplace: Path) -> Path:
    """The report of the finished run, made once."""
    from hwnas.report import write_report
    from hwnas.steps import RunFolder

    return write_report(RunFolder.open(workplace / "runs/tiny", workplace / "lut"), workplace / "tiny.html").path


def test_the_command_writes_one_file_and_nothing_else(workplace: Path, cli: Cli) -> None:
    def state() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in workplace.rglob("*") if p.is_file() and p.suffix != ".html"}

    before = state()
    done = cli("report", "runs/tiny")
    assert done.returncode == 0 and "runs/tiny/report.html" in done.stdout and "missing" not in done.stderr, done.stderr
    assert state() == before
    again = cli("report", "runs/tiny", "--out", "there/x.html", "--json")
    told = json.loads(again.stdout)
    assert told == {"file": "there/x.html", "bytes": (workplace / "there/x.html").stat().st_size, "missing": []}
    assert told["bytes"] < 3e6


def test_mistakes_are_one_line(workplace: Path, cli: Cli) -> None:
    nothing = cli("report", "runs/nothing")
    assert nothing.returncode == 2 and "no experiment.toml" in nothing.stderr
    folder = cli("report", "runs/tiny", "--out", "runs")
    assert folder.returncode == 2 and "name a file" in folder.stderr and len(folder.stderr.splitlines()) == 1


def test_it_says_what_the_run_found(workplace: Path, page: Path) -> None:
    html = page.read_text()
    for row in json.loads((workplace / "stdout.json").read_text())["rows"]:
        assert f"{row['accuracy_test']:.2%}" in html and row["verdict"] in html
    scores = [json.loads(line) for line in next((workplace / "runs/tiny").glob("scores-*.jsonl")).read_text().splitlines()]
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    cloud = next(t for t in charts["front-0"]["data"] if t["name"] == "scored")
    assert sorted(cloud["y"]) == pytest.approx(sorted(100 * row["score"] for row in scores[1:]), rel=1e-3)
    assert len(charts["agreement-0"]["data"]) == 4 and len(charts["agreement-0"]["data"][2]["x"]) == 19
    assert len(charts["curve-loss"]["data"]) == 3  # the supernet and two winners


def test_a_half_finished_run_shows_what_there_is(workplace: Path, tmp_path: Path, browser: Browser) -> None:
    from hwnas.report import write_report
    from hwnas.steps import RunFolder

    run = tmp_path / "half"
    shutil.copytree(workplace / "runs/tiny", run, ignore=shutil.ignore_patterns("certificate.json", "architecture.json", "checkpoints"))
    with next(run.glob("scores-*.jsonl")).open("a") as torn:
        torn.write('{"code": [1, 2')
    written = write_report(RunFolder.open(run, workplace / "lut"))
    assert sum("No certificate yet" in m for m in written.missing) == 2
    shutil.rmtree(run / "devices")
    shutil.rmtree(run / "supernet")
    written = write_report(RunFolder.open(run, tmp_path / "no-lut"))
    assert any("no table" in m for m in written.missing) and any("No training curve" in m for m in written.missing)
    browser.open(written.path.as_uri())
    browser.wait("document.documentElement.dataset.charts")
    assert "no table" in browser.run("return document.querySelector('.missing').innerText") and not browser.messages()


def test_names_are_text_and_never_code(workplace: Path, tmp_path: Path, browser: Browser) -> None:
    """A budget's device, a reason and a gene choice come from files that somebody else may have sent."""
    from hwnas.report import write_report
    from hwnas.steps import RunFolder

    evil = "<img src=x onerror=alert(1)></script><script>document.title='owned'</script>"
    run = tmp_path / "evil"
    shutil.copytree(workplace / "runs/tiny", run, ignore=shutil.ignore_patterns("checkpoints"))
    for path in run.glob("devices/**/certificate.json"):
        certificate = json.loads(path.read_text())
        certificate |= {"reason": evil, "verdict": evil, "certified_file": evil}
        path.write_text(json.dumps(certificate))
    written = write_report(RunFolder.open(run, workplace / "lut"))
    assert evil not in written.path.read_text()
    browser.open(written.path.as_uri())
    browser.wait("document.documentElement.dataset.charts == 'drawn'")
    assert browser.run("return document.title") == "evil: hwnas report" and browser.run("return document.images.length") == 0
    injected = "const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s);"
    assert browser.run(injected + "return document.title") == "evil: hwnas report"  # the page's policy refuses it
    assert any("Content Security Policy" in m or "Content-Security-Policy" in m for m in browser.messages())


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (375, False), (375, True)])
def test_charts_are_drawn_without_errors_or_requests(page: Path, browser: Browser, width: int, dark: bool) -> None:
    browser.requests(), browser.messages()
    browser.open(page.as_uri(), width, dark=dark)
    browser.wait("document.documentElement.dataset.charts == 'drawn'")
    charts = browser.run("return document.querySelectorAll('[data-chart]').length")
    drawn_ones = "[...document.querySelectorAll('[data-chart]')].filter((c) => c.querySelector('.scatterlayer .trace'))"
    assert charts >= 6 and browser.run(f"return {drawn_ones}.length") == charts
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth && innerWidth == arguments[0]", width)
    assert browser.messages() == [] and browser.requests() == [page.as_uri()]
    paper = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(paper) < 60) == dark
    drawn = browser.run("return getComputedStyle(document.querySelector('.main-svg .xtitle')).fill.match(/\\d+/g).map(Number)")
    assert (min(drawn) > 150) == dark, "the chart's ink follows the page's"


def test_it_can_be_read_without_a_mouse(page: Path, browser: Browser) -> None:
    browser.open(page.as_uri())
    browser.wait("document.documentElement.dataset.charts == 'drawn'")
    browser.press("\ue004")
    assert browser.run("return document.activeElement.className") == "skip"
    tops = []
    for _ in range(12):
        browser.press("\ue004")
        tops.append(browser.run("const b = document.activeElement.getBoundingClientRect(); return b.top + scrollY"))
        assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert tops == sorted(tops), "tab goes down the page"
    levels = browser.run("return [...document.querySelectorAll('h1, h2, h3')].map((h) => +h.tagName[1])")
    assert levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:]))
    assert browser.run("return [...document.querySelectorAll('table')].every((t) => t.caption && t.caption.textContent.trim())")
    assert browser.run("return [...document.querySelectorAll('[data-chart]')].every((c) => c.getAttribute('aria-label'))")
    assert browser.run("const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return new Set(ids).size == ids.length")
