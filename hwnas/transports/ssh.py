"""Ssh: a board reached by the system's ssh client, which knows the user's keys, hosts and jumps."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shlex
import stat
import tempfile
from pathlib import Path

from ..errors import HwnasError
from .shell import NoHandshake, ScriptFailed, run_script
from .transport import BOARD, LINK_LOST, LinkLost

FOLDER = ".cache/hwnas"  # ours, in the home folder over there
EXPIRES_DAYS = 30
SLOWEST_LINK = 50_000  # bytes/s: below that sending a file counts as hung
SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
QUIET = ("-o", "RemoteCommand=none", "-o", "RequestTTY=no", "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no")


class Ssh:
    """A worker on a board. One connection is shared (ControlMaster); files are named by their content and sent once.

    host: `user@host` or a name of ~/.ssh/config; python: the interpreter there, `~/` is the home there; prefix: words before it.
    """

    gives_outputs = True

    def __init__(
        self,
        host: str,
        python: str = "python3",
        *,
        port: int | None = None,
        identity: str | None = None,
        config: str | None = None,
        prefix: tuple[str, ...] = (),
        patience_s: float = 180.0,
    ):
        self.host, self.python, self.prefix, self.patience_s = host, python, prefix, patience_s
        options = [*(("-F", _here(config)) if config else ()), *(("-i", _here(identity)) if identity else ())]
        options += ["-p", str(port)] if port else []
        name = hashlib.sha256("\0".join([host, *options]).encode()).hexdigest()[:12]
        socket = str(_private_folder() / name).replace("%", "%%")
        self._client = (*SSH, *QUIET, "-o", f"ControlPath={socket}", *options)
        self._folder = ""  # absolute, over there; empty while nothing is known about it
        self._there: set[str] = set()

    def __str__(self) -> str:
        return f"ssh {self.host}"

    def argv(self, device_module: Path) -> list[str]:
        self.connect()
        files = [*sorted(BOARD.glob("[a-z]*.py")), device_module]
        names = {("device.py" if file == device_module else file.name): self.send(file) for file in files}
        board = f"board-{hashlib.sha256(repr(sorted((k, Path(v).name) for k, v in names.items())).encode()).hexdigest()[:20]}"
        new = f"{board}.{secrets.token_hex(4)}"
        copies = " && ".join(f"cp {shlex.quote(there)} {new}/{name}" for name, there in names.items())
        command = " ".join([*map(shlex.quote, self.prefix), quote_home(self.python), f"{board}/worker.py", f"{board}/device.py"])
        script = (
            f"cd {shlex.quote(self._folder)} || exit; "
            f"[ -d {board} ] || {{ mkdir {new} && {copies} && mv {new} {board}; }} || exit; "
            # Not exec: a worker that a signal ends is 128 + its number here, while ssh would make 255 of it, as of a lost link.
            f"{command}; s=$?; [ $s -ne {LINK_LOST} ] || s=1; exit $s"
        )
        return [*self._client, "-o", "ControlMaster=no", "--", self.host, f"exec sh -c {shlex.quote(script)}"]

    def connect(self) -> None:
        """Makes our folder there and finds out what lies in it, whole: after a reboot it may be empty."""
        self._folder, self._there = "", set()
        out = self.run(
            f'umask 077; mkdir -p "$HOME/{FOLDER}/files" && cd "$HOME/{FOLDER}" && pwd && '
            f"{{ cd files && find . -type f -mtime +{EXPIRES_DAYS} -exec rm -f {{}} +; "
            '[ -z "$(ls)" ] || sha256sum *; } 2>/dev/null; true'
        )
        lines = out.decode("utf-8", "replace").splitlines()
        sums = [line.split() for line in lines[1:]]
        self._folder = lines[0]
        self._there = {words[1] for words in sums if len(words) == 2 and words[1].startswith(words[0][:20])}

    def send(self, file: Path) -> str:
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        suffix = file.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,16}", file.suffix) else ""
        name = digest[:20] + suffix
        if not self._folder:
            self.connect()
        if name not in self._there:
            # Under a name of its own until it is whole: a link may be lost in the middle.
            new = f".{name}.{secrets.token_hex(4)}"
            self.run(
                f"cd {shlex.quote(self._folder)}/files && cat > {new} || {{ rm -f {new}; exit 1; }}; "
                f"h=$(sha256sum < {new} 2>/dev/null) || h={digest}; "
                f'[ "$(wc -c < {new})" -eq {len(data)} ] && [ "${{h%% *}}" = {digest} ] && mv -f {new} {name} || '
                f'{{ rm -f {new}; echo "not the same file there as here" >&2; exit 1; }}',
                data,
                60 + len(data) / SLOWEST_LINK,
            )
            self._there.add(name)
        return f"{self._folder}/files/{name}"

    def fetch(self, name: str, file: Path) -> None:
        there = shlex.quote(name)
        file.write_bytes(self.run(f"cat {there} && rm -f {there}", limit_s=3600))

    def kill(self, pid: int) -> None:
        try:
            self.run(f"kill -9 {int(pid)}", limit_s=20)
        except (LinkLost, HwnasError):
            pass  # its own alarm ends it

    def run(self, script: str, data: bytes | None = None, limit_s: float = 60.0) -> bytes:
        """What a script prints there. Raises LinkLost if it could not be run to its end, HwnasError if it failed or ssh refuses."""
        client = [*self._client, "-o", "ControlMaster=auto", "-o", "ControlPersist=60", "--", self.host]
        try:
            return run_script(client, script, data, limit_s, login_shell=True)
        except ScriptFailed as failed:
            raise HwnasError(f"{self}: {failed}") from None
        except NoHandshake as lost:
            if refusal := _refusal(self.host, lost.words):
                raise HwnasError(f"{self}: {refusal}") from None
            raise LinkLost(f"{self}: {lost}") from None
        except FileNotFoundError:
            raise HwnasError("there is no ssh client here: install it (Debian: apt-get install openssh-client)") from None


def _refusal(host: str, words: str) -> str | None:
    """What a second try would not mend, in one line with the way out; None for a link that may come back."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in words:
        place = re.search(r"Offending \S+ key in (.+?):\d+", words)
        return (
            f"its host key is not the one in {place[1] if place else 'known_hosts'}: another machine answers, or the board was installed "
            "anew. If you know that it was, forget the old key with `ssh-keygen -R HOST`; nothing was sent"
        )
    if "Host key verification failed" in words:
        return f"its host key is not known here: run `ssh {shlex.quote(host)}` once, compare the fingerprint it shows and answer yes"
    if "Permission denied (" in words:
        return f"it refuses your key: run `ssh-copy-id {shlex.quote(host)}`, or name another with `identity` ({words.splitlines()[-1]})"
    for sign in ("Bad configuration option", "Can't open user config file", "bad permissions", "Bad port", "hostname contains invalid"):
        if sign.lower() in words.lower():
            return words.splitlines()[-1]
    return None


def quote_home(path: str) -> str:
    """A path quoted for a shell, with `~/` at its start as the home folder there."""
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def _here(path: str) -> str:
    """The absolute path of a file of this machine that must be there."""
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        raise HwnasError(f"ssh: there is no file {found}")
    return str(found)


def _private_folder() -> Path:
    """A folder that only this user can enter, with a name short enough for sockets (108 bytes with ssh's own suffix)."""
    base = os.environ.get("XDG_RUNTIME_DIR") or ""
    folder = Path(base if base.startswith("/") and len(base) < 50 and os.path.isdir(base) else "/tmp", f"hwnas-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="hwnas-", dir="/tmp"))
