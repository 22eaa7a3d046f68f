"""The conformance kit (hwnas/conformance.py) on every built-in profiler."""

import pytest

from hwnas.conformance import CHECKS, run_checks
from hwnas.device import BUILT_IN, Device
from hwnas.profiler import load_profiler

SHEET = Device(name="sheet", runtime="roofline", options={"peak_gops": 16.0, "bandwidth_gb_s": 4.0, "launch_us": 2.0})


@pytest.mark.slow
@pytest.mark.parametrize("device", [*BUILT_IN.values(), SHEET], ids=lambda d: d.name)
def test_a_built_in_keeps_what_plugins_must(device):
    if reason := load_profiler(device.runtime).probe():
        pytest.skip(reason)
    results = list(run_checks(device))
    assert len(results) == len(CHECKS)
    assert not {r.check: r.problem for r in results if r.problem is not None}
