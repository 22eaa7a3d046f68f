"""hwnas/block.py: a block and its key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.block import Block
from hwnas.errors import HwnasError

COUNT = st.integers(0, 10**6)
NAME = st.text(min_size=1, max_size=12)
BLOCKS = st.builds(
    Block, NAME, COUNT, COUNT, COUNT, COUNT, stride=COUNT, kernel=COUNT, expand=COUNT, se=COUNT, inputs=COUNT, act=st.text(max_size=12)
)


@settings(deadline=None, max_examples=300)
@given(BLOCKS)
def test_a_key_is_read_back_as_the_same_block(block):
    assert Block.parse(str(block)) == block


@settings(deadline=None, max_examples=200)
@given(BLOCKS, BLOCKS)
def test_keys_are_equal_where_blocks_are(a, b):
    assert (str(a) == str(b)) == (a == b) == (hash(a) == hash(b))


@pytest.mark.parametrize(
    "block, key",
    [
        (Block("conv", 3, 16, 32, 32), "conv(3,16,32)"),
        (Block("conv", 3, 16, 32, 64, kernel=3, act="relu"), "conv(3,16,32x64,kernel=3,act=relu)"),
        (
            Block("mbconv", 16, 24, 28, 28, 2, 5, 6, 4, act="hswish"),
            "mbconv(16,24,28,stride=2,kernel=5,expand=6,se=4,act=hswish)",
        ),
        (Block("a(b),c=d/é x", 1, 1, 1, 1, act="1,=)%"), "a%28b%29%2Cc%3Dd%2F%C3%A9%20x(1,1,1,act=1%2C%3D%29%25)"),
    ],
)
def test_keys_as_they_lie_in_tables(block, key):
    assert str(block) == key and Block.parse(key) == block


@pytest.mark.parametrize(
    "key, reason",
    [
        ("", "expected op"),
        ("conv", "expected op"),
        ("conv(3,16)", "expected op"),
        ("(3,16,32)", "expected op"),
        ("conv(3,16,32))", "expected op"),
        ("conv(3,16,32)\n", "expected op"),
        ("conv(3,sixteen,32)", "sixteen"),
        ("conv(3,16,32xx3)", "x3"),
        ("conv(3,16,32,kernel=three)", "three"),
        ("conv(3,16,32,kernel=)", "invalid literal"),
        ("conv(3,16,32,kernle=3)", "'kernle' is unknown"),
        ("conv(3,16,32,cin=3)", "'cin' is unknown"),
        ("conv(3,16,32,kernel=3,kernel=3)", "'kernel' is unknown or repeated"),
        ("conv(3,16,32,)", "'' is unknown"),
        ("conv(3,16,32x32)", "write 'conv(3,16,32)'"),
        ("conv(3,16,32x)", "write 'conv(3,16,32)'"),
        ("conv(3,16,32,kernel=1)", "write 'conv(3,16,32)'"),
        ("conv(3,16,32,kernel=3,stride=2)", "write 'conv(3,16,32,stride=2,kernel=3)'"),
        ("conv(3, 16,32)", "write 'conv(3,16,32)'"),
        ("conv(03,16,32)", "write 'conv(3,16,32)'"),
        ("conv(3,16,32,act=a b)", "write 'conv(3,16,32,act=a%20b)'"),
    ],
)
def test_a_key_that_is_none_is_quoted_with_its_fault(key, reason):
    with pytest.raises(HwnasError) as error:
        Block.parse(key)
    assert repr(key) in str(error.value) and reason in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=30) | st.from_regex(r"[a-z]+\([0-9x,a-z=%]*\)", fullmatch=True))
def test_any_other_text_is_a_block_or_one_clear_error(text):
    try:
        assert str(Block.parse(text)) == text
    except HwnasError as error:
        assert repr(text) in str(error)


@pytest.mark.parametrize(
    "block, size", [(Block("c", 1, 1, 7, 8, 2), (4, 4)), (Block("c", 1, 1, 9, 3), (9, 3)), (Block("c", 1, 1, 1, 1, 2), (1, 1))]
)
def test_sizes_are_rounded_up(block, size):
    assert block.out_size == size


def test_a_residual_needs_one_shape():
    assert Block("c", 4, 4, 8, 8).residual
    assert not Block("c", 4, 5, 8, 8).residual and not Block("c", 4, 4, 8, 8, stride=2).residual


def test_the_hull_holds_the_weights_of_all():
    blocks = [
        Block("mbconv", 8, 24, 7, 9, kernel=5, expand=1, se=0),
        Block("mbconv", 16, 8, 9, 7, kernel=3, expand=6, se=8),
        Block("mbconv", 12, 12, 3, 3, kernel=1, expand=3, se=4),
    ]
    assert Block.hull(blocks) == Block("mbconv", 16, 24, 9, 9, kernel=5, expand=6, se=4)  # ratio 4 has the most squeezed channels
    assert Block.hull(blocks[:1]) == blocks[0]
