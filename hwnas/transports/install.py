"""install: a virtualenv of its own for a device, made there, with numpy and the runtime in it."""

from __future__ import annotations

import shlex
import sys

from ..errors import HwnasError
from .reach import Reach
from .shell import NoHandshake, ScriptFailed, run_script
from .ssh import Ssh, quote_home

LIMIT_S = 3600.0  # a small board that compiles a wheel
VENVS = "~/.local/share/hwnas"


def pip_lines(name: str, reach: Reach, extra: str) -> tuple[str, str]:
    """(the line that makes the virtualenv, the line that installs the runtime in it), as a user would type them there.

    extra: the profiler's, `pip install PACKAGE ...`. Raises HwnasError where it is something else.
    """
    command, _, packages = extra.partition("pip install ")
    if command or not packages:
        raise HwnasError(f"the runtime of device {name!r} is not one pip installs ({extra or 'it does not say how'}): install it by hand")
    python = reach.python or ("python3" if reach.ssh else sys.executable)
    venv = f"{VENVS}/venv-{name}"
    packages = " ".join(shlex.quote(word) for word in ["numpy", *shlex.split(packages)])
    return f"{quote_home(python)} -m venv {quote_home(venv)}", f"{quote_home(venv + '/bin/python')} -m pip install {packages}"


def install(name: str, reach: Reach, extra: str) -> Reach:
    """Does what pip_lines says, over there for ssh, and returns the reach with that interpreter. Raises HwnasError with pip's words."""
    if reach.adb:
        raise HwnasError("--install: a phone has no Python: its device side is the benchmark_model that you supply")
    make, fill = pip_lines(name, reach, extra)
    python = f"{VENVS}/venv-{name}/bin/python"
    missing = "its Python cannot make virtualenvs: install python3-venv there (Debian, Raspberry Pi OS: sudo apt-get install python3-venv)"
    base = make.split(" -m venv ")[0]
    script = (
        f"if [ ! -x {quote_home(python)} ]; then {base} -c 'import ensurepip, venv' || {{ echo {shlex.quote(missing)} >&2; exit 1; }}; "
        f"{make} >&2 || exit; fi; {fill} --quiet --no-input --disable-pip-version-check >&2"
    )
    transport = reach.transport()
    if isinstance(transport, Ssh):
        transport.run(script, limit_s=LIMIT_S)
    else:
        try:
            run_script(["sh", "-c"], script, limit_s=LIMIT_S)
        except (ScriptFailed, NoHandshake) as failed:
            raise HwnasError(f"device {name!r}: {failed}") from None
    return reach.model_copy(update={"python": python})
