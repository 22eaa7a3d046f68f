"""hwnas/measure/quietness.py: the verdict and what it advises."""

import re
from dataclasses import replace

import pytest

from hwnas.measure import Quietness
from hwnas.sample import Sample
from hwnas.table import SENTINEL, Table

QUIET = Quietness(rejected=0.01, drift=0.01, error=0.01, noisiest=(("a", 0.03),), failed=0, cores=4, load_average=1.0)


def test_a_quiet_machine_has_no_reasons_and_needs_no_advice():
    assert QUIET.quiet and QUIET.reasons == QUIET.advice == () and str(QUIET).startswith("quiet: 1.0% of repeats preempted")


@pytest.mark.parametrize(
    "change, reason, advice",
    [
        ({"rejected": 0.3, "load_average": 7.2}, "30% of repeats were preempted.*load average 7.2 on 4 cores", "end other programs"),
        ({"drift": 0.1}, "sentinel block drifted by 10%", None),
        ({"drift": 0.1, "governor": "powersave"}, "drifted", "governor is powersave: `sudo cpupower frequency-set -g performance`"),
        ({"frequency_mhz": (800, 2400), "governor": "ondemand"}, "frequency went from 800 to 2400 MHz", "governor is ondemand"),
        ({"temperature_c": 91.0}, "91 C hot", "cool the device"),
        ({"error": 0.1}, "a typical block is known within 20% only", None),
        ({"quarantined": 3}, "3 rows were measured at over 20% off", None),
    ],
)
def test_a_noisy_one_says_why_and_what_helps(change, reason, advice):
    noisy = replace(QUIET, **change)
    assert not noisy.quiet and str(noisy).startswith("noisy: ")
    assert any(re.search(reason, r) for r in noisy.reasons)
    assert (advice is None and noisy.advice == ()) or any(advice in a for a in noisy.advice)


def test_conditions_are_read_from_the_rows(tmp_path):
    with Table.open(tmp_path / "t.jsonl", "toy", {"host": {"cores": 2, "governor": "powersave"}}) as table:
        for r, mhz in enumerate([1500, 2000, 1800]):
            conditions = {"frequency_mhz": mhz, "temperature_c": 40.0 + r, "load_average": 1.0 + r}
            table.append(SENTINEL, r, Sample((100,), conditions=conditions))
            table.append("a", r, Sample((100,), conditions=conditions))
    found = Quietness.of(Table.read(tmp_path / "t.jsonl"))
    assert found.frequency_mhz == (1500, 2000) and found.temperature_c == 42.0 and found.load_average == 2.0
    assert (found.cores, found.governor) == (2, "powersave") and not found.quiet
