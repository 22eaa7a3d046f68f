"""`python -m hwnas WORDS` as tests run it: in a process of its own, forked from one that has imported torch already.

What a command imports takes longer than most commands take here; the code of hwnas itself is loaded anew in each.
"""

from __future__ import annotations

import atexit
import os
import runpy
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory

Cli = Callable[..., "CompletedProcess[str]"]

LIMIT_S = 300
_forks = get_context("forkserver")
_forks.set_forkserver_preload(["torch", "scipy.stats", "scipy.optimize", "sklearn.datasets", "onnx", "typer", "pydantic", "rich.progress"])


def hwnas(*words: object, cwd: Path) -> CompletedProcess[str]:
    """Exit code, stdout and stderr of the command, run in the folder cwd."""
    arguments = [str(word) for word in words]
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        process = _forks.Process(target=_run, args=(arguments, str(cwd), str(out), str(err), dict(os.environ)))
        process.start()
        process.join(LIMIT_S)
        if process.exitcode is None:
            process.kill()
            raise TimeoutExpired(["hwnas", *arguments], LIMIT_S, out.read_text(), err.read_text())
        return CompletedProcess(["hwnas", *arguments], process.exitcode, out.read_text(), err.read_text())


def _run(arguments: list[str], cwd: str, out: str, err: str, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"})
    os.chdir(cwd)
    for path, stream in ((os.devnull, 0), (out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), stream)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
    sys.argv[1:] = arguments
    sys.path.insert(0, "")
    try:
        runpy.run_module("hwnas", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends its processes without
