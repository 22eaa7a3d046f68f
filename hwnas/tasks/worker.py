"""The worker of a LocalPool: `python -m hwnas.tasks.worker` answers JSON lines on stdin, until it ends, with JSON lines on stdout.

    {"make": "module:function", "setup": {...}, "files": {name: path}}  ->  {"ready": pid}
    {"job": ...}  ->  any number of {"told": ...}, then {"result": ...}

What goes wrong is {"error": reason}; the worker lives on. It opens no port. When its input ends in the middle of a job, nobody waits
for the result any more: it ends, too.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..errors import HwnasError
from .pool import Do, Work

GRACE_S = 1.0


def main() -> None:
    # Whatever is printed on the way goes to stderr: stdout is for answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(fields: dict[str, Any]) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    do: Do | None = None
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while (line := lines.get()) is not None:
        request = json.loads(line)
        try:
            if do is None:
                do = Work(request["make"], request["setup"], {k: Path(p) for k, p in request["files"].items()}).begin()
                answer({"ready": os.getpid()})
            else:
                answer({"result": do(request["job"], lambda told: answer({"told": told}))})
        except HwnasError as error:
            answer({"error": str(error)})
        except Exception as error:
            answer({"error": f"{type(error).__name__}: {error}"})


def _read(lines: queue.Queue[str | None]) -> None:
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
