"""read_stamped: what a step has left is read where it was made from the same, and whatever else lies there is made anew."""

import pytest

from hwnas.steps.run_folder import read_stamped, stamp, write_json

MARK = stamp("space", [0, 1], {"a": 1})


def test_what_was_made_from_the_same_is_read(tmp_path):
    write_json(tmp_path / "x.json", {"stamp": MARK, "value": 3})
    assert read_stamped(tmp_path / "x.json", stamp("space", (0, 1), {"a": 1})) == {"stamp": MARK, "value": 3}
    assert read_stamped(tmp_path / "x.json", stamp("space", [0, 1], {"a": 2})) is None


@pytest.mark.parametrize("text", ["", f'{{"stamp": "{MARK}", "val', "[1]", "null", "{}", '{"stamp": null}'])
def test_what_is_torn_or_another_thing_is_none(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert read_stamped(tmp_path / "x.json", MARK) is None


def test_a_missing_file_is_none(tmp_path):
    assert read_stamped(tmp_path / "x.json", MARK) is None
