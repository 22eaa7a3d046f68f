"""The conformance kit (hwnas/conformance.py) on every built-in profiler."""

import pytest

from hwnas.conformance import CHECKS, run_checks
from hwnas.device import BUILT_IN
from hwnas.profiler import load_profiler


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_keeps_what_plugins_must(name):
    device = BUILT_IN[name]
    if reason := load_profiler(device.runtime).probe():
        pytest.skip(reason)
    results = list(run_checks(device))
    assert len(results) == len(CHECKS)
    assert not {r.check: r.problem for r in results if r.problem is not None}
