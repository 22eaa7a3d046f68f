"""Device side: computes what a datasheet promises for a program. Outputs come from PyTorch, times from arithmetic."""

from __future__ import annotations

from typing import Any

from hwnas_cpu import device as cpu

API = 1
FREE = ("constant", "identity", "flatten")  # no runtime launches anything for these


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "roofline", "version": "1", "estimate": True}  # 1: a node is max(operations, bytes) + launch


class Session(cpu.Session):
    on_cpu = False

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        super().__init__(path, {"threads": options["threads"]})
        program = self.module.program  # type: ignore[attr-defined]
        nodes = [node for node in program.nodes if node.op not in FREE]
        work = [(2 * program.node_macs(node), program.node_bytes(node)) for node in nodes]
        peak, bandwidth = options["peak_gops"], options["bandwidth_gb_s"]  # per nanosecond, both
        self.ns = sum(max(operations / peak, size / bandwidth) + 1e3 * options["launch_us"] for operations, size in work)

    def timed(self, loops: int) -> tuple[int, None]:
        """The estimate, in whole nanoseconds, of `loops` inferences."""
        return max(1, round(loops * self.ns)), None
