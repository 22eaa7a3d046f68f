"""The tiny experiment, run once for all tests of the command line: a real device, real training, real files."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Cli, hwnas
from tiny_experiment import EXPERIMENT, SPACE


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space of one's own and an experiment that uses it, and that has been run."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "myspace.py").write_text(SPACE)
    (folder / "tiny.toml").write_text(EXPERIMENT.format(space=folder / "myspace.py"))
    done = hwnas("run", "tiny.toml", "--json", cwd=folder)
    (folder / "stdout.json").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    assert done.returncode in (0, 1), done.stderr  # 1: a certificate that is not PASS, which a busy machine can cause
    return folder


@pytest.fixture
def cli(workplace: Path) -> Cli:
    return lambda *words: hwnas(*words, cwd=workplace)
