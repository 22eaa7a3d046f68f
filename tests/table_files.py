"""Tables on disk with values that are known."""

from __future__ import annotations

import numpy as np
from latencies import OVERHEAD_MS, SPACE, block_ms, network_ms

from hwnas.predict import network_key
from hwnas.predict.choose import OVERHEAD
from hwnas.sample import Sample
from hwnas.table import Table

FINGERPRINT = {"device": {"runtime": "onnx", "threads": 1}, "host": {"cpu": "A"}, "runtime": {"version": "1.30"}}


def sample(ms):
    return Sample((round(ms * 1e9),) * 3, (round(ms * 1e9),) * 3, 1000)


def write(folder, rows, fingerprint=FINGERPRINT):
    """rows: (key, round, ms or a reason)."""
    with Table.open(folder / "table.jsonl", folder.name, fingerprint) as table:
        for key, round, ms in rows:
            table.append(key, round, Sample.failed(ms) if isinstance(ms, str) else sample(ms))
    return folder / "table.jsonl"


def full_table(folder, rng, level=1.0, networks=30, fingerprint=FINGERPRINT):
    """A table of the whole space, networks included."""
    codes = SPACE.sample(networks, np.random.default_rng(4))
    rows = [(str(OVERHEAD), 0, OVERHEAD_MS), *((str(b), 0, level * block_ms(b)) for b in SPACE.blocks)]
    rows += [(network_key(SPACE, z), 0, level * network_ms(SPACE.blocks_of(z), rng)) for z in codes]
    return write(folder, rows, fingerprint)
