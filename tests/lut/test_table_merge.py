"""hwnas/lut: what merges and what must not; what changed between two tables, and whether a search would notice."""

import json

import numpy as np
import pytest
from latencies import SPACE, block_ms
from table_files import FINGERPRINT, sample, write

from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.lut import check_table, diff_tables, impact, merge_tables
from hwnas.table import SENTINEL, Table


def test_rows_of_both_and_what_is_done_with_doubles(tmp_path):
    same, more = ("conv(1,2,4)", 0, 1.0), ("conv(1,3,4)", 0, 2.0)
    a = write(tmp_path / "a", [(SENTINEL, 0, 1.0), same, more, ("conv(1,4,4)", 0, "no room"), ("conv(1,5,4)", 0, "unsupported")])
    b = write(
        tmp_path / "b", [(SENTINEL, 0, 1.0), same, ("conv(1,3,4)", 0, 2.2), ("conv(1,4,4)", 0, 4.0), ("conv(1,5,4)", 0, "unsupported")]
    )
    said = merge_tables([a, b], tmp_path / "c/table.jsonl", "c", "Ada")
    merged = Table.read(tmp_path / "c/table.jsonl")
    assert merged.values() == pytest.approx({"conv(1,2,4)": 1.0, "conv(1,3,4)": 2.1, "conv(1,4,4)": 4.0})
    assert merged.failed == {"conv(1,5,4)": "unsupported"} and merged.device == "c"
    assert sorted(merged.sentinels) == [(1, 0), (2, 0)], "each table's sitting stays one of its own"
    assert "2 rows were there twice, 1 became further rounds, 1 failures" in said
    (entry,) = merged.provenance
    assert entry["what"] == "merged" and entry["by"] == "Ada" and [s["rows"] for s in entry["sources"]] == [5, 5]
    assert check_table(tmp_path / "c/table.jsonl").ok


def test_two_fingerprints_never_mix(tmp_path):
    a = write(tmp_path / "a", [("conv(1,2,4)", 0, 1.0)])
    b = write(tmp_path / "b", [("conv(1,2,4)", 0, 1.0)], {**FINGERPRINT, "runtime": {"version": "1.31"}})
    with pytest.raises(HwnasError, match=r"must not mix: their fingerprints differ in runtime.version: '1.30' there, '1.31' here"):
        merge_tables([a, b], tmp_path / "c/table.jsonl", "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(HwnasError, match="at least two"):
        merge_tables([a], tmp_path / "c/table.jsonl", "c")
    a.write_text(a.read_text().replace("[1000000000,", "[0,"))
    with pytest.raises(HwnasError, match="is damaged: `hwnas lut check"):
        merge_tables([a, a], tmp_path / "c/table.jsonl", "c")


def test_nothing_is_overwritten_unless_asked(tmp_path):
    a = write(tmp_path / "a", [("conv(1,2,4)", 0, 1.0)])
    b = write(tmp_path / "b", [("conv(1,3,4)", 0, 1.0)])
    before = a.read_bytes()
    with pytest.raises(HwnasError, match="is there already"):
        merge_tables([a, b], a, "a")
    assert a.read_bytes() == before
    merge_tables([a, b], a, "a", overwrite=True)
    assert len(Table.read(a).keys) == 2


def test_a_row_that_was_changed_after_the_merge_is_found(tmp_path):
    a, b = (write(tmp_path / n, [(f"conv(1,{n},4)".replace("a", "2").replace("b", "3"), 0, 1.0)]) for n in "ab")
    out = tmp_path / "c/table.jsonl"
    merge_tables([a, b], out, "c")
    with Table.open(out, "c", FINGERPRINT) as table:
        table.append("conv(1,9,4)", 0, sample(1.0))
    assert check_table(out).ok, "rows measured later are no change"
    lines = out.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "wall_ns": [999_000_000] * 3})
    out.write_text("\n".join(lines) + "\n")
    assert ["provenance"] == [f.check for f in check_table(out).findings if f.level == "error"]


def test_what_changed(tmp_path):
    """A runtime in which 5x5 kernels got 30 % slower and all else 2 % faster."""
    rows = [(str(b), 0, block_ms(b)) for b in SPACE.blocks]
    changed = [(str(b), 0, block_ms(b) * (1.3 if b.kernel == 5 else 0.98)) for b in SPACE.blocks[1:]]
    a = write(tmp_path / "a", rows)
    b = write(tmp_path / "b", [*changed, ("conv(1,2,4)", 0, 1.0)], {**FINGERPRINT, "runtime": {"version": "1.31"}})
    diff = diff_tables(Table.read(a), Table.read(b))
    assert diff.fingerprint == ("runtime.version: '1.30' there, '1.31' here",)
    assert diff.only_a == (str(SPACE.blocks[0]),) and diff.only_b == ("conv(1,2,4)",) and diff.networks is None
    assert diff.by_kind["kernel=5"].median == pytest.approx(1.3, rel=1e-3)
    assert diff.by_kind["kernel=3"].p10 == pytest.approx(0.98, rel=1e-3) == diff.by_kind["kernel=3"].p90
    assert all(ratio == pytest.approx(1.3 if "kernel=5" in key else 0.98, rel=1e-3) for key, _, _, ratio in diff.changed)
    with pytest.raises(HwnasError, match="no row in common"):
        diff_tables(Table.read(a), Table.read(write(tmp_path / "d", [("conv(1,2,4)", 0, 1.0)])))


def test_would_my_winners_change():
    ms = np.array([block_ms(b) for b in SPACE.blocks])
    slower5 = np.array([1.5 if b.kernel == 5 else 1.0 for b in SPACE.blocks])
    a, b = (CostModel(SPACE, {"latency_ms": t}, {"latency_ms": 0.0}, {"latency_ms": 0.05}) for t in (ms, ms * slower5))
    same = impact(a, a, [1.0])
    assert same.ratio == same.spearman == pytest.approx(1.0) and same.overlap[1.0] == 1.0
    costs = a.upper(SPACE.sample(2000, np.random.default_rng(3)), ["latency_ms"])[:, 0]
    limit = float(np.median(costs))
    winner = SPACE.sample(500, np.random.default_rng(1))
    uppers = a.upper(winner, ["latency_ms"])[:, 0], b.upper(winner, ["latency_ms"])[:, 0]
    loser = winner[np.flatnonzero((uppers[0] <= limit) & (uppers[1] > limit))[0]]
    found = impact(a, b, [limit, 1e-6], {"mine": loser})
    assert found.ratio > 1.05 and 0.5 < found.spearman < 1
    # by hand: slower can only shrink the feasible set, so the overlap is its size in B over its size in A
    Z = SPACE.sample(20_000, np.random.default_rng(0))
    in_a, in_b = (m.upper(Z, ["latency_ms"])[:, 0] <= limit for m in (a, b))
    assert found.overlap[limit] == pytest.approx(in_b.sum() / in_a.sum()) and np.isnan(found.overlap[1e-6])
    kept = found.kept[0]
    assert kept.architecture == "mine" and kept.a_keeps and not kept.b_keeps and len(found.kept) == 2
    with pytest.raises(HwnasError, match="two spaces"):
        from tiny_spaces import SPACES

        impact(a, CostModel(SPACES["chain"]))
