"""The examples that every --help ends with can be typed: each is parsed with the command's own arguments and options."""

import shlex

import pytest
import typer
from typer.testing import CliRunner

from hwnas.cli.app import COMMANDS, app
from hwnas.cli.examples import EXAMPLES

LINES = [(command, line) for command, lines in EXAMPLES.items() for line in lines]


@pytest.mark.parametrize(("command", "line"), LINES)
def test_it_parses(command: str, line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "hwnas" and line.startswith(f"hwnas {command}")
    group = typer.main.get_command(app)
    name, found, rest = group.resolve_command(group.make_context("hwnas", words[:1], resilient_parsing=True), words)
    while hasattr(found, "commands"):
        name, found, rest = found.resolve_command(found.make_context(name, rest[:1], resilient_parsing=True), rest)
    found.make_context(name, list(rest))  # raises for a missing argument or an option that there is not


def test_every_command_has_one_and_shows_it() -> None:
    assert set(COMMANDS) <= set(EXAMPLES)
    shown = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "120"}).stdout
    assert "Examples:" in shown and "hwnas report runs/x --out talk.html" in shown
    assert "hwnas lut diff pi pi-with-cooler" in CliRunner().invoke(app, ["lut", "diff", "--help"], env={"COLUMNS": "120"}).stdout
