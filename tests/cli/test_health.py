"""`hwnas health`: a few networks really trained alone beside the tiny run's supernet, and resumed."""

from __future__ import annotations

import json
from pathlib import Path

from commands import Cli
from tiny_spaces import chain_space

from hwnas.spaces import nasbench201
from hwnas.steps.health import skip_share


def test_health_of_the_tiny_run(workplace: Path, cli: Cli) -> None:
    words = ("health", "runs/tiny", "--networks", 4, "--epochs", 1, "--ceiling", 3, "--drop-rates", "0,0.5", "--json")
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["networks"]) == 4 and all(0.05 < n["alone"] <= 1 and n["macs"] > 0 for n in found["networks"])
    assert found["ranks"]["inherited"]["n"] == 4 and found["ranks"]["ceiling"]["n"] == 3
    assert found["choice"]["best"] == max(n["alone"] for n in found["networks"]) >= found["choice"]["by_inherited"]
    assert found["visits"]["least"]["visits"] > 0 and found["verdict"]
    assert found["all_paths"] == "the largest network" and all(n["kl"] >= 0 for n in found["networks"])
    assert [r["drop"] for r in found["drop_rates"]] == [0, 0.5] and all(r["n"] == 4 for r in found["drop_rates"])
    rows = next((workplace / "runs/tiny/health").glob("*.jsonl"))
    assert len(rows.read_text().splitlines()) == 1 + 4 + 3

    before = rows.read_bytes()
    kept = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(kept[:-1]))  # as if it had been killed in the last network
    again = json.loads(cli(*words).stdout)
    assert rows.read_bytes() == before, "trained again, it ends with the same bits"
    assert again["networks"] == found["networks"]
    table = cli(*words[:-1])
    assert (
        "inherited accuracy" in table.stdout and "MACs alone" in table.stdout and "drop rate" in table.stdout and "visits:" in table.stderr
    )


def test_skip_share_by_hand() -> None:
    chain = chain_space()  # stem, two stages of up to two layers, head: with depth 1 each, two of six slots only pass on
    assert skip_share(chain, chain.largest()[None]) == 0
    assert skip_share(chain, chain.smallest()[None]) == 2 / 6
    cell = nasbench201(2, 8, 3, width=4, cells=1)
    z = cell.encode({name: "skip_connect" for name in cell.index})
    skips = sum(b.op == "skip" for b in cell.blocks_of(z))
    slots = sum(b.op not in ("add", "concat") for b in cell.blocks_of(z))
    assert skips and skip_share(cell, z[None]) == skips / slots
