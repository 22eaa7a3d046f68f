"""Plan: how long and how often a file is timed; one documented value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """The default suits blocks: 8 rounds of 3 repeats of at least 3 ms. `Plan.single_shot()` suits certificates of whole networks.

    A repeat is a loop of inferences between two readings of the clocks; it is long enough that reading them costs nothing.
    A round times every block once, in an order of its own, so that a drift of the machine does not land on one block. Rounds tell more
    than long repeats: on a busy machine, in the same time, blocks of 8 rounds of 3 ms repeated within 4.2 %, of 3 rounds of 10 ms within
    8.1 % (networks 3.2 and 7.3 %), because each round loads the file anew, at another place in memory and at another moment. With
    `Plan(target=0.01, limit_s=2)` noisy files are repeated more often than quiet ones, and each at least eight times.
    """

    min_repeat_s: float = 0.003  # 0: every inference is a repeat of its own
    repeats: int = 3  # at least so many, in each round
    min_total_s: float = 0.0  # and at least so much time in them
    warmup_s: float = 0.003  # untimed, before the first repeat
    rounds: int = 8
    target: float = 0.0  # go on until the 95 % interval of the median is within this share of it on either side; 0: do not look
    limit_s: float = 1.0  # but for no longer than this, in each round
    patience_s: float = 1.0  # to wait, at one time, until nobody slows the core; 0: do not look. See hwnas/board/calm.py
    time_limit_s: float = 60.0  # of one file in one round, loading included: then its worker is killed and the file has failed

    @staticmethod
    def single_shot(samples: int = 1024, total_s: float = 3.0, time_limit_s: float = 600.0) -> Plan:
        """Every inference is a sample: at least `samples` of them and at least total_s (MLPerf Mobile: 1,024 and 60 s)."""
        return Plan(
            min_repeat_s=0.0, repeats=samples, min_total_s=total_s, warmup_s=0.3, rounds=1, patience_s=5.0, time_limit_s=time_limit_s
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
