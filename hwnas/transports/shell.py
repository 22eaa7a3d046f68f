"""Shell: runs a script in a shell elsewhere and trusts nothing but its own handshake."""

from __future__ import annotations

import secrets
import shlex
import subprocess
from collections.abc import Sequence

from .transport import LinkLost


class ScriptFailed(Exception):
    """The script ran and ended with a status above 0; `said` is all that it said, the message its last line."""

    def __init__(self, status: int, said: str):
        super().__init__(said.strip().splitlines()[-1] if said.strip() else f"exit status {status}")
        self.status, self.said = status, said


class NoHandshake(LinkLost):
    """The script was not run to its end; `words` is all that the client said on stderr."""

    def __init__(self, reason: str, words: str = ""):
        super().__init__(reason)
        self.words = words


def run_script(client: Sequence[str], script: str, data: bytes | None = None, limit_s: float = 60.0, login_shell: bool = False) -> bytes:
    """What a POSIX shell script prints, bytes as they are, with data on its stdin.

    client: the command that takes a script as its last word (`ssh ... host`, `adb ... shell`); login_shell: what reads it there may be
    any shell (fish, csh), so it is given one quoted word to hand on to sh.
    The output counts from one line with a random word to another that carries the exit status: a banner, a chatty profile or a
    client that always exits with 0 make no difference. Raises NoHandshake when the script did not end, ScriptFailed when its
    status is not 0.
    """
    mark = f"hwnas-{secrets.token_hex(8)}"
    framed = f"echo; echo {mark}; ( {script}\n); s=$?; echo; echo {mark} $s; exit $s"
    argv = [*client, f"exec sh -c {shlex.quote(framed)}" if login_shell else framed]
    try:
        done = subprocess.run(argv, input=data or b"", capture_output=True, timeout=limit_s, start_new_session=True)
    except subprocess.TimeoutExpired:
        raise NoHandshake(f"no answer within {limit_s:g} s") from None
    words = done.stderr.decode("utf-8", "replace").strip()
    out = done.stdout
    if b"\r\n" + mark.encode() in out:  # an old adb shell is a terminal
        out = out.replace(b"\r\n", b"\n")
    start, end = out.find(f"{mark}\n".encode()), out.rfind(f"\n{mark} ".encode())
    if start < 0 or end < 0:
        last = words.splitlines()[-1] if words else f"{client[0]} ended with exit status {done.returncode}"
        raise NoHandshake(last, words)
    status = int(out[end:].split()[1])
    printed = out[start + len(mark) + 1 : end]
    if status:
        raise ScriptFailed(status, words or printed.decode("utf-8", "replace"))
    return printed
