"""What all tests share."""

import os
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported; as hwnas/cli does, and for the same reason

import pytest
import torch

# How this user reaches devices is no business of the tests: a folder that nothing makes.
os.environ["XDG_CONFIG_HOME"] = os.path.join(tempfile.gettempdir(), "hwnas-tests-without-configuration")

torch.set_num_threads(1)  # the networks here are small, and OpenMP threads that wait for a busy core can be 30 times slower


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the suite (`pytest -n 2 --dist loadgroup`) file by file; what needs the command line's one run stays together."""
    together = {item.path for item in items if "workplace" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("workplace" if item.path in together else str(item.path)))
