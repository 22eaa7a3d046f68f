"""The examples in docs/ run as they stand there, and print what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_example_of_own_model(tmp_path: Path) -> None:
    page = (DOCS / "own-model.md").read_text()
    code, printed = re.findall(r"```python\n(.*?)```.*?```\n(.*?)```", page, re.S)[0]
    (tmp_path / "example.py").write_text(code)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines, promised = done.stdout.splitlines(), printed.splitlines()
    assert len(lines) == len(promised)
    assert lines[-1] == promised[-1] and lines[-2].split("}")[0] == promised[-2].split("}")[0], "the same architecture"
    assert (tmp_path / "final_architecture.json").exists()
