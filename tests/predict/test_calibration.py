"""hwnas/predict/calibration.py: whole networks correct sums of blocks, and say how far off they may be."""

import json
from fractions import Fraction

import numpy as np
import pytest
from latencies import OVERHEAD_MS, SPACE, block_ms, network_ms
from scipy.stats import binom

from hwnas.block import Block
from hwnas.cost import CostModel, Stream
from hwnas.errors import HwnasError
from hwnas.predict import Calibration, choose_networks
from hwnas.predict.calibration import DRIFT, conformal_margin
from hwnas.predict.correction import SPREADS, Features, activation_bytes, shares_of, spilling, weight_bytes

BLOCK_MS = {b: block_ms(b) for b in SPACE.blocks}


def some_networks(n, seed):
    rng = np.random.default_rng(seed)
    parts = [SPACE.blocks_of(z) for z in SPACE.sample(n, rng)]
    return parts, np.array([network_ms(blocks, rng) for blocks in parts])


def fit(n=30, seed=0):
    parts, measured = some_networks(n, seed)
    return Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS, SPACE.hash, "table"), parts, measured


def predict(calibration, parts):
    blocks = [calibration.correct(b, np.array([BLOCK_MS[x] for x in b])).sum() for b in parts]
    return (
        calibration.base_ms
        + np.array(blocks)
        + calibration.stream.ms(*(np.array([of(b) for b in parts]) for of in (weight_bytes, activation_bytes)))
    )


def test_corrected_blocks_and_base_sum_to_the_regression():
    calibration, parts, _ = fit()
    sums, names, groups = Features.of(parts, BLOCK_MS, OVERHEAD_MS)
    r = sum(
        groups[group] @ np.array([calibration.weights[name] for name in names[group]]) for group in SPREADS if group != "stream"
    ) + groups["stream"] @ (np.array(calibration.stream.ms_per_byte) / 1e-8)
    assert np.allclose(predict(calibration, parts), sums * (1 + r), rtol=1e-10)


def test_features_by_hand():
    """Two blocks of 8 and 4 px, 10 and 4 us alone, of which a call takes 1 us."""
    first, second = Block("mbconv", 4, 6, 8, 8, stride=2, kernel=5, expand=2, act="relu"), Block("mbconv", 6, 6, 4, 4, expand=1, kernel=3)
    sums, names, groups = Features.of([[first, second]], {first: 0.010, second: 0.004}, 0.001)
    assert sums == pytest.approx(0.009 + 0.003 + 0.001)
    found = {name: v * sums[0] for group in SPREADS if group != "stream" for name, v in zip(names[group], groups[group][0])}
    handed_ms = [0.4e-6 * 6 * 4 * 4, 0.4e-6 * 6 * 4 * 4]  # both hand on 6 channels of 4 x 4
    expected = {"level": 0.013, "calls": 0.002, "boundary": sum(handed_ms), "spills": 0.0, "op=mbconv": 0.012}
    expected |= {"kernel=5": 0.009, "kernel=3": 0.003, "size=8": 0.009, "size=4": 0.003, "residual=1": 0.003, "residual=0": 0.009}
    expected |= {"calls op=mbconv": 0.002, "calls kernel=5": 0.001, "calls residual=1": 0.001}
    expected |= {"calls size=8": 0.001, "calls size=4": 0.001, "boundary size=8": handed_ms[0], "boundary size=4": handed_ms[1]}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert not groups["stream"].any(), "their weights fit into the smallest cache"


@pytest.mark.parametrize("trait", ["se", "residual"])
def test_what_blocks_of_a_kind_cost_a_network_on_top_is_learned(trait):
    """Two calls more for each, however long the block itself takes."""
    parts, measured = some_networks(60, 0)
    more = measured + 2 * OVERHEAD_MS * np.array([sum(bool(getattr(b, trait)) for b in blocks) for blocks in parts])
    calibration = Calibration.fit(parts[:30], more[:30], BLOCK_MS, OVERHEAD_MS)
    plain = Calibration.fit(parts[:30], measured[:30], BLOCK_MS, OVERHEAD_MS)
    assert np.abs(predict(calibration, parts[30:]) / more[30:] - 1).mean() < 0.02
    name = {"se": "calls se=1", "residual": "calls residual=1"}[trait]
    assert calibration.weights[name] > plain.weights[name] + 0.2


def test_a_calibrated_network_is_one_gather_sum():
    calibration, parts, _ = fit()
    table = calibration.correct(SPACE.blocks, np.array(list(BLOCK_MS.values())))
    model = CostModel(
        SPACE,
        {"latency_ms": table},
        {"latency_ms": calibration.base_ms},
        stream=calibration.stream,
    )
    Z = SPACE.sample(30, np.random.default_rng(0))
    assert np.allclose(model.cost(Z, ["latency_ms"])[:, 0], predict(calibration, [SPACE.blocks_of(z) for z in Z]))
    assert np.isinf(calibration.correct(SPACE.blocks[:1], np.array([np.inf]))).all()


