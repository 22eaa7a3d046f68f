"""Transport: where a worker runs, the command that starts it there, and how files get there and back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BOARD = Path(__file__).parent.parent / "board"
LINK_LOST = 255  # exit status of a client whose link is gone; that of ssh, and ours for adb


class LinkLost(Exception):
    """The device does not answer for the moment, which is nobody's mistake: it may be rebooting. The message says how it showed."""


class Transport(Protocol):
    """All of it may raise LinkLost, and HwnasError for what a second try would not mend (a host key, a missing program)."""

    @property
    def patience_s(self) -> float:
        """How long a device that was reached once is waited for."""
        ...

    @property
    def gives_outputs(self) -> bool:
        """Whether a worker there can predict, or only time."""
        ...

    def argv(self, device_module: Path) -> list[str]:
        """The command that starts the worker. Connects, and sends the device side where it is not there yet."""
        ...

    def send(self, file: Path) -> str:
        """Its name over there, where it is now, sent once for each content."""
        ...

    def fetch(self, name: str, file: Path) -> None:
        """Copies what the worker wrote to a file here, and takes it away over there."""
        ...

    def kill(self, pid: int) -> None:
        """Ends a worker that hangs; best effort, it has an alarm of its own."""
        ...


@dataclass(frozen=True)
class Local:
    """This machine, with this or another Python interpreter (a virtualenv with other versions of a runtime, say).

    prefix: words before the interpreter, e.g. ("nice", "-n", "-5").
    """

    python: str = sys.executable
    prefix: tuple[str, ...] = ()
    patience_s: float = 0.0
    gives_outputs: bool = True

    def argv(self, device_module: Path) -> list[str]:
        return [*self.prefix, self.python, str(BOARD / "worker.py"), str(device_module)]

    def send(self, file: Path) -> str:
        return str(file.resolve())

    def fetch(self, name: str, file: Path) -> None:
        if Path(name) != file.resolve():
            Path(name).replace(file)

    def kill(self, pid: int) -> None:
        pass  # the end of the line that is killed is the worker itself

    def __str__(self) -> str:
        return "this machine" if self == Local() else " ".join([*self.prefix, self.python])
