from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from tiny_spaces import SPACES

from hwnas.block import Block
from hwnas.report.parts import Part
from hwnas.report.picture import block_text, picture

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", SPACES)
def test_one_shape_for_each_block_all_inside_the_picture(name: str) -> None:
    space = SPACES[name]
    parts = [Part("slot", (b,), 1.0) for b in space.blocks_of(space.sample(1, np.random.default_rng(0))[0])]
    svg = ElementTree.fromstring(picture(parts, "d"))
    shapes = [e for e in svg.iter() if e.tag == "polygon"]
    assert len(shapes) == len(parts)
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    for shape in shapes:
        for x, y in (map(float, p.split(",")) for p in shape.get("points", "").split()):
            assert 0 <= x <= width and 0 <= y <= height


def test_more_channels_are_taller_and_names_are_text() -> None:
    narrow, wide = Block("conv", 8, 8, 8, 8, kernel=3), Block("conv", 64, 64, 8, 8, kernel=3)
    text = picture([Part("<script>alert(1)</script>", (narrow, wide), 1.0)], '"><b>')
    assert "<script>" not in text and "<b>" not in text
    tall = [e for e in ElementTree.fromstring(text).iter() if e.tag == "polygon"]
    spans = [np.ptp([float(p.split(",")[1]) for p in e.get("points", "").split()]) for e in tall]
    assert spans[0] < spans[1]


def test_words() -> None:
    block = Block("mbconv", 24, 40, 14, 14, 2, 5, 3, 4, act="relu")
    assert block_text(block) == "mbconv 5×5, expand 3, 24 → 40, stride 2, SE 1/4, relu, 14 px"
    assert block_text(Block("skip", 8, 8, 6, 4)) == "skip, 8 channels, 6×4 px"
