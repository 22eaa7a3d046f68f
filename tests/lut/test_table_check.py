"""hwnas/lut/check.py: each way in which a table can be wrong is found, with its line; a sound one has no error."""

import json
from dataclasses import replace

import pytest
from latencies import OVERHEAD_MS, SPACE, block_ms
from table_files import write

from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.lut import check_table
from hwnas.predict.choose import OVERHEAD
from hwnas.sample import Sample
from hwnas.table import SENTINEL, Table

DEVICE = Device(name="toy", runtime="cpu")
FINGERPRINT = {"device": DEVICE.settings, "host": {"cpu": "A"}, "runtime": {"name": "toy", "version": "1"}}
BLOCKS = SPACE.blocks[::3]


def sample(ms, repeats=3):
    return Sample((round(ms * 1e6),) * repeats, (round(ms * 1e6),) * repeats)


@pytest.fixture
def path(tmp_path):
    with Table.open(tmp_path / "toy" / "table.jsonl", "toy", FINGERPRINT) as table:
        for round in range(2):
            table.append(SENTINEL, round, sample(1.0))
            table.append(str(OVERHEAD), round, sample(OVERHEAD_MS))
            for b in BLOCKS:
                table.append(str(b), round, sample(block_ms(b)))
    DEVICE.save(tmp_path / "toy" / "device.toml")
    return tmp_path / "toy" / "table.jsonl"


def edit(path, number, **fields):
    """Changes fields of a line (1: the header), as somebody with an editor would."""
    lines = path.read_text().splitlines()
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), **fields})
    path.write_text("\n".join(lines) + "\n")


def found(path):
    return {(f.level, f.check, f.line): f.text for f in check_table(path).findings}


def test_a_sound_table(path):
    checked = check_table(path)
    assert checked.ok and checked.findings == ()
    assert (checked.blocks, checked.networks, checked.failed) == (len(BLOCKS) + 1, 0, 0)
    assert checked.rows == 2 * (len(BLOCKS) + 2) and len(checked.content) == 64


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"wall_ns": [0, 5, 5]}, "positive whole numbers"),
        ({"wall_ns": [-3, 5, 5]}, "positive whole numbers"),
        ({"wall_ns": [float("nan"), 5, 5]}, "positive whole numbers"),
        ({"wall_ns": ["5", 5, 5]}, "positive whole numbers"),
        ({"cpu_ns": [5]}, "3 wall_ns but 1 cpu_ns"),
        ({"loops": 0}, "loops is 0"),
        ({"first_run_ms": -1.0}, "first_run_ms is -1.0"),
        ({"round": "first"}, "round 'first'"),
        ({"key": None}, "key None"),
    ],
)
def test_junk_values_name_their_line(path, fields, said):
    edit(path, 7, **fields)
    assert said in found(path)["error", "rows", 7]
    assert not check_table(path).ok


def test_every_broken_line_is_listed_not_only_the_first(path):
    edit(path, 5, wall_ns=[0])
    edit(path, 9, wall_ns=[-1])
    lines = path.read_text().splitlines()
    lines[6] = "oops"
    path.write_text("\n".join(lines) + "\n")
    assert {line for level, check, line in found(path) if check == "rows"} == {5, 7, 9}


def test_a_torn_last_line_is_no_error(path):
    path.write_bytes(path.read_bytes()[:-9])
    assert [(f.level, f.check) for f in check_table(path).findings] == [("warning", "torn")] and check_table(path).ok


def test_another_format_and_no_table_at_all(path, tmp_path):
    edit(path, 1, format=7)
    assert "format 7" in found(path)["error", "format", 1]
    (tmp_path / "empty").write_text("")
    with pytest.raises(HwnasError, match="no header line"):
        check_table(tmp_path / "empty")


def test_keys_that_are_no_blocks(path):
    edit(path, 6, key="mbconv(3)")
    assert "expected op(cin,cout,size" in found(path)["error", "keys", 6]


def test_values_that_no_device_can_have(path):
    slow = max(range(4, 4 + len(BLOCKS)), key=lambda i: block_ms(BLOCKS[i - 4]))
    edit(path, slow, wall_ns=[40] * 3, cpu_ns=[40] * 3)
    assert "40 ns: no call is that short" in found(path)["error", "impossible", slow]
    edit(path, slow, wall_ns=[60] * 3, cpu_ns=[60] * 3)
    assert "multiply-accumulates a second" in found(path)["error", "impossible", slow]
    edit(path, slow, wall_ns=[900_000] * 3, cpu_ns=[2_000_000] * 3)
    assert "more CPU time than wall time" in found(path)["error", "clocks", slow]


def test_the_answer_to_another_block(path):
    """Positive, possible, repeatable, and wrong by a factor: only the other blocks can tell."""
    key = str(max(BLOCKS, key=block_ms))
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if json.loads(line).get("key") == key:
            edit(path, number, wall_ns=[3000] * 3, cpu_ns=[3000] * 3)
    assert key in found(path)["warning", "outliers", None]


