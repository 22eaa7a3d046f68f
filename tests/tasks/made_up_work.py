"""Work for pools, in a module that a worker can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError
from hwnas.tasks import Tell


def squares(setup: Mapping[str, Any], files: Mapping[str, Path]) -> Any:
    """job -> [job squared plus setup["plus"], pid]. A job of {"die": FILE} kills its worker unless FILE is there, and makes it."""
    plus = setup["plus"] + (int(files["more"].read_text()) if "more" in files else 0)
    print("whatever a library prints is no answer")

    def do(job: Any, tell: Tell) -> Any:
        if isinstance(job, dict):
            if "raise" in job:
                raise ValueError(job["raise"])
            if "meet" in job:  # done when as many workers are at it at the same time as there are names
                Path(job["meet"][job["me"]]).touch()
                while not all(Path(name).exists() for name in job["meet"]):
                    time.sleep(0.05)
                return os.getpid()
            if "sleep" in job:
                for i in range(100):
                    tell({"at": i})
                    time.sleep(job["sleep"] / 100)
                return "slept"
            if not (mark := Path(job["die"])).exists():
                if job.get("once", True):
                    mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return "alive"
        return [job * job + plus, os.getpid()]

    return do


def cannot_begin(setup: Mapping[str, Any], files: Mapping[str, Path]) -> Any:
    raise HwnasError("data 'none': there is none")
