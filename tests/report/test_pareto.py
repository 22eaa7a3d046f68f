from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwnas.report.pareto import pareto_front


def test_by_hand() -> None:
    cost = np.array([3.0, 1.0, 2.0, 2.0, 4.0, np.inf, 1.5])
    accuracy = np.array([0.8, 0.5, 0.7, 0.9, 0.9, 1.0, np.nan])
    assert pareto_front(cost, accuracy).tolist() == [1, 3]  # 3 costs 2.0 and has 0.9; nothing dearer has more but what cannot run


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40))
def test_no_point_of_the_front_is_beaten_and_every_other_is(points: list[tuple[int, int]]) -> None:
    cost, accuracy = np.array(points, float).reshape(-1, 2).T
    front = set(pareto_front(cost, accuracy).tolist())

    def beaten(i: int) -> bool:
        return any(c <= points[i][0] and a >= points[i][1] and (c, a) != points[i] for c, a in points)

    assert not any(beaten(i) for i in front)
    assert {points[i] for i in range(len(points)) if not beaten(i)} == {points[i] for i in front}
    assert len({points[i] for i in front}) == len(front)  # of equals one