def test_a_row_of_a_slow_moment_that_was_measured_again_is_no_contradiction(tmp_path):
    """The sentinel says that the machine took twice its time: both are rows of `measure`, the later counts."""
    rows = [*((f"conv(1,1,{n})", 0, 0.01) for n in range(1, 30)), *((f"conv(1,1,{n})", 1, 0.01) for n in range(1, 30))]
    slow = [(SENTINEL, 2, 0.04), ("conv(1,1,2)", 2, 0.02), (SENTINEL, 2, 0.04)]
    again = [(SENTINEL, 2, 0.02), ("conv(1,1,2)", 2, 0.01), (SENTINEL, 2, 0.02), (SENTINEL, 2, 0.02)]
    path = write(tmp_path / "mine", [*((SENTINEL, 0, 0.02) for _ in range(5)), *rows, *slow, *again])
    assert "duplicates" not in {f.check for f in check_table(path).findings}
    unmarked = write(tmp_path / "other", [("conv(1,1,2)", 2, 0.02), ("conv(1,1,2)", 2, 0.01)])
    assert "duplicates" in {f.check for f in check_table(unmarked).findings}


def test_nor_is_one_that_the_core_was_slow_for_by_the_best_time_known_then(path):
    """50 us against 41 are one and a quarter times it, but for a sixtieth: slow, and not yet a neighbour. Later 40 is known."""
    with Table.open(path, "toy", FINGERPRINT) as table:
        ms, key = block_ms(BLOCKS[1]), str(BLOCKS[1])
        for round, factor, reference_ns, best_ns in (
            (9, 1.2, (50_400,) * 3, 41_000),
            (8, 1.0, (42_000,) * 3, 40_000),
            (9, 1.0, (42_000,) * 3, 40_000),
        ):
            table.append(key, round, replace(sample(factor * ms), reference_ns=reference_ns, best_ns=best_ns))
    assert not any(check == "duplicates" for _, check, _ in found(path))


def test_duplicates_and_contradictions(path):
    with Table.open(path, "toy", FINGERPRINT) as table:
        first = len(path.read_text().splitlines())
        table.append(str(BLOCKS[0]), 0, sample(block_ms(BLOCKS[0])))
        table.append(str(BLOCKS[1]), 0, sample(1.1 * block_ms(BLOCKS[1])))
        table.append(str(BLOCKS[2]), 0, sample(3 * block_ms(BLOCKS[2])))
        table.append("conv(1,1,2)", 0, Sample.failed("no"))
        table.append("conv(1,1,2)", 0, sample(0.01))  # measured again: no duplicate
    said = found(path)
    assert "same timings" in said["warning", "duplicates", first + 1]
    assert "then" in said["warning", "duplicates", first + 2]
    assert "then" in said["error", "duplicates", first + 3]
    assert not any(line == first + 5 for _, _, line in said)


def test_failures_noise_and_drift(path):
    with Table.open(path, "toy", FINGERPRINT) as table:
        for i in range(20):
            table.append(f"conv(1,{i + 2},4)", 0, Sample.failed("unsupported"))
        for _ in range(3):
            table.append(SENTINEL, 2, sample(1.3))
        for b in BLOCKS:
            table.append(str(b), 2, sample(1.7 * block_ms(b)))
    said = found(path)
    assert "20 of" in said["warning", "failed", None] and "'unsupported'" in said["warning", "failed", None]
    assert "drifted by 23%" in said["warning", "drift", None] and "sitting 2" in said["warning", "drift", None]
    assert "only; noisiest" in said["warning", "noise", None] and check_table(path).ok


def test_files_beside_it_that_are_not_its_own(path):
    Device(name="toy", runtime="cpu", threads=4).save(path.parent / "device.toml")
    fields = {"format": 4, "spaces": {"ab": {"table_fingerprint": "0" * 16}}}
    (path.parent / "calibration.json").write_text(json.dumps(fields))
    texts = [f.text for f in check_table(path).findings if f.check == "fingerprint"]
    assert any("threads = 4" in t and "measured with 1" in t for t in texts)
    assert any("calibration.json: space ab" in t for t in texts)
    (path.parent / "calibration.json").write_text(json.dumps(fields | {"format": 3}))
    texts = [f.text for f in check_table(path).findings if f.check == "fingerprint"]
    assert any("calibration.json: made by an older hwnas (format 3, now 4)" in t for t in texts)
    (path.parent / "trust.json").write_text('{"format": 1, "spaces": {"ab": 3}}')
    assert any("trust.json: damaged" in f.text for f in check_table(path).findings)


def test_the_hash_sees_every_change_and_no_spacing(path):
    before = check_table(path).content
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(line, indent=None, separators=(", ", ": ")) for line in lines) + "\n")
    assert check_table(path).content == before
    edit(path, 5, wall_ns=[round(1e6 * block_ms(BLOCKS[1])) + 1] * 3)
    assert check_table(path).content != before
