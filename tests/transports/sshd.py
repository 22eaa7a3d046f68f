"""A real OpenSSH server on loopback, with keys, a home folder and a known_hosts of its own; nothing of the user's is touched."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
NEEDED = [name for name, found in (("sshd", SSHD), ("ssh", shutil.which("ssh")), ("ssh-keygen", shutil.which("ssh-keygen"))) if not found]
needs_sshd = pytest.mark.skipif(bool(NEEDED), reason=f"not here: {', '.join(NEEDED)} (Debian: apt-get install openssh-server)")

BANNER = """\
echo 'Welcome to the board!'; echo '{"id": 1, "wall_ns": [1]}'; echo 'Last login: yesterday' >&2
"""


@dataclass
class Board:
    """A user's account there: `host`, to be reached with the ssh configuration `config`; its home folder has odd characters."""

    host: str
    port: int
    config: Path
    home: Path
    folder: Path
    server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SSHD
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # where root's sshd wants to lock its children up
        self.server = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", self.folder / "sshd_config"], stderr=open(self.folder / "sshd.log", "ab"), stdin=subprocess.DEVNULL
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.server.poll() is None, (self.folder / "sshd.log").read_text()
                time.sleep(0.02)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """As if the board lost its power: server and connections are killed."""
        assert self.server
        sessions = self.sessions()
        self.server.kill()
        self.server.wait()
        for pid in sessions:
            _kill(pid)

    def cut(self) -> int:
        """Kills the connections there are, as a lost link does; returns how many."""
        sessions = self.sessions()
        for pid in sessions:
            _kill(pid)
        return len(sessions)

    def sessions(self) -> list[int]:
        """Process ids of the server's children: one for each connection."""
        assert self.server
        return [pid for pid, parent in _parents().items() if parent == self.server.pid]

    def sent(self) -> dict[str, int]:
        """Name -> time of change of all files in our folder there."""
        files = self.home / ".cache/hwnas/files"
        return {p.name: p.stat().st_mtime_ns for p in files.iterdir()} if files.exists() else {}


def make_board(folder: Path, profile: str = "") -> Board:
    """Keys, configurations, an empty home; profile: shell text that runs before every command."""
    home = folder / "a home with 'quotes' & spaces"
    home.mkdir(parents=True)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")
    (home / ".bashrc").write_text(profile)  # bash reads it for every command of ssh's, too, where it is the login shell
    (folder / "force.sh").write_text(f'{profile}\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    (folder / "sshd_config").write_text(
        f"""
        Port {port}
        ListenAddress 127.0.0.1
        HostKey {folder / "host_key"}
        AuthorizedKeysFile {folder / "authorized_keys"}
        PidFile none
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        PermitRootLogin yes
        SetEnv "HOME={home}"
        {"ForceCommand sh " + str(folder / "force.sh") if profile else ""}
        """
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    (folder / "ssh_config").write_text(
        f"""
        Host board
            HostName 127.0.0.1
            Port {port}
            User {user}
            IdentityFile {folder / "user_key"}
            IdentitiesOnly yes
            UserKnownHostsFile {folder / "known_hosts"}
            StrictHostKeyChecking yes
        """
    )
    return Board("board", port, folder / "ssh_config", home, folder)


def _parents() -> dict[int, int]:
    """Process id -> that of its parent, by /proc."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass  # it has ended meanwhile
    return found


def _kill(pid: int) -> None:
    parents = _parents()
    for child in [p for p, parent in parents.items() if parent == pid]:
        if b"sshd" in Path(f"/proc/{child}/cmdline").read_bytes():
            _kill(child)  # the unprivileged half holds the socket, too
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
