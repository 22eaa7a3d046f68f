"""The list of commands: what it says is what their docstrings say, and it costs no import."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import typer

from hwnas.cli.app import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_what_the_command_says_of_itself(name: str) -> None:
    found = COMMANDS[name].load()
    text = found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found)
    assert isinstance(text, str)
    assert COMMANDS[name].summary == " ".join(text.split("\n\n")[0].split())


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_no_torch(words: list[str]) -> None:
    heavy = "{'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    code = f"import sys; from hwnas.cli import main\ntry: main()\nfinally: sys.exit(7 if {heavy} else 0)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_commands_import_statistics_and_learning_only_when_they_use_them() -> None:
    modules = sorted({command.where.partition(":")[0] for command in COMMANDS.values()})
    imports = ", ".join(f"hwnas.cli.{module}" for module in modules)
    code = f"import sys, {imports}; print(*sorted({{'sklearn', 'scipy.stats', 'scipy.optimize'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


def test_a_misspelt_command_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-m", "hwnas", "serch"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "unknown command 'serch': did you mean 'search'?" in done.stderr
    assert "Traceback" not in done.stderr
