"""tools/fault_injection.py, with a few kills; the tool itself does a hundred."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/fault_injection.py"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker by reading /proc")
def test_a_real_profile_survives_being_killed(tmp_path):
    words = [sys.executable, str(TOOL), "--kills", "8", "--rounds", "10", "--lut", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0 and "complete and valid" in done.stdout, done.stdout + done.stderr
