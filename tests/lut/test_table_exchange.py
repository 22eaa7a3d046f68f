"""hwnas/lut: out to CSV, parquet and folders, and in again; what is shared holds facts only."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from latencies import SPACE, block_ms
from table_files import full_table, sample, write

from hwnas.block import Block
from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.lut import check_table, export_csv, export_folder, export_parquet, import_csv, import_parquet, is_hwnas_parquet
from hwnas.lut.facts_only import facts_only, is_private
from hwnas.predict import calibrate, device_model, find_trust
from hwnas.sample import Sample
from hwnas.table import SENTINEL, Table

SETTINGS = Device(name="x", runtime="onnx", options={"providers": ["CPU"]}).settings
FINGERPRINT = {"device": SETTINGS, "host": {"cpu": "A", "os": "Linux 6.1.0-28-amd64"}, "runtime": {"name": "onnx", "version": "1.31.0"}}
SECRETS = ("/home/ada/venv", "ada@board", "10.0.0.7", "192.168.1.20", "ssh://", "/usr/bin/python3", "C:\\Users\\ada", "sekret-host")


def secret_table(folder):
    """A table as a careless plugin and an unlucky user would make it."""
    fingerprint = {
        "device": {**SETTINGS, "options": {"delegate": "/home/ada/venv/lib/libgpu.so"}},
        "host": {"cpu": "A", "hostname": "sekret-host", "python": "3.11", "address": "ada@board"},
        "runtime": {"name": "onnx", "version": "1.31.0", "executable": "/usr/bin/python3"},
    }
    path = write(folder, [(SENTINEL, 0, 1.0), ("conv(1,2,4)", 0, 1.0)], fingerprint)
    with Table.open(path, folder.name, fingerprint) as table:
        table.append("conv(1,3,4)", 0, Sample.failed("/home/ada/venv/lib/ort.py: connection to ssh://ada@board and 10.0.0.7:5555 lost"))
        table.append("conv(1,4,4)", 0, Sample.failed("C:\\Users\\ada\\x.onnx not found on 192.168.1.20"))
    lines = path.read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "transport": {"ssh": "ada@board"}, "python": "/usr/bin/python3"})
    lines[2] = json.dumps({**json.loads(lines[2]), "worker": "ada@board", "python": "/usr/bin/python3"})
    path.write_text("\n".join(lines) + "\n")
    return path


def test_what_is_shared_holds_facts_only(tmp_path):
    path = secret_table(tmp_path / "lut" / "mine")
    assert ["private"] == [f.check for f in check_table(path).findings if f.check == "private"]
    export_folder(path, tmp_path / "pi-onnx")
    export_csv(path, tmp_path / "a.csv")
    export_parquet(path, tmp_path / "a.parquet")
    texts = {p.name: p.read_text() for p in (tmp_path / "pi-onnx").iterdir()} | {"csv": (tmp_path / "a.csv").read_text()}
    stored = pq.read_table(tmp_path / "a.parquet")
    texts["parquet"] = json.dumps(stored.to_pylist()) + str(stored.schema.metadata) + str((tmp_path / "a.parquet").read_bytes())
    for name, text in texts.items():
        for secret in SECRETS:
            assert secret not in text and secret.replace("\\", "\\\\") not in text, (name, secret)
    shared = Table.read(tmp_path / "pi-onnx/table.jsonl")
    assert shared.fingerprint["device"]["options"] == {"delegate": "libgpu.so"} and shared.fingerprint["host"] == {
        "cpu": "A",
        "python": "3.11",
    }
    assert shared.failed["conv(1,3,4)"] == "ort.py: connection to ADDRESS and ADDRESS lost" and shared.values() == {"conv(1,2,4)": 1.0}


@pytest.mark.parametrize(
    "fact",
    [
        "Linux 6.1.0-28-amd64",
        "onnxruntime 1.31.0",
        "1.0.20261020",
        "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "3/4 of 5 / 6",
        "avx512_vnni",
        "op N/A",
    ],
)
def test_facts_stay_as_they_are(fact):
    assert facts_only(fact) == fact and not is_private({"a": [fact, 3, None, True]})


def test_parquet_and_back_is_the_same_table(tmp_path):
    path = full_table(tmp_path / "lut/here", np.random.default_rng(0), fingerprint=FINGERPRINT)
    export_parquet(path, tmp_path / "t.parquet", "Ada")
    assert is_hwnas_parquet(tmp_path / "t.parquet")
    done = import_parquet(tmp_path / "t.parquet", tmp_path / "lut/there", "there")
    there = tmp_path / "lut/there/table.jsonl"
    assert Table.read(there).values() == Table.read(path).values() and Table.read(there).fingerprint == FINGERPRINT
    assert done.content == check_table(path).content == check_table(there).content and (done.blocks, done.networks) == (
        len(SPACE.blocks) + 1,
        30,
    )
    assert [e["what"] for e in Table.read(there).provenance] == ["exported", "imported"] and Table.read(there).provenance[0]["by"] == "Ada"
    assert Device.load(there.parent / "device.toml").settings == SETTINGS
    assert dict(
        zip(pq.read_table(tmp_path / "t.parquet")["key"].to_pylist(), pq.read_table(tmp_path / "t.parquet")["latency_ms"].to_pylist())
    ) == (Table.read(path).values())


def test_rows_that_tell_different_things_survive_parquet(tmp_path):
    path = write(tmp_path / "a", [("conv(1,2,4)", 0, 1.0)], FINGERPRINT)
    with Table.open(path, "a", FINGERPRINT) as table:
        for key, conditions in (("conv(1,3,4)", {"load_average": 0.5}), ("conv(1,4,4)", {"temperature_c": 61.5, "load_average": 0.7})):
            table.append(key, 0, Sample((1000,), (1000,), conditions=conditions, energy_mj=0.25))
    export_parquet(path, tmp_path / "t.parquet")
    import_parquet(tmp_path / "t.parquet", tmp_path / "b")
    back = Table.read(tmp_path / "b/table.jsonl")
    assert [back.samples(k) for k in back.keys] == [table.samples(k) for k in table.keys]


def test_a_parquet_that_was_changed_or_is_not_ours(tmp_path):
    path = write(tmp_path / "a", [("conv(1,2,4)", 0, 1.0), ("conv(1,3,4)", 0, 2.0)], FINGERPRINT)
    export_parquet(path, tmp_path / "t.parquet")
    stored = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(stored.slice(1), tmp_path / "cut.parquet")
    with pytest.raises(HwnasError, match="someone has changed them"):
        import_parquet(tmp_path / "cut.parquet", tmp_path / "b")
    pq.write_table(stored.replace_schema_metadata({}), tmp_path / "bare.parquet")
    with pytest.raises(HwnasError, match="not a table that hwnas exported"):
        import_parquet(tmp_path / "bare.parquet", tmp_path / "b")
    assert not is_hwnas_parquet(tmp_path / "bare.parquet") and not (tmp_path / "b").exists()


def test_a_shared_folder_brings_its_calibration_and_trust(tmp_path):
    path = full_table(tmp_path / "lut/onnx-cpu", np.random.default_rng(0), fingerprint=FINGERPRINT)
    calibrate(SPACE, path.parent)
    said = export_folder(path, tmp_path / "shared/xeon-onnx", "Ada")
    there = tmp_path / "shared/xeon-onnx"
    assert "calibrated for 1 space" in said and "trust: good" in said
    Z = SPACE.sample(20, np.random.default_rng(9))
    assert (device_model(SPACE, there).upper(Z) == device_model(SPACE, path.parent).upper(Z)).all()
    assert find_trust(there, SPACE.hash).verdict == "good" and check_table(there / "table.jsonl").ok
    assert Device.load(there / "device.toml").name == "xeon-onnx" == Table.read(there / "table.jsonl").device
    with pytest.raises(HwnasError, match="is there already"):
        export_folder(path, there)


@pytest.mark.parametrize("name", ["my table", "-x"])
def test_a_name_that_no_device_can_have(tmp_path, name):
    path = full_table(tmp_path / "lut/onnx-cpu", np.random.default_rng(0), fingerprint=FINGERPRINT)
    with pytest.raises(HwnasError, match="make a name"):
        export_folder(path, tmp_path / "shared" / name)
    export_parquet(path, tmp_path / "one.parquet")
    with pytest.raises(HwnasError, match="another --device.*make a name"):
        import_parquet(tmp_path / "one.parquet", tmp_path / "lut2", name)
    assert not (tmp_path / "shared").exists() and not (tmp_path / "lut2").exists()


# ---- a person's own CSV ----------------------------------------------------------------------------------------------------

MINE = """layer;InChannels;c_out;HW;k;strides;expand_ratio;nonlin;my time;comment
IR;8;12;12;3;2;3;relu;12.5;first
IR;8;12;12;3;2;3;relu;13.5;again
pw;4;8;6x;1;1;1;relu;2;
"""


def test_a_csv_in_ones_own_columns(tmp_path):
    (tmp_path / "my.csv").write_text(MINE.replace("6x", "6"))
    done = import_csv(
        tmp_path / "my.csv",
        tmp_path / "lut/mine",
        Device(name="mine", runtime="imported"),
        columns={"op": "layer", "cin": "InChannels", "latency": "my time", "act": "nonlin"},
        constants={"se": "4"},
        ops={"IR": "mbconv", "pw": "conv"},
        unit="us",
        facts={"host.cpu": "Cortex-A72", "runtime.version": "2.16"},
        overhead_ms=0.003,
        by="Ada",
    )
    table = Table.read(tmp_path / "lut/mine/table.jsonl")
    block = str(Block("mbconv", 8, 12, 12, 12, 2, 3, 3, 4, act="relu"))
    other = str(Block("conv", 4, 8, 6, 6, se=4, act="relu"))
    assert table.values() == pytest.approx({"conv(1,1,1)": 0.003, block: 0.013, other: 0.002}) and len(table.samples(block)) == 2
    assert table.fingerprint["host"] == {"cpu": "Cortex-A72"} and table.fingerprint["runtime"] == {"version": "2.16"}
    assert done.unused == ("comment",) and done.columns["kernel"] == "k" and done.columns["size"] == "HW"
    entry = table.provenance[0]
    assert entry["file"] == "my.csv" and entry["by"] == "Ada" and len(entry["sha256"]) == 64 and entry["tool"].startswith("hwnas ")
    assert check_table(table.path).ok


def small(tmp_path, text, **options):
    (tmp_path / "my.csv").write_text(text)
    return import_csv(tmp_path / "my.csv", tmp_path / "lut/mine", Device(name="mine", runtime="imported"), **options)


@pytest.mark.parametrize(
    "text, options, said",
    [
        ('block,time\n"conv(1,2,4)",1\n', {}, "in which unit"),
        ('block,t\n"conv(1,2,4)",1\n', {}, "which column is the latency.*it has block, t"),
        ('block,time_us\n"conv(1,2,4)",0\n', {}, "row 2: time_us = '0': not the time"),
        ('block,time_us\n"conv(1,2,4)",1\n"conv(1,2,4)",-3\n', {}, "row 3: time_us = '-3': not the time"),
        ('block,time_us\n"conv(1,2,4)",nan\n', {}, "row 2: time_us = 'nan': expected a number"),
        ('block,time_us\n"conv(1,2,4)",fast\n', {}, "row 2: time_us = 'fast': expected a number"),
        ('block,time_us\n"conv(1,2,4)"\n', {}, "row 2: has fewer cells"),
        ('block,time_us\n"conv(1,2)",1\n', {}, "row 2: block 'conv\\(1,2\\)'"),
        ("op,cin,size,time_us\nconv,1,4,1\n", {}, "which column is cout"),
        ("op,cin,cout,time_us\nconv,1,4,1\n", {}, "which column is the input's size"),
        ("op,cin,cout,size,time_us\nconv,1,2.5,4,1\n", {}, "row 2: cout = '2.5': expected a whole number"),
        ("op,cin,cout,size,time_us\nconv,1,,4,1\n", {}, "row 2: no value for cout"),
        ("op,cin,cout,size,time_us\nconv,1,2,4,1\n", {"columns": {"cins": "cin"}}, "unknown field 'cins': did you mean 'cin'"),
        ("op,cin,cout,size,time_us\nconv,1,2,4,1\n", {"columns": {"cin": "cinn"}}, "did you mean 'cin'"),
        ("op,cin,cout,size,time_us\nconv,1,2,4,1\n", {"unit": "usec"}, "unknown unit 'usec'"),
        ("op,cin,cout,size,time_us\nconv,1,2,4,1\n", {"facts": {"cpu": "A"}}, "write host.NAME"),
        ("op,cin,cout,size,time_us\nconv,1,2,4,1\n", {"space": SPACE}, "none of its 1 blocks is one of 'mobilenet'"),
        ("network,time_us\n0.1.2,1\n", {}, "of which space"),
        ("network,time_us\n0.1.2,1\n", {"space": SPACE}, "no code of 'mobilenet'"),
        ("block,time_us\n", {}, "has no rows"),
    ],
)
def test_mistakes_in_a_csv_name_the_row_and_leave_nothing(tmp_path, text, options, said):
    with pytest.raises(HwnasError, match=said) as error:
        small(tmp_path, text, **options)
    assert "\n" not in str(error.value) and not (tmp_path / "lut").exists()


def test_a_csv_of_blocks_and_networks_becomes_a_cost_model(tmp_path):
    """19 networks and the cost of a call are enough to calibrate; plain parquet is read as a CSV is."""
    rng, lines = np.random.default_rng(0), []
    from latencies import network_ms

    for b in SPACE.blocks[::2]:
        lines.append({"block": str(b), "network": "", "us": 1000 * block_ms(b)})
    for z in SPACE.sample(24, rng):
        lines.append({"block": "", "network": ".".join(map(str, z)), "us": 1000 * network_ms(SPACE.blocks_of(z), rng)})
    lines.append(
        {
            "block": "",
            "network": json.dumps(SPACE.decode(SPACE.smallest())),
            "us": 1000 * network_ms(SPACE.blocks_of(SPACE.smallest()), rng),
        }
    )
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "my.parquet")
    folder = tmp_path / "lut/mine"
    done = import_csv(tmp_path / "my.parquet", folder, Device(name="mine", runtime="imported"), space=SPACE, overhead_ms=0.004)
    assert (done.blocks, done.networks) == (len(SPACE.blocks[::2]), 25) and done.of_space == (done.blocks, len(SPACE.blocks))
    calibrate(SPACE, folder)
    assert find_trust(folder, SPACE.hash).verdict == "good"
    Z = SPACE.sample(30, np.random.default_rng(8))
    predicted = device_model(SPACE, folder).cost(Z, ["latency_ms"])[:, 0]
    assert np.median(np.abs(predicted / [network_ms(SPACE.blocks_of(z), rng) for z in Z] - 1)) < 0.03


def test_the_csv_that_is_written_can_be_read(tmp_path):
    path = write(
        tmp_path / "a", [("conv(1,2,4)", 0, 1.0), ("conv(1,2,4)", 1, 1.2), ("conv(1,3,8x4)", 0, 0.0123), ("conv(1,4,4)", 0, "no room")]
    )
    export_csv(path, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert rows["conv(1,2,4)"]["rounds"] == "2" and float(rows["conv(1,2,4)"]["latency_ms"]) == pytest.approx(1.1)
    assert (rows["conv(1,3,8x4)"]["height"], rows["conv(1,3,8x4)"]["width"]) == ("8", "4") and rows["conv(1,4,4)"]["error"] == "no room"
    import_csv(tmp_path / "a.csv", tmp_path / "b", Device(name="b", runtime="imported"))
    back = Table.read(tmp_path / "b/table.jsonl")
    assert back.values() == pytest.approx(Table.read(path).values()) and back.failed == {"conv(1,4,4)": "no room"}


def test_a_damaged_table_is_not_for_others(tmp_path):
    path = write(tmp_path / "a", [("conv(1,2,4)", 0, 1.0)])
    path.write_text(path.read_text().replace("[1000000000,", "[0,"))
    for export in (export_folder, export_parquet):
        with pytest.raises(HwnasError, match="is damaged, so it is not for others"):
            export(path, tmp_path / "out")
    assert sample(1.0).latency_ms() == 1.0 and not (tmp_path / "out").exists()
