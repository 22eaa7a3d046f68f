"""BySpace: the files beside a table, each with something for every space; what is damaged is named, whoever reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import HwnasError
from hwnas.predict.by_space import BySpace, OlderFormat

KIND = BySpace("a toy file", 3, "play again")


@given(st.dictionaries(st.text(min_size=1), st.dictionaries(st.text(), st.integers() | st.text()), max_size=3), st.text(min_size=1))
def test_adding_a_space_keeps_the_others(tmp_path_factory, spaces, name):
    path = tmp_path_factory.mktemp("space") / "toy.json"
    KIND.write(path, spaces)
    KIND.add(path, name, {"table_fingerprint": "ab"})
    assert KIND.read(path) == spaces | {name: {"table_fingerprint": "ab"}}
    assert KIND.fields(path, name) == {"table_fingerprint": "ab"} and KIND.digests(path)[name] == "ab"


def test_no_file_holds_nothing(tmp_path):
    assert KIND.read(tmp_path / "toy.json") == {} and KIND.fields(tmp_path / "toy.json", "ab") is None


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "not a toy file"),
        ('{"format": 3, "spaces": {"ab": {', "not a toy file"),
        ('{"format": 3}', "not a toy file"),
        ('{"format": 3, "spaces": {"ab": 3}}', "damaged"),
        ('{"format": 3, "spaces": {"ab": null}}', "damaged"),
        ('{"format": 4, "spaces": {}}', "format 4, this hwnas reads format 3"),
        ('{"format": "three", "spaces": {}}', "format three, this hwnas reads format 3"),
    ],
)
def test_another_thing_is_refused_and_stays(tmp_path, text, reason):
    path = tmp_path / "toy.json"
    path.write_text(text)
    for use in (KIND.read, KIND.digests, lambda p: KIND.add(p, "cd", {})):
        with pytest.raises(HwnasError) as error:
            use(path)
        assert reason in str(error.value) and str(path) in str(error.value) and "play again" in str(error.value)
    assert path.read_text() == text


def test_an_older_hwnas_gives_way(tmp_path):
    path = tmp_path / "toy.json"
    path.write_text('{"format": 2, "spaces": {"ab": {}}}')
    with pytest.raises(OlderFormat, match="made by an older hwnas"):
        KIND.read(path)
    KIND.add(path, "cd", {"x": 1})
    assert json.loads(path.read_text()) == {"format": 3, "spaces": {"cd": {"x": 1}}}
