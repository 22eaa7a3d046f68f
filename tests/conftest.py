"""What all tests share."""

import os
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported; as hwnas/cli does, and for the same reason

import pytest
import torch

# How this user reaches devices is no business of the tests: a folder that nothing makes.
os.environ["XDG_CONFIG_HOME"] = os.path.join(tempfile.gettempdir(), "hwnas-tests-without-configuration")

torch.set_num_threads(1)  # the networks here are small, and OpenMP threads that wait for a busy core can be 30 times slower


@pytest.hookimpl(optionalhook=True)  # without xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """`pytest -n 2`: file by file, and the command line's tests together, which share one run of the tiny experiment.

    (--dist loadgroup, which is made for this, scatters all tests since pytest 9.2: xdist 3.8 names groups in a field that is gone.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class FileByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/cli" if file.startswith("tests/cli/") else file

    return FileByFile(config, log)  # type: ignore[arg-type]