def test_networks_of_a_noisy_machine_are_not_taken_at_their_word():
    calibration, parts, measured = fit()
    noisy = measured * np.exp(np.random.default_rng(0).normal(0, 0.15, len(measured)))
    again = Calibration.fit(parts, noisy, BLOCK_MS, OVERHEAD_MS)
    assert again.margin > 0.1 > calibration.margin
    assert max(abs(w) for n, w in again.weights.items() if "=" in n and "size=" not in n) < 0.05


def test_one_network_that_was_measured_far_off_changes_little():
    calibration, parts, measured = fit()
    largest = measured.argmax()
    off = np.where(np.arange(len(measured)) == largest, 2 * measured, measured)
    again = Calibration.fit(parts, off, BLOCK_MS, OVERHEAD_MS)
    others = [p for i, p in enumerate(parts) if i != largest]
    assert np.abs(predict(again, others) / predict(calibration, others) - 1).mean() < 0.01
    assert again.held_out.worst == pytest.approx(0.5, abs=0.05), "but is reported"


def test_held_out_errors_are_of_fits_without_the_network():
    """Those of refits, but for the spreads, which were learned with it."""
    parts, measured = some_networks(24, 0)
    keys = [f"net({i})" for i in range(24)]
    calibration = Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS, keys=keys)
    left_out = np.array([p for _, p in calibration.networks.values()])
    refits = []
    for i in range(24):
        rest = [j for j in range(24) if j != i]
        refits.append(predict(Calibration.fit([parts[j] for j in rest], measured[rest], BLOCK_MS, OVERHEAD_MS), [parts[i]])[0])
    assert np.abs(left_out / np.array(refits) - 1).mean() < 0.004 < np.abs(left_out / measured - 1).mean()
    assert calibration.held_out.mape == pytest.approx(np.abs(left_out / measured - 1).mean())
    assert calibration.margin == pytest.approx(DRIFT + conformal_margin(left_out, measured))


def test_calibration_takes_a_known_distortion_away():
    calibration, *_ = fit(40)
    parts, measured = some_networks(100, 99)
    error = np.abs(predict(calibration, parts) / measured - 1)
    plain = np.abs(np.array([sum(BLOCK_MS[b] for b in p) for p in parts]) / measured - 1)
    assert np.median(error) < 0.012 < np.median(plain)
    assert calibration.held_out.median < 0.012 and calibration.plain.median == pytest.approx(np.median(plain), rel=0.5)


def test_the_margin_covers_what_was_not_fitted():
    covered = []
    for seed in range(60):
        calibration, *_ = fit(24, seed)
        parts, measured = some_networks(20, 1000 + seed)
        covered.extend(measured <= predict(calibration, parts) * (1 + calibration.margin - DRIFT))
    assert len(covered) == 1200 and np.mean(covered) >= 0.93
    assert np.mean(covered) < 0.995  # a bound, not a wall


@pytest.mark.parametrize("n", range(19, 101))
def test_the_conformal_rank_by_hand(n):
    """Measured / predicted - 1 is 1, 2, ... n percent: the margin is the rank itself."""
    order = np.random.default_rng(n).permutation(n) + 1
    rank = -(-(n + 1) * Fraction(95, 100) // 1)
    assert round(conformal_margin(np.ones(n), 1 + order / 100) * 100) == rank <= n


def test_the_conformal_bound_holds_for_exchangeable_errors():
    """Coverage of a rank r of n is r / (n + 1) on average, whatever the distribution."""
    rng = np.random.default_rng(0)
    errors = np.exp(rng.standard_t(3, (4000, 25)) * 0.02)
    covered = np.mean([e[-1] - 1 <= conformal_margin(np.ones(24), e[:-1]) for e in errors])
    assert 0.95 <= covered <= 24 / 25 + 3 * np.sqrt(0.04 * 0.96 / 4000)


def test_a_margin_is_never_negative():
    assert conformal_margin(np.full(20, 2.0), np.ones(20)) == 0


def test_too_few_networks():
    parts, measured = some_networks(18, 0)
    with pytest.raises(HwnasError, match="calibration: 18 networks are too few for a 95 % bound, at least 19"):
        Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS)
    assert binom.pmf(18, 18, 0.95) > 0.05 * 0.95  # 18 could all lie below the 95 % quantile too easily


