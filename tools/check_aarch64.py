"""Runs the worker and its runtimes under a real aarch64 userland, emulated, and compares their outputs with this machine's.

    python tools/check_aarch64.py FOLDER [--runtimes onnx tflite]

FOLDER keeps the userland (Debian's, 230 MB, by debootstrap) and the aarch64 wheels from PyPI (about 300 MB) for the next time. Needs
root for debootstrap, and `apt-get install qemu-user debootstrap`. Emulated times say nothing about a board; that every answer has the
right form, that the facts are those of an ARM machine and that outputs agree does.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from hwnas.block import Block
from hwnas.device import Device
from hwnas.measure import Job, Local, Plan, Worker
from hwnas.profiler import load_profiler

SUITE, PYTHON, MIRROR = "bookworm", "3.11", "http://deb.debian.org/debian"
CPUINFO = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
CPUINFO += "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
BLOCKS = (
    Block("mbconv", 16, 16, 14, 14, kernel=3, expand=4, act="relu"),
    Block("mbconv", 8, 16, 9, 9, stride=2, kernel=5, expand=3, se=4, act="hswish"),
    Block("stem", 3, 8, 12, 12, stride=2, kernel=3, act="hswish"),
    Block("head", 16, 10, 7, 7, expand=4, act="relu"),
)


def make_userland(folder: Path) -> Path:
    """debootstrap's first stage, with every package unpacked by hand: nothing of it is ever run as root."""
    root = folder / "root"
    if not (folder / "unpacked").exists():
        shutil.rmtree(root, ignore_errors=True)
        words = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", "--include=python3", SUITE, str(root), MIRROR]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, stdout=subprocess.PIPE).stdout
            subprocess.run(["tar", "-x", "-C", root, "--keep-directory-symlink"], check=True, input=tar)
        (folder / "unpacked").touch()
    if (root / "proc").is_symlink():
        (root / "proc").unlink()  # through it the runtimes would read this machine's cpuinfo, and crash
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(CPUINFO)
    return root


def install_wheels(root: Path, runtime: str) -> Path:
    """The runtime's and numpy's aarch64 wheels, in a folder beside the userland."""
    site = root.parent / f"site-{runtime}"
    if not site.exists():
        platforms = [f"--platform=manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_27", "_2_28", "_2_34")]
        packages = load_profiler(runtime).extra.removeprefix("pip install ").split()
        words = ["install", "--quiet", "--target", str(site), "--only-binary=:all:", f"--python-version={PYTHON}", *platforms]
        subprocess.run([sys.executable, "-m", "pip", *words, "numpy", *packages], check=True)
    return site


def check(runtime: str, root: Path) -> None:
    """Prints a line for each block; ends with an error where outputs disagree."""
    site, profiler, device = (
        install_wheels(root, runtime),
        load_profiler(runtime),
        Device(name=f"{runtime}-aarch64", runtime=runtime, pin="off"),
    )
    emulator = ("env", f"PYTHONPATH={site}", "qemu-aarch64", "-L", str(root), "-cpu", "cortex-a72")
    arm = Local(str(root / f"usr/bin/python{PYTHON}"), emulator)
    plan = Plan(min_repeat_s=0.0, repeats=3, warmup_s=0.0, rounds=1, time_limit_s=300.0)
    started = time.perf_counter()
    with Worker(device, profiler, arm) as there, Worker(device, profiler, Local()) as here:
        facts = there.facts()
        print(f"{runtime}: {facts['runtime']}, {facts['host']}, started in {time.perf_counter() - started:.0f} s", flush=True)
        for block in BLOCKS:
            job = Job.of(block)
            file = job.file(profiler, device, root.parent)
            sample = there.time(file, plan)
            if sample.error is not None:
                raise SystemExit(f"{runtime}: {block}: {sample.error}")
            x = np.random.default_rng(0).standard_normal((2, *job.shapes[0][1:]), dtype=np.float32)
            error = float(np.abs(there.predict(file, x) - here.predict(file, x)).max())
            print(f"  {block}: {len(sample.wall_ns)} repeats, largest difference of outputs {error:.1e}", flush=True)
            if error > 1e-4:
                raise SystemExit(f"{runtime}: {block}: outputs differ by {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runtimes", nargs="+", default=["onnx", "tflite"])
    given = parser.parse_args()
    root = make_userland(given.folder.absolute())
    for runtime in given.runtimes:
        check(runtime, root)


if __name__ == "__main__":
    main()
