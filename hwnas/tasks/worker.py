"""The worker of a LocalPool: `python -m hwnas.tasks.worker` answers JSON lines on stdin, until it ends, with JSON lines on stdout.

    {"make": "module:function", "setup": {...}, "files": {name: path}}  ->  {"ready": pid}
    {"job": ...}  ->  any number of {"told": ...}, then {"result": ...}

What goes wrong is {"error": reason}; the worker lives on. It opens no port.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ..errors import HwnasError
from .pool import Do, Work


def main() -> None:
    # Whatever is printed on the way goes to stderr: stdout is for answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(fields: dict[str, Any]) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    do: Do | None = None
    for line in sys.stdin:
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


if __name__ == "__main__":
    main()
