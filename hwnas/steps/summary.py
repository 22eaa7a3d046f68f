"""Step 7: the run in one table."""

from __future__ import annotations

import json
from typing import Any

from ..deploy.timing import MAX_PREEMPTED
from ..profiler import is_estimate
from .run_folder import RunFolder, write_json


def summarize(run: RunFolder) -> dict[str, Any]:
    """Writes summary.json from the certificates that there are, and returns it. Raises nothing for a half-finished run."""
    rows = []
    for budget in run.experiment.parsed_budgets():
        folder = run.of_budget(budget)
        row: dict[str, Any] = {"device": budget.device, "budget": budget.name, "folder": str(folder.relative_to(run.path))}
        if (path := folder / "certificate.json").exists():
            c = json.loads(path.read_text())
            latency = c["limits"].get("latency_ms")
            row |= {
                "verdict": c["verdict"],
                "reason": c["reason"],
                "estimate": is_estimate(c["fingerprint"]),
                "file": c["certified_file"],
                "accuracy_search_validation": c["accuracy"]["search_validation"],
                "accuracy_search_validation_inherited": c["accuracy"]["search_validation_inherited"],
                "accuracy_random_search": c["accuracy"]["search_validation_random_search"],
                "accuracy_test": c["accuracy"]["test"],
                "accuracy_test_fp32": c["accuracy"]["test_fp32"],
                "files": {name: _file(facts, c["files"][name]["bytes"]) for name, facts in c["accuracy"]["files"].items()},
                "predicted_ms": c["predicted"]["latency_ms"],
                "upper_ms": c["predicted"]["upper_ms"],
                "measured_ms": c["measured"]["p50_ms"],
                "preempted": c["measured"]["preempted"] / c["measured"]["samples"],
                "limits": c["limits"],
                "budget_used": c["measured"]["p50_ms"] / latency["budget"] if latency else None,
                "macs": c["counted"]["macs"],
                "params": c["counted"]["params"],
                "architecture": json.loads((folder / "architecture.json").read_text())["choices"],
            }
        else:
            row["verdict"] = "NOT DONE"
        rows.append(row)
    summary = {
        "data": run.data.name,
        "space": run.space.spec,
        "space_hash": run.space.hash,
        "architectures": run.space.architectures,
        "blocks": len(run.space.blocks),
        "max_preempted": MAX_PREEMPTED,
        "rows": rows,
    }
    write_json(run.path / "summary.json", summary)
    return summary


def _file(facts: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    """One model file: what it is worth, and where int8 costs it more than 1 %, the three noisiest layers."""
    kept = {"test": facts["test"], "bytes": size_bytes, "sqnr_db": facts["parity"]["sqnr_db"]}
    return kept | {"noisiest_layers": facts.get("layer_errors", [])[:3]}
