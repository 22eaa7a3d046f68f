"""hwnas/plugins.py, hwnas/errors.py: names to objects, through one door."""

import sys

import pytest

from hwnas.errors import HwnasError, did_you_mean
from hwnas.plugins import DATA, SPACES, installed, load
from hwnas.spaces import mobilenet


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(name, code, entry points) puts an installed package on the path, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, code, points):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)

    yield make
    for name in [n for n in sys.modules if n.startswith("third_party")]:
        del sys.modules[name]


def test_built_in_names():
    assert {"mobilenet", "quickstart", "darts", "nasbench201"} <= set(installed(SPACES)) and list(installed(SPACES)) == sorted(
        installed(SPACES)
    )
    assert load(SPACES, "mobilenet") is mobilenet
    with pytest.raises(HwnasError, match="unknown space 'mobilnet': did you mean 'mobilenet'.*known are .*file.py:function"):
        load(SPACES, "mobilnet")
    with pytest.raises(HwnasError, match="unknown data 'cifar'"):
        load(DATA, "cifar")


def test_a_third_party_needs_an_entry_point_and_nothing_of_ours(package):
    package("third_party", "def space(): return 'mine'", "[hwnas.spaces]\nmine = third_party:space\n")
    assert "mine" in installed(SPACES) and "third_party" not in sys.modules  # listing imports nothing
    assert load(SPACES, "mine")() == "mine"


def test_plugins_that_cannot_be_loaded(package):
    points = "[hwnas.spaces]\nmissing = third_party_b:space\nneeds = third_party_c:space\n"
    package("third_party_b", "", points)
    package("third_party_c", "import no_such_module_at_all", "")
    with pytest.raises(HwnasError, match="space 'missing' cannot be imported.*'space'"):
        load(SPACES, "missing")
    with pytest.raises(HwnasError, match="space 'needs' cannot be imported: No module named 'no_such_module_at_all'"):
        load(SPACES, "needs")


def test_one_name_from_two_packages_is_an_error(package):
    package("third_party_d", "", "[hwnas.spaces]\ndarts = third_party_d:space\n")
    with pytest.raises(HwnasError, match="'darts' is provided twice, by .*third_party_d:space.*uninstall one"):
        installed(SPACES)


def test_a_function_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def one():\n    return 1\n\nnumber = 2\n")
    assert load(SPACES, f"{file}:one")() == 1
    with pytest.raises(HwnasError, match="unknown function in mine.py 'on': did you mean 'one'"):
        load(SPACES, f"{file}:on")
    with pytest.raises(HwnasError, match="unknown function in mine.py 'number'"):
        load(SPACES, f"{file}:number")
    with pytest.raises(HwnasError, match="there is no file .*other.py"):
        load(SPACES, f"{tmp_path}/other.py:one")


@pytest.mark.parametrize(
    "code, reason", [("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError"), ("import nowhere_at_all", "nowhere_at_all")]
)
def test_a_file_that_fails_says_why_and_can_be_mended(tmp_path, code, reason):
    file = tmp_path / "broken.py"
    file.write_text(code)
    with pytest.raises(HwnasError, match=f"broken.py fails with .*{reason}"):
        load(SPACES, f"{file}:space")
    file.write_text("def space():\n    return 'mended, and longer than it was'\n")
    assert load(SPACES, f"{file}:space")().startswith("mended")


def test_did_you_mean():
    assert str(did_you_mean("device", "cpux", ["cpu", "gpu"], "See `hwnas devices`.")) == (
        "unknown device 'cpux': did you mean 'cpu'? known are cpu, gpu. See `hwnas devices`."
    )
    assert str(did_you_mean("op", 3, [])) == "unknown op '3': known are none."
