"""Adb: a stock phone, reached by the system's adb client. It has no Python: its device side is LiteRT's benchmark_model."""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

from ..errors import HwnasError
from .shell import NoHandshake, ScriptFailed, run_script
from .transport import LinkLost

FOLDER = "/data/local/tmp/hwnas"  # the one place where the shell user of a stock phone may run programs


class Adb:
    """A phone and the benchmark_model built for it (a file here, sent once). The worker is a program of this machine: phone.py."""

    gives_outputs = False

    def __init__(self, serial: str, benchmark: Path, patience_s: float = 180.0):
        self.serial, self.benchmark, self.patience_s = serial, benchmark, patience_s
        self._there: set[str] = set()
        self._known = False

    def __str__(self) -> str:
        return f"adb {self.serial}"

    def argv(self, device_module: Path) -> list[str]:
        if not self.benchmark.is_file():
            raise HwnasError(f"benchmark = {str(self.benchmark)!r}: there is no such file: download or build LiteRT's benchmark_model")
        self.connect()
        program = self.send(self.benchmark)
        self.run(f"chmod 755 {shlex.quote(program)}")
        return [sys.executable, "-m", "hwnas.transports.phone", self.serial, program]

    def connect(self) -> None:
        """Makes our folder there and finds out what lies in it, whole."""
        self._there, self._known = set(), False
        if re.fullmatch(r"[^\s]+:\d+", self.serial) and self._adb("get-state").stdout.strip() != "device":
            # Over the network a phone that was away comes back after a minute or not at all, if nobody asks for it.
            self._adb("disconnect", self.serial)
            self._adb("connect", self.serial)
        out = self.run(f'mkdir -p {FOLDER} && cd {FOLDER} && {{ [ -z "$(ls)" ] || sha256sum *; }} 2>/dev/null; true')
        sums = [line.split() for line in out.decode("utf-8", "replace").splitlines()]
        self._there = {words[1] for words in sums if len(words) == 2 and words[1].startswith(words[0][:20])}
        self._known = True

    def send(self, file: Path) -> str:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        suffix = file.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,16}", file.suffix) else ""
        name = digest[:20] + suffix
        if not self._known:
            self.connect()
        if name not in self._there:
            new = f"{FOLDER}/new-{name}"
            done = self._adb("push", str(file.resolve()), new, limit_s=60 + file.stat().st_size / 50_000)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
                if "space" in said[0].lower() or "denied" in said[0].lower() or "read-only" in said[0].lower():
                    raise HwnasError(f"{self}: {said[0]}")
                raise LinkLost(f"{self}: {said[0]}")
            self.run(
                f"cd {FOLDER} && h=$(sha256sum {new}) && "
                f'if [ "${{h%% *}}" = {digest} ]; then mv -f {new} {name}; '
                f'else rm -f {new}; echo "not the same file there as here"; exit 1; fi'
            )
            self._there.add(name)
        return f"{FOLDER}/{name}"

    def fetch(self, name: str, file: Path) -> None:
        raise HwnasError(f"{self}: benchmark_model gives no outputs")

    def kill(self, pid: int) -> None:
        pass  # the worker runs here, and what it started there has a time limit

    def run(self, script: str, limit_s: float = 60.0) -> bytes:
        """What a script prints there. Raises LinkLost if it could not be run to its end, HwnasError if it failed."""
        try:
            return run_script(["adb", "-s", self.serial, "shell"], script, limit_s=limit_s)
        except ScriptFailed as failed:
            raise HwnasError(f"{self}: {failed}") from None
        except NoHandshake as lost:
            if "unauthorized" in lost.words:
                raise HwnasError(f"{self}: the phone has not allowed this computer yet: unlock it and answer its question") from None
            raise LinkLost(f"{self}: {lost}: `adb devices` lists what is connected") from None
        except FileNotFoundError:
            raise HwnasError("there is no adb client here: install it (Debian: apt-get install adb)") from None

    def _adb(self, *words: str, limit_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["adb", "-s", self.serial, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired:
            raise LinkLost(f"{self}: no answer to adb {words[0]} within {limit_s:g} s") from None
        except FileNotFoundError:
            raise HwnasError("there is no adb client here: install it (Debian: apt-get install adb)") from None
