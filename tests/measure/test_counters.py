"""hwnas/board/counters.py: RAPL by a folder like the kernel's, instructions by the machine's own where it has them."""

import os
import platform
import struct
import time

import pytest

from hwnas.board import counters
from hwnas.board.counters import Counters


def domain(folder, name, energy_uj, range_uj=1_000_000):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(name + "\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")


def test_energy_is_that_of_all_packages_and_survives_a_wrap(tmp_path):
    domain(tmp_path / "intel-rapl:0", "package-0", 900_000)
    domain(tmp_path / "intel-rapl:1", "package-1", 5_000)
    domain(tmp_path / "intel-rapl:0:0", "core", 123)
    domain(tmp_path / "intel-rapl:2", "psys", 456)
    (tmp_path / "dtpm").mkdir()
    found = Counters(tmp_path)
    assert found.read()["energy_mj"] == 0
    domain(tmp_path / "intel-rapl:0", "package-0", 950_000)
    assert found.read()["energy_mj"] == 50
    domain(tmp_path / "intel-rapl:0", "package-0", 20_000)  # past the end of its range
    domain(tmp_path / "intel-rapl:1", "package-1", 6_000)
    assert found.read()["energy_mj"] == 50 + 70 + 1


def test_what_the_machine_does_not_tell_is_left_out(tmp_path, monkeypatch):
    (tmp_path / "intel-rapl:0").mkdir()
    monkeypatch.setattr(counters.platform, "machine", lambda: "abacus")
    assert Counters(tmp_path).read() == {}
    assert Counters(tmp_path / "none").read() == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_counter_that_may_not_be_read_is_left_out(tmp_path):
    domain(tmp_path / "intel-rapl:0", "package-0", 900_000)
    (tmp_path / "intel-rapl:0" / "energy_uj").chmod(0)
    assert "energy_mj" not in Counters(tmp_path).read()


def test_instructions_are_about_as_many_as_the_work(tmp_path):
    found = Counters(tmp_path)
    if "instructions" not in found.read():
        pytest.skip(f"no hardware counter of instructions on this machine ({platform.machine()}; most virtual machines have none)")

    def of(n):
        before = found.read()["instructions"]
        sum(range(n))
        return found.read()["instructions"] - before

    few, many = of(100_000), of(1_000_000)
    assert 1e5 < few < many and 5 < many / few < 15


@pytest.mark.skipif(platform.system() != "Linux", reason="Linux only")
def test_the_system_call_opens_what_it_is_asked_for():
    """A counter that every Linux has: PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, the CPU time of this process in ns."""
    clock = counters.open_event(1, 1)
    if clock is None:
        pytest.skip("this system does not allow performance counters: /proc/sys/kernel/perf_event_paranoid")
    try:
        before, cpu = struct.unpack("q", os.read(clock, 8))[0], time.process_time_ns()
        sum(range(2_000_000))
        grown, cpu = struct.unpack("q", os.read(clock, 8))[0] - before, time.process_time_ns() - cpu
        assert 0.8 * cpu < grown < 1.2 * cpu
    finally:
        os.close(clock)