def test_weights_that_do_not_fit_the_cache():
    """Beyond 40 kB of weights a network takes 0.3 us for each kB more: no sum over blocks says so, the knots do."""
    rng = np.random.default_rng(1)

    def some(n, seed):
        parts = [SPACE.blocks_of(z) for z in choose_networks(SPACE, n, seed)]
        own, more = np.array([network_ms(p, rng) for p in parts]), np.array([max(weight_bytes(p) - 40e3, 0) * 3e-7 for p in parts])
        return parts, own + more, more

    parts, measured, extra = some(40, 0)
    assert 8 < (extra > 0).sum() < 36 and (extra / measured).max() > 0.1
    calibration = Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS)
    parts, measured, extra = some(60, 5)
    error = np.abs(predict(calibration, parts) / measured - 1)
    assert error.mean() < 0.02, "1 % of it is noise"
    without = Calibration(**{**vars(calibration), "stream": Stream((), (), ())})
    assert np.abs(predict(without, parts) / measured - 1).mean() > 2 * error.mean()


def test_blocks_whose_activations_do_not_fit_the_cache_are_corrected_apart():
    """A network of blocks with over 2 MB of activations takes 1.5 times as long as they do alone, one of smaller blocks as long."""
    small, large = (Block("mbconv", 16, 16, size, size, kernel=3, expand=3, act="relu") for size in (56, 112))
    assert spilling(large) and not spilling(small) and "size=128" in shares_of(large)
    block_ms = {small: 0.1, large: 1.0}
    parts = [[small] * (1 + i % 5) + [large] * (i % 4) for i in range(40)]
    measured = np.array([sum(block_ms[b] * (1.5 if b == large else 1) for b in blocks) for blocks in parts])
    calibration = Calibration.fit(parts, measured, block_ms, 0.0)
    assert calibration.weights["spills"] == pytest.approx(0.5, abs=0.1) and calibration.held_out.mape < 0.01 < calibration.plain.mape


# ---- files --------------------------------------------------------------------------------------------------------------


def test_save_and_load_keep_other_spaces(tmp_path):
    path, (calibration, *_) = tmp_path / "onnx-cpu" / "calibration.json", fit()
    other = Calibration(**{**vars(calibration), "space_hash": "0" * 16, "margin": 0.5})
    calibration.save(path)
    other.save(path)
    assert Calibration.load(path, SPACE.hash) == calibration and Calibration.load(path, "0" * 16) == other


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda text: text[: len(text) // 2], "not a calibration file"),
        (lambda text: "", "not a calibration file"),
        (lambda text: "[1]", "not a calibration file"),
        (lambda text: "null", "not a calibration file"),
        (lambda text: '{"format": 4, "spaces": [1]}', "not a calibration file"),
        (lambda text: '{"format": 4}', "not a calibration file"),
        (lambda text: text.replace('"format": 4', '"format": 9'), "format 9, this hwnas reads format 4"),
        (lambda text: text.replace('"format": 4', '"format": 3'), "older hwnas (format 3, now 4): run `hwnas profile`"),
        (lambda text: text.replace(SPACE.hash, "f" * 16), f"no calibration for the space with hash {SPACE.hash}"),
        (lambda text: text.replace('"margin"', '"margarine"'), "damaged"),
        (lambda text: text.replace('"mape"', '"maple"'), "damaged"),
        (lambda text: json.dumps({"format": 4, "spaces": {SPACE.hash: 3}}), "damaged"),
    ],
)
def test_files_that_are_no_calibration(tmp_path, damage, reason):
    path, (calibration, *_) = tmp_path / "calibration.json", fit()
    calibration.save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(HwnasError) as error:
        Calibration.load(path, SPACE.hash)
    assert reason in str(error.value) and str(path) in str(error.value) and "profile" in str(error.value)


def test_a_missing_file_and_nothing_overwritten(tmp_path):
    path, (calibration, *_) = tmp_path / "calibration.json", fit()
    with pytest.raises(HwnasError, match="no calibration: run `hwnas profile`"):
        Calibration.load(path, SPACE.hash)
    path.write_text("precious")
    with pytest.raises(HwnasError, match="not a calibration file"):
        calibration.save(path)
    assert path.read_text() == "precious"


def test_an_older_hwnas_calibrations_give_way(tmp_path):
    path, (calibration, *_) = tmp_path / "calibration.json", fit()
    calibration.save(path)
    path.write_text(path.read_text().replace('"format": 4', '"format": 3').replace(SPACE.hash, "f" * 16))
    calibration.save(path)
    assert Calibration.load(path, SPACE.hash) == calibration


def test_networks_for_it_are_enough_by_default():
    codes = choose_networks(SPACE, 24, 0)
    parts = [SPACE.blocks_of(z) for z in codes]
    rng = np.random.default_rng(0)
    assert Calibration.fit(parts, np.array([network_ms(p, rng) for p in parts]), BLOCK_MS, OVERHEAD_MS).margin < 0.08
