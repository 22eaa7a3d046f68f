"""diff_tables: what changed between two tables, block by block and kind by kind."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..block import Block
from ..errors import HwnasError
from ..table import Table, differences


@dataclass(frozen=True)
class Ratio:
    """Latency in B / latency in A over n rows."""

    n: int
    median: float
    p10: float
    p90: float

    @staticmethod
    def of(ratios: np.ndarray) -> Ratio:
        p10, median, p90 = np.percentile(ratios, [10, 50, 90])
        return Ratio(len(ratios), float(median), float(p10), float(p90))


@dataclass(frozen=True)
class TableDiff:
    """`changed` lists keys by how far their ratio is from the median of all: what did not move with the rest."""

    fingerprint: tuple[str, ...]  # one line for each field that differs
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    failed_in_b: dict[str, str]  # measured in A, failed in B
    blocks: Ratio | None
    networks: Ratio | None
    by_kind: dict[str, Ratio]  # "op=mbconv", "kernel=7", ... of blocks
    changed: tuple[tuple[str, float, float, float], ...]  # (key, A ms, B ms, ratio), farthest first
    error: float  # relative standard error of a typical row's change, for want of rounds

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def diff_tables(a: Table, b: Table) -> TableDiff:
    """Raises HwnasError when the two have no row in common."""
    values_a, values_b = a.values(), b.values()
    common = [k for k in values_a if k in values_b]
    if not common:
        raise HwnasError(f"{a.path} and {b.path} have no row in common: were they measured for the same space?")
    ratio = {k: values_b[k] / values_a[k] for k in common}
    blocks = [k for k in common if not k.startswith("net(")]
    networks = [k for k in common if k.startswith("net(")]
    groups: dict[str, list[float]] = {}
    for k in blocks:
        for name in _kinds(k):
            groups.setdefault(name, []).append(ratio[k])
    middle = float(np.median(list(ratio.values())))
    order = sorted(common, key=lambda k: -abs(np.log(ratio[k] / middle)))
    errors = [float(np.median(list(t.standard_error().values()) or [0.0])) for t in (a, b)]
    return TableDiff(
        tuple(differences(a.fingerprint, b.fingerprint)),
        tuple(k for k in values_a if k not in values_b),
        tuple(k for k in values_b if k not in values_a),
        {k: reason for k, reason in b.failed.items() if k in values_a},
        Ratio.of(np.array([ratio[k] for k in blocks])) if blocks else None,
        Ratio.of(np.array([ratio[k] for k in networks])) if networks else None,
        {name: Ratio.of(np.array(r)) for name, r in sorted(groups.items()) if len(r) < len(blocks)},
        tuple((k, values_a[k], values_b[k], ratio[k]) for k in order),
        float(np.hypot(errors[0], errors[1])),
    )


def _kinds(key: str) -> list[str]:
    try:
        b = Block.parse(key)
    except HwnasError:
        return []
    return [f"op={b.op}", f"kernel={b.kernel}", f"stride={b.stride}", f"se={b.se}", *([f"act={b.act}"] if b.act else [])]
