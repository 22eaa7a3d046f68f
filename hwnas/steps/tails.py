"""Before a search under quantiles of latency: how far above their median are a device's slow inferences?"""

from __future__ import annotations

from ..cost import METRICS
from ..device import find_device
from ..errors import HwnasError
from ..predict import Tails, measure_tails
from ..predict.trust import table_digest
from ..shipped import table_folder
from ..table import Table
from .progress import Show, silent
from .run_folder import RunFolder


def time_tails(run: RunFolder, show: Show = silent) -> dict[str, Tails | str]:
    """Device -> its tails, or why they are not known; only of devices that a budget names a latency_p90 or latency_p95 of, and timed now.

    Whole networks are timed inference by inference, some seconds in all, once for each table; tails.json beside it keeps what was found.
    """
    asked = {b.device for b in run.experiment.parsed_budgets() for x in b.limits if (METRICS[x.metric].quantile or 0) > 0.5}
    found: dict[str, Tails | str] = {}
    for name in run.experiment.devices:
        folder = table_folder(run.lut, name)
        if name not in asked or not (folder / "table.jsonl").exists() or not (folder / "calibration.json").exists():
            continue
        if Tails.find(folder, run.space.hash, table_digest(Table.read(folder / "table.jsonl"))) is not None:
            continue
        if folder != run.lut / name:
            found[name] = f"device {name!r}: its table came with hwnas: its slow inferences can be timed where it was measured only"
            continue
        try:
            with show(f"time slow inferences on {name}") as advance:
                found[name] = measure_tails(
                    run.space, find_device(name, run.lut), folder, report=lambda i, n, key, sample: advance(i, n, "whole networks")
                )
        except HwnasError as error:
            found[name] = str(error)
    return found
