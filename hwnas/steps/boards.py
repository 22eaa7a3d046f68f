"""Many devices profiled at once: one queue for each board, this machine's devices alone and one after another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..device import Device
from ..errors import HwnasError
from ..files import write_atomic
from ..measure import Plan
from ..predict import profile_space
from ..spaces import load_space
from ..tasks import Do, Tell, Work, Workers
from ..transports.reach import Reach, load_reaches, parse_reach, save_reach
from .progress import Advance, Show, pace, silent

HERE = "this machine"


@dataclass(frozen=True)
class Profiling:
    """What `profile_space` is to do on each device; space and of_data as `load_space` takes them."""

    space: str
    of_data: dict[str, Any] | None
    blocks: int
    networks: int
    held_out: int
    searched: bool
    plan: Plan
    seed: int = 0

    def __call__(self, device: Device, lut: Path, advance: Advance) -> None:
        space, report = load_space(self.space, self.of_data), pace(advance, self.plan.rounds)
        counts = {"blocks": self.blocks, "networks": self.networks, "held_out": self.held_out}
        profile_space(space, device, lut, **counts, searched=self.searched, plan=self.plan, seed=self.seed, report=report)

    @staticmethod
    def of(fields: Mapping[str, Any]) -> Profiling:
        return Profiling(**{**fields, "plan": Plan(**fields["plan"])})


def boards(devices: Sequence[Device]) -> dict[str, list[Device]]:
    """Board -> its devices, in their order. Two devices of one board (two runtimes, say) would disturb each other's times."""
    reaches, found = load_reaches(), dict[str, list[Device]]()
    for device in devices:
        found.setdefault(board_of(reaches.get(device.name, Reach())), []).append(device)
    return found


def board_of(reach: Reach) -> str:
    """`ssh host[:port]`, `adb serial`, or this machine: other interpreters here share its cores, other users there the board's."""
    if reach.ssh:
        return "ssh " + reach.ssh.rpartition("@")[2] + (f":{reach.port}" if reach.port else "")
    return f"adb {reach.adb}" if reach.adb else HERE


def profile_boards(
    devices: Sequence[Device], lut: Path, profiling: Profiling, workers: int = 0, ray: str = "", show: Show = silent
) -> dict[str, str]:
    """Device -> why it could not be profiled, of those that could not; a board that is away stops no other one.

    This machine's devices first: boards keep a core busy here (blocks are built here), which would disturb them. Then `workers` boards
    at once (0: all), each in a process of its own, or on the Ray cluster of that address, whose nodes then reach the boards.
    """
    queues, failed = boards(devices), dict[str, str]()
    alone = queues.pop(HERE, [])
    if len(queues) == 1 and not ray:
        alone += queues.popitem()[1]
    for device in alone:
        try:
            with show(f"profile {device.name}") as advance:
                profiling(device, lut, advance)
        except HwnasError as error:
            failed[device.name] = str(error)
    if not queues:
        return failed
    far = bool(ray)
    reaches = {name: r.model_dump(exclude_defaults=True, mode="json") for name, r in load_reaches().items()} if far else None
    jobs = [
        {"devices": [d.model_dump() for d in q], "lut": None if far else str(lut), "before": _texts(lut, q) if far else {}}
        for q in queues.values()
    ]
    work = Work("hwnas.steps.boards:profile_queue", {"profiling": asdict(profiling), "reaches": reaches})
    title = f"profile {', '.join(d.name for q in queues.values() for d in q)}"
    with show(title) as advance, Workers(workers or (0 if ray else len(queues)), ray) as hands:
        said: dict[int, list[Any]] = {}

        def told(number: int, what: Any) -> None:
            said[number] = what
            advance(sum(d for d, _, _ in said.values()), sum(t for _, t, _ in said.values()), "  ".join(text for *_, text in said.values()))

        for _, result in hands.pool(work).run(jobs, told):
            failed |= result["failed"]
            for name, text in result["after"].items():
                write_atomic(lut / name, text)
    return failed


def profile_queue(setup: Mapping[str, Any], files: Mapping[str, Path]) -> Do:
    """In a worker: a job is the devices of one board. Where the tables are not within reach, they come and go with the job."""
    profiling, reaches = Profiling.of(setup["profiling"]), setup["reaches"]

    def do(job: Any, tell: Tell) -> Any:
        with TemporaryDirectory(prefix="hwnas-") as folder:
            lut = Path(job["lut"] or folder)
            for name, text in job["before"].items():
                write_atomic(lut / name, text)
            if reaches is not None:
                os.environ["XDG_CONFIG_HOME"] = str(Path(folder, "config"))
                for name, fields in reaches.items():
                    save_reach(name, parse_reach(fields, name))
            devices, failed = [Device.parse(fields, "profile") for fields in job["devices"]], {}
            for device in devices:
                try:
                    profiling(device, lut, _teller(device.name, tell))
                except HwnasError as error:
                    failed[device.name] = str(error)
            return {"failed": failed, "after": {} if job["lut"] else _texts(lut, devices)}

    return do


def _teller(name: str, tell: Tell) -> Advance:
    return lambda done, total, text: tell([done, total, f"{name}: {text}"])


def _texts(lut: Path, devices: Sequence[Device]) -> dict[str, str]:
    """`DEVICE/file` -> what is in it."""
    return {str(p.relative_to(lut)): p.read_text() for d in devices for p in sorted((lut / d.name).glob("*.*")) if p.is_file()}
