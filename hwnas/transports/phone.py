"""The worker of a phone: `python -m hwnas.transports.phone SERIAL PROGRAM`, with the requests and answers of hwnas/board/worker.py.

It runs here and has benchmark_model run there, one invocation a repeat. It ends with the status of a lost link when adb does not answer.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import time
from typing import Any

from . import benchmark_model
from .shell import NoHandshake, ScriptFailed, run_script
from .transport import LINK_LOST

FACTS = """
for p in ro.product.manufacturer ro.product.model ro.soc.model ro.board.platform ro.build.version.release; do
  echo "$p=$(getprop $p 2>/dev/null)"
done
echo "machine=$(uname -m)"; echo "kernel=$(uname -r)"; echo "load=$(cat /proc/loadavg 2>/dev/null)"
for f in /sys/devices/system/cpu/cpu[0-9]*; do
  echo "core=${f##*/cpu} $(cat $f/cpufreq/cpuinfo_max_freq 2>/dev/null || echo 0) $(cat $f/cpufreq/scaling_governor 2>/dev/null)"
done
for f in /sys/class/thermal/thermal_zone*; do echo "zone=$(cat $f/temp 2>/dev/null)"; done
echo "hardware=$(grep -m1 -E '^(Hardware|model name)' /proc/cpuinfo 2>/dev/null | cut -d: -f2)"
for c in timeout taskset; do command -v $c >/dev/null && echo "has=$c"; done
true
"""


class Phone:
    """What is known of the phone, and its shell."""

    def __init__(self, serial: str, program: str):
        self.serial, self.program = serial, program
        fields: dict[str, list[str]] = {}
        for line in self.shell(FACTS, 30.0).splitlines():
            name, _, value = line.partition("=")
            fields.setdefault(name.strip(), []).append(value.strip())
        self._fields = fields
        self.has = set(fields.get("has", []))
        # [(highest frequency, core, governor)]
        self.cores = [
            (int(words[1]), int(words[0]), words[2] if len(words) > 2 else "")
            for words in (c.split() for c in fields.get("core", []))
            if len(words) >= 2
        ]

    def shell(self, script: str, limit_s: float) -> str:
        return run_script(["adb", "-s", self.serial, "shell"], script, limit_s=limit_s).decode("utf-8", "replace")

    def facts(self) -> dict[str, Any]:
        one = {name: values[0] for name, values in self._fields.items() if values and values[0]}
        soc = one.get("ro.soc.model") or one.get("ro.board.platform") or one.get("hardware")
        android = f"Android {one['ro.build.version.release']}, " if "ro.build.version.release" in one else ""
        host = {
            "cpu": soc,
            "model": " ".join(one[p] for p in ("ro.product.manufacturer", "ro.product.model") if p in one) or None,
            "machine": one.get("machine"),
            "cores": len(self.cores) or None,
            "governor": "+".join(sorted({g for _, _, g in self.cores if g})) or None,
            "os": f"{android}Linux {one.get('kernel', '')}".strip(),
        }
        degrees = [int(z) / 1000 for z in self._fields.get("zone", []) if re.fullmatch(r"-?\d{4,6}", z)]
        load = one.get("load", "").split()
        conditions = {"load_average": float(load[0]) if load else None, "temperature_c": max(degrees, default=None)}
        version = self.program.rsplit("/", 1)[-1][:12]  # it does not tell its own: its file's hash is the version
        return {
            "host": {k: v for k, v in host.items() if v is not None},
            "conditions": {k: v for k, v in conditions.items() if v is not None},
            "runtime": {"name": "benchmark_model", "version": version},
        }

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        """One invocation for each repeat of the plan; for single inferences, a tenth of them in each of ten."""
        plan, options = request["plan"], request["options"]
        deadline = time.monotonic() + plan["time_limit_s"]
        if plan["min_repeat_s"] > 0:
            invocations, runs = max(plan["repeats"], 1), 1
            min_s = max(plan["min_repeat_s"], plan["min_total_s"] / invocations)
        else:
            invocations = min(benchmark_model.SINGLE_SHOT_INVOCATIONS, plan["repeats"])
            runs, min_s = math.ceil(plan["repeats"] / invocations), plan["min_total_s"] / invocations
        max_s = plan["time_limit_s"] / 2 / invocations
        words = [self.program, *benchmark_model.flags(request["file"], options, runs, min_s, plan["warmup_s"], max_s)]
        if (mask := self._mask(options.get("pin", "off"))) is not None:
            words = ["taskset", f"{mask:x}", *words]
        taken: list[benchmark_model.Invocation] = []
        while len(taken) < invocations:
            left_s = deadline - time.monotonic()
            if taken and left_s < plan["time_limit_s"] / 2:
                break  # a slow file is worth a short sample, as in hwnas/board/clock.py
            limit = ["timeout", "-s", "KILL", str(math.ceil(left_s))] if "timeout" in self.has else []  # it must not outlive us
            script = " ".join(map(shlex.quote, [*limit, *words])) + " 2>&1"
            taken.append(benchmark_model.parse(self.shell(script, left_s + 5)))
        return {
            "wall_ns": [max(1, round(t.avg_ms * 1e6)) for t in taken],
            "cpu_ns": None,
            "loops": 1,
            "load_s": taken[0].init_ms / 1e3 if taken[0].init_ms else None,
            "first_run_ms": taken[0].first_ms,
            "summaries": [{"count": t.count, "min_ms": t.min_ms, "max_ms": t.max_ms, "std_ms": t.std_ms} for t in taken],
        }

    def _mask(self, pin: int | str) -> int | None:
        """The cores to stay on, as taskset wants them: "auto" is the fastest core, the last among equals."""
        if pin == "off" or (pin == "auto" and ("taskset" not in self.has or not self.cores)):
            return None
        if "taskset" not in self.has:
            raise ValueError(f'pin = {pin}: this phone has no taskset: set pin = "off"')
        core = max(self.cores)[1] if pin == "auto" else int(pin)
        if core not in [c for _, c, _ in self.cores]:
            raise ValueError(f"pin: core {core} is not among those of this phone: {', '.join(str(c) for _, c, _ in sorted(self.cores))}")
        return 1 << core


def main(serial: str, program: str) -> None:
    phone: Phone | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            phone = phone or Phone(serial, program)
            if request["do"] == "facts":
                answer = Phone(serial, program).facts()
            elif request["do"] == "time":
                answer = phone.time(request)
            else:
                answer = {"error": f"benchmark_model cannot {request['do']}: it gives no outputs"}
        except NoHandshake as lost:
            print(f"adb {serial}: {lost}", file=sys.stderr)
            sys.exit(LINK_LOST)
        except ScriptFailed as failed:
            answer = {"error": f"benchmark_model: {benchmark_model.complaint(failed.said)} (exit status {failed.status})"}
        except ValueError as error:
            answer = {"error": f"benchmark_model: {error}"}
        print(json.dumps({"id": request["id"], **answer}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
