"""hwnas/board/calm.py, and what clock.measure makes of it: repeats beside a neighbour are marked, waited out, and not for ever."""

from hwnas.board import clock
from hwnas.board.calm import Calm
from hwnas.measure import Plan, Sample
from hwnas.sample import SLOWED

BEST_NS, SLOW_NS = 40_000, 64_000


class Core(Calm):
    """A core whose neighbour works as the script says: at each look the next of (True: busy), the last for ever."""

    def __init__(self, *busy):
        self.busy, self.looks = list(busy), 0
        self._born, self._waited_s, self._hopeless, self.best_ns = -1e9, 0.0, False, BEST_NS

    def _reference_ns(self):
        self.looks += 1
        return SLOW_NS if (self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]) else BEST_NS


def measured(core, **plan):
    plan = Plan(**{"min_repeat_s": 0.0, "warmup_s": 0.0, "repeats": 2, **plan})
    return clock.measure(lambda loops: (loops * 4_000_000, loops * 4_000_000), plan.to_dict(), calm=core)


def sample(core, **plan):
    return Sample.from_dict(measured(core, **plan))


def test_a_real_core_knows_its_best_and_is_rarely_far_from_it():
    core = Calm()
    looks = [core.look() for _ in range(200)]
    assert core.best_ns <= min(looks) and not core.is_slow(core.best_ns) and core.is_slow(2 * core.best_ns)
    assert core.slowed == SLOWED, "device and host judge alike"
    core.learn(1000)
    core.learn(None)
    core.learn(10**9)
    assert core.best_ns == 1000


def test_no_more_than_half_a_life_is_waited():
    core = Calm()
    core.best_ns = 1  # it is slow for ever
    assert core.is_slow(core.wait(1e9)), "it ended"
    core.spent(3600.0)
    assert not core.patient
    core._born -= 3 * 3600
    assert core.patient


def test_what_was_hopeless_is_tried_again_when_a_calm_moment_is_seen():
    core = Core(True, True, False, True)
    assert core.is_slow(core.wait(0.0)) and not core.patient and core.looks == 2
    core.look()
    assert core.patient


def test_on_a_calm_core_the_plan_is_kept_to_the_letter():
    found = sample(Core(False))
    assert len(found.wall_ns) == 2 and found.slowed.tolist() == [False, False] and found.best_ns == BEST_NS


def test_a_repeat_begins_on_a_calm_core():
    core = Core(True, True, True, False)
    assert sample(core).slowed.tolist() == [False, False] and core.looks >= 3 + 4


def test_a_repeat_that_a_neighbour_came_into_is_marked_and_another_timed():
    found = sample(Core(False, True, False))  # calm before the first repeat, busy after it, then calm
    assert found.slowed.tolist() == [True, False, False] and found.reference_ns == (SLOW_NS, BEST_NS, BEST_NS)


def test_nobody_waits_for_ever():
    core = Core(True)
    found = sample(core, patience_s=0.01)
    assert found.slowed.all() and len(found.wall_ns) == 2 and core.looks > 4


def test_short_repeats_share_their_looks():
    core = Core(False)
    plan = Plan(min_repeat_s=0.0, warmup_s=0.0, repeats=900).to_dict()
    found = Sample.from_dict(clock.measure(lambda loops: (10_000, 10_000), plan, calm=core))
    assert len(found.wall_ns) == len(found.reference_ns) == 900 and core.looks == 6, "two for each 3 ms"


def test_counters_do_not_count_the_waiting():
    core, count = Core(True, True, False, True, False), {"instructions": 0.0}
    original = core._reference_ns

    def look():
        count["instructions"] += 1e9
        return original()

    def run(loops):
        count["instructions"] += 7 * loops
        return loops * 4_000_000, None

    core._reference_ns = look
    plan = Plan(min_repeat_s=0.0, warmup_s=0.0, repeats=3).to_dict()
    assert clock.measure(run, plan, lambda: dict(count), core)["instructions"] == 7


def test_a_best_found_later_shows_what_had_looked_calm():
    early = Sample((100,), (100,), reference_ns=(SLOW_NS,), best_ns=SLOW_NS)
    assert not early.slowed.any() and early.against(BEST_NS).slowed.all() and early.against(None) is early
    plain = Sample((100,), (100,))
    assert plain.against(BEST_NS) is plain and not plain.slowed.any()
