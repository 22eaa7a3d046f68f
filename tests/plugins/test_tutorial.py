"""The plugin in docs/plugins.md, as it stands there, passes the kit."""

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[2] / "docs/plugins.md"


def test_the_shortest_plugin_passes(tmp_path):
    host, device = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)[:2]
    package, info = tmp_path / "hwnas_reference", tmp_path / "hwnas_reference-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text(host)
    (package / "device.py").write_text(device)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hwnas-reference\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hwnas.profilers]\nreference = hwnas_reference:Profiler\n")
    assert len([line for line in host.splitlines() if line]) <= 12
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-m", "hwnas", "check", "reference"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "12 of 12 checks passed" in done.stdout, done.stdout + done.stderr
    (tmp_path / "stdout.txt").write_text(done.stdout)
