"""Recipe: what it refuses, and the learning rate."""

import pytest

from hwnas.errors import HwnasError
from hwnas.train import Recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "unknown recipe field 'epoch': did you mean 'epochs'"),
        ({"epochs": "3"}, "recipe.epochs: '3' is of type str, expected int"),
        ({"epochs": True}, "of type bool"),
        ({"lr": -1.0}, "lr -1.0 must be above 0"),
        ({"lr": float("nan")}, "lr nan must be above 0"),
        ({"epochs": 0}, "recipe.epochs: 0 is too small, at least 1"),
        ({"warmup": 2.0}, "recipe.warmup: 2.0 is not between 0 and 1"),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"decay": "cos"}, "unknown recipe.decay"),
        ({"mirror": 1}, "recipe.mirror"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(HwnasError, match=message):
        Recipe.parse(settings)


def test_settings_of_a_file() -> None:
    assert Recipe.parse({"lr": 1, "mirror": False, "epochs": 2}) == Recipe(lr=1, mirror=False, epochs=2)
    assert "threads" not in Recipe().learned() and Recipe().learned()["epochs"] == 10


@pytest.mark.parametrize(("decay", "middle"), [("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)])
def test_learning_rate(decay: str, middle: float) -> None:
    recipe = Recipe(lr=2.0, warmup=0.2)
    rates = [recipe.rate(k, 100, decay) for k in range(100)]
    assert rates[0] == 0.1 and rates[19] == rates[20] == 2.0
    assert rates[60] == pytest.approx(2.0 * middle)
    assert decay == "constant" or rates[99] < 0.05
