"""The verdict on a supernet, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping

from .rank import Rank

GOOD = 0.7  # Kendall; what published supernets reach at best on spaces of this kind
WIDE = 0.5  # of an interval: too few networks to conclude from


def verdict(ranks: Mapping[str, Rank], recalibration_gap: float, visit_ratio: float) -> list[str]:
    """Sentences, the most important first. ranks: of "inherited", "macs", "params" and, if measured, "ceiling".

    recalibration_gap: accuracy that recalibrating BatchNorm adds, in shares of 1; visit_ratio: most / least trained option.
    """
    inherited, sizes = ranks["inherited"], max(ranks["macs"].kendall, ranks["params"].kendall)
    low, high = inherited.kendall_interval
    words = []
    if not inherited.kendall == inherited.kendall:
        words.append("No order to compare: all accuracies are the same.")
    elif high - low > WIDE:
        words.append(f"Too few networks to conclude from ({inherited.n}): the interval is {low:.2f} to {high:.2f}.")
    elif inherited.kendall >= GOOD:
        words.append("Healthy: inherited accuracies rank architectures as training alone does.")
    elif low > 0:
        words.append("Usable: inherited accuracies say something, so retrain several of the best and choose among those.")
    else:
        words.append("Not to be trusted: the order of inherited accuracies may be chance. Train longer, or another way.")
    if sizes >= inherited.kendall:
        words.append("Counting operations or parameters ranks as well: the supernet adds nothing to that.")
    if (ceiling := ranks.get("ceiling")) is not None and inherited.kendall >= ceiling.kendall - 0.05:
        words.append("It agrees with one training as well as another training does: more is noise.")
    if recalibration_gap > 0.02:
        words.append(f"BatchNorm must be recalibrated before scoring: {recalibration_gap:.1%} is lost without.")
    if visit_ratio > 3:
        words.append(f"Options were trained unevenly: the most visited {visit_ratio:.1f} times as often as the least.")
    return words
