"""A stand-in of the daemon on a phone: speaks adb's protocol to the real adb client, over TCP on loopback, without authentication.

    python phone_daemon.py PORT ROOT [--old]

ROOT is the phone's file system: `/data/local/tmp` in a command or a path means ROOT/data/local/tmp, and ROOT/bin comes first among
programs. --old: as before Android 7, a shell is a terminal (CR LF, one stream) and tells no exit status.
Protocol: packages/modules/adb/protocol.txt, SYNC.TXT and shell_protocol.h of the Android sources.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from pathlib import Path

VERSION, MAX_DATA, TMP = 0x01000001, 256 * 1024, "/data/local/tmp"
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)


class Stream:
    """One opened service: what arrives is read by name or by count, what is sent waits for the other end's OKAY."""

    def __init__(self, link: Link, mine: int, theirs: int):
        self.link, self.mine, self.theirs = link, mine, theirs
        self.reader = asyncio.StreamReader()
        self.okay = asyncio.Event()
        self.open = True

    async def write(self, data: bytes) -> None:
        for i in range(0, len(data), self.link.max_data):
            if not self.open:
                raise ConnectionError
            self.okay.clear()
            await self.link.send(b"WRTE", self.mine, self.theirs, data[i : i + self.link.max_data])
            await self.okay.wait()

    def end(self) -> None:
        self.open = False
        self.reader.feed_eof()
        self.okay.set()


class Link:
    """The connection of one adb server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, root: Path, old: bool):
        self.reader, self.writer, self.root, self.old = reader, writer, root, old
        self.streams: dict[int, Stream] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.max_data = 4096

    async def send(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        word = int.from_bytes(command, "little")
        self.writer.write(struct.pack("<6I", word, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, word ^ 0xFFFFFFFF) + data)
        await self.writer.drain()

    async def serve(self) -> None:
        try:
            while True:
                word, arg0, arg1, size, _, _ = struct.unpack("<6I", await self.reader.readexactly(24))
                await self.answer(word.to_bytes(4, "little"), arg0, arg1, await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in self.streams.values():
                stream.end()
            self.writer.close()

    async def answer(self, command: bytes, arg0: int, arg1: int, data: bytes) -> None:
        stream = self.streams.get(arg1)
        if command == b"CNXN":
            self.max_data = min(arg1, MAX_DATA)
            features = "cmd" if self.old else "shell_v2,cmd,stat_v2,ls_v2"
            banner = f"device::ro.product.name=standin;ro.product.model=standin;ro.product.device=standin;features={features}"
            await self.send(b"CNXN", VERSION, MAX_DATA, banner.encode())
        elif command == b"OPEN":
            stream = Stream(self, len(self.streams) + 1, arg0)
            self.streams[stream.mine] = stream
            await self.send(b"OKAY", stream.mine, arg0)
            task = asyncio.create_task(self.service(stream, data.rstrip(b"\0").decode()))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif stream and command == b"OKAY":
            stream.okay.set()
        elif stream and stream.open and command == b"WRTE":
            stream.reader.feed_data(data)
            await self.send(b"OKAY", stream.mine, stream.theirs)
        elif stream and command == b"CLSE" and stream.open:
            stream.end()
            await self.send(b"CLSE", stream.mine, stream.theirs)

    async def service(self, stream: Stream, name: str) -> None:
        kind, _, command = name.partition(":")
        try:
            if kind == "sync":
                await self.sync(stream)
            elif kind.split(",")[0] in ("shell", "exec"):
                await self.shell(stream, command, "v2" in kind.split(","))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if stream.open:
                stream.end()
                await self.send(b"CLSE", stream.mine, stream.theirs)

    async def shell(self, stream: Stream, command: str, v2: bool) -> None:
        env = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", self.here(command), stdin=pipe, stdout=pipe, stderr=pipe if v2 else asyncio.subprocess.STDOUT,
            cwd=self.root, env=env, start_new_session=True,
        )  # fmt: skip
        one_at_a_time = asyncio.Lock()

        async def forward(source: asyncio.StreamReader | None, kind: int) -> None:
            while source and (data := await source.read(65536)):
                async with one_at_a_time:
                    await stream.write(struct.pack("<BI", kind, len(data)) + data if v2 else data.replace(b"\n", b"\r\n"))

        async def until_closed() -> None:
            while v2 and (kind := await stream.reader.readexactly(5))[0] != CLOSE_STDIN:
                data = await stream.reader.readexactly(struct.unpack("<xI", kind)[0])
                if process.stdin and data:
                    process.stdin.write(data)
            if process.stdin:
                process.stdin.close()
            await stream.reader.read()

        async def hang_up() -> None:
            try:
                await until_closed()
            except asyncio.IncompleteReadError:
                pass
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGHUP)  # as adbd does when the host goes away

        watching = asyncio.create_task(hang_up())
        await asyncio.gather(forward(process.stdout, STDOUT), forward(process.stderr if v2 else None, STDERR))
        status = await process.wait()
        watching.cancel()
        if v2:
            await stream.write(struct.pack("<BIB", EXIT, 1, status if status >= 0 else 128 - status))

    async def sync(self, stream: Stream) -> None:
        while True:
            what, size = struct.unpack("<4sI", await stream.reader.readexactly(8))
            if what == b"QUIT":
                return
            name = (await stream.reader.readexactly(size)).decode()
            if what == b"STAT":
                await stream.write(struct.pack("<4sIII", what, *self.stat(name)))
            elif what in (b"STA2", b"LST2"):
                mode, length, changed = self.stat(name)
                found = struct.pack("<IQQIIIIQqqq", 0 if mode else 2, 0, 0, mode, 1, 0, 0, length, changed, changed, changed)
                await stream.write(what + found)
            elif what == b"SEND":
                await self.receive(stream, name)
            else:
                reason = b"the stand-in does not do that"
                await stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason)

    async def receive(self, stream: Stream, name: str) -> None:
        path, _, mode = name.rpartition(",")
        with open(self.here(path), "wb") as file:
            while True:
                kind, size = struct.unpack("<4sI", await stream.reader.readexactly(8))
                if kind == b"DONE":
                    break
                file.write(await stream.reader.readexactly(size))
        os.chmod(file.name, int(mode) & 0o777)
        await stream.write(b"OKAY" + bytes(4))

    def stat(self, name: str) -> tuple[int, int, int]:
        try:
            found = os.stat(self.here(name))
        except FileNotFoundError:
            return 0, 0, 0
        return found.st_mode, found.st_size, int(found.st_mtime)

    def here(self, text: str) -> str:
        return text.replace(TMP, f"{self.root}{TMP}")


async def main(port: int, root: Path, old: bool) -> None:
    root.joinpath(TMP[1:]).mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_server(lambda r, w: Link(r, w, root, old).serve(), "127.0.0.1", port)
    print("listening", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), "--old" in sys.argv))
