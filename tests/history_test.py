"""Histories of what clients see of rows: reads and writes by key, `If-Match`, `Idempotency-Key` and reads of what a caller has written, at two
instances on one PostgreSQL primary with a standby whose replay pauses, while instances and the primary are killed. `history.py` judges them.

    PLIMSOLL_TORTURE=1 PLIMSOLL_OPERATIONS=100000 python3 tests/history_test.py Histories
"""
import collections
import http.client
import itertools
import json
import os
import random
import sys
import threading
import time
import unittest

import harness
import history
import tokens
from history import ABSENT, EVER, OPEN, Delete, Exchange, Read, Refused, Swap, Violation, Write, session_read
from replicas_test import ReplicaTest

TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
OPERATIONS = int(os.environ.get("PLIMSOLL_OPERATIONS", "1000000" if TORTURE else "600"))
SECONDS = float(os.environ.get("PLIMSOLL_SECONDS", "7200"))  # after which no further round of histories begins
CLIENTS = 8


class Checker(unittest.TestCase):
    """The checker itself, on histories written by hand and against every order there is."""

    def good(self, *operations, initial=ABSENT):
        history.check(operations, initial)

    def bad(self, what, *operations, initial=ABSENT):
        with self.assertRaises(Violation) as found:
            history.check(operations, initial)
        self.assertEqual(found.exception.what, what, found.exception)

    def test_reads_show_the_newest_value_or_one_that_is_being_written(self):
        self.good(Write("a", 0, 1), Read("a", 2, 3), Write("b", 4, 8), Read("a", 5, 6), Read("b", 6.5, 7), Read("b", 9, 10))
        self.bad("stale read", Write("a", 0, 1), Write("b", 2, 3), Read("a", 4, 5))
        self.bad("stale read", Write("a", 0, 1), Write("b", 2, 6), Read("b", 3, 4), Read("a", 5, 6), Read("b", 7, 8))
        self.bad("stale read", Write("a", 0, 1), Read(ABSENT, 2, 3))

    def test_an_update_must_not_be_lost(self):
        self.good(Write("a", 0, 1), Swap("a", "b", 2, 5), Refused("a", "c", 2, 5), Read("b", 6, 7))
        self.bad("not linearizable", Write("a", 0, 1), Swap("a", "b", 2, 5), Swap("a", "c", 2, 5))
        self.bad("not linearizable", Write("a", 0, 1), Swap("a", "b", 2, 3), Write("c", 4, 5), Swap("b", "d", 6, 7))

    def test_a_swap_is_refused_only_where_another_value_is(self):
        self.bad("not linearizable", Write("a", 0, 1), Refused("a", "b", 2, 3))
        self.good(Write("a", 0, 1), Write("x", 1.5, OPEN), Refused("a", "b", 2, 3))
        self.good(Write("a", 0, 1), Delete(2, 5), Refused("a", "b", 3, 4))

    def test_what_was_not_answered_happens_at_any_time_or_never(self):
        writes = Write("a", 0, 1), Write("b", 2, OPEN)
        self.good(*writes, Read("a", 10, 11))
        self.good(*writes, Read("a", 10, 11), Read("b", 12, 13))
        self.good(*writes, Write("c", 4, 5), Read("c", 6, 7), Read("b", 8, 9))
        self.bad("stale read", *writes, Read("b", 3, 4), Read("a", 5, 6))
        self.bad("not linearizable", *writes, Write("c", 3, 4), Swap("b", "d", 5, 6), Write("e", 7, 8), Swap("b", "f", 9, 10))  # twice

    def test_a_value_must_have_been_written(self):
        self.bad("value from nowhere", Write("a", 0, 1), Read("z", 2, 3))
        self.bad("value from nowhere", Write("a", 0, 1), session_read("z", 2, 3))
        self.bad("value of a refused change", Write("a", 0, 1), Refused("x", "b", 2, 3), session_read("b", 4, 5))
        self.bad("value before it was written", session_read("a", 0, 1), Write("a", 2, 3))

    def test_rows_come_and_go(self):
        self.good(Write("a", 0, 1, expected=False), Delete(2, 3), Read(ABSENT, 4, 5), Write("b", 6, 7, expected=False), Write("c", 8, 9, expected=True))
        self.bad("not linearizable", Write("a", 0, 1, expected=False), Write("b", 2, 3, expected=False))
        self.bad("not linearizable", Write("a", 0, 1), Delete(2, 3), Delete(4, 5))

    def test_a_session_sees_its_writes_and_others_see_some_earlier_state(self):
        a, b, c = Write("a", 0, 1, "ada"), Write("b", 2, 3, "bob"), Write("c", 4, 5, "ada")
        for old in (ABSENT, "a", "b", "c"):
            self.good(a, b, c, session_read(old, 6, 7))
        for seen, floor, allowed in (("a", b, False), ("b", b, True), ("c", b, True), ("a", a, True), ("b", c, False), (ABSENT, a, False)):
            with self.subTest(seen=seen, floor=floor):
                operations = a, b, c, session_read(seen, 6, 7, floor)
                (self.good if allowed else lambda *all: self.bad("stale read", *all))(*operations)

    def test_a_write_of_another_key_holds_what_came_before_it(self):
        a, b = Write("a", 0, 1), Write("b", 2, 3)
        elsewhere = Write("x", 4, 5)
        self.bad("stale read", a, b, session_read("a", 6, 7, elsewhere, here=False))
        self.good(a, b, session_read("a", 6, 7, Write("x", 1, 5), here=False))  # b may have come after it

    def test_sessions_agree_with_one_order(self):
        a, b = Write("a", 0, 9), Write("b", 0, 9)
        self.good(a, b, Read("a", 10, 11), session_read("b", 10, 11))
        self.good(a, b, Read("a", 10, 11), session_read("a", 10, 11, b))
        self.bad("stale read", a, b, session_read("a", 10, 11, b), session_read("b", 10, 11, a))

    def test_a_key_has_one_effect_and_one_response(self):
        first, again, late = Exchange(0, 1, False, "201 x"), Exchange(2, 3, True, "201 x"), Exchange(4, 5, False, "201 x")
        history.check_key("k", [first, again], 1)
        history.check_key("k", [again], 1, lost=True)
        history.check_key("k", [], 1, lost=True)
        history.check_key("k", [], 0, lost=True)
        for what, exchanges, effects in (("effect more than once", [first], 2), ("lost effect", [first], 0), ("another response", [first, Exchange(2, 3, True, "201 y")], 1),
                                         ("executed more than once", [first, late], None), ("executed more than once", [again, late], None), ("effect of a refused request", [], 1)):
            with self.subTest(what), self.assertRaises(Violation) as found:
                history.check_key("k", exchanges, effects)
            self.assertEqual(found.exception.what, what)

    @staticmethod
    def explained(operations):
        """Whether some order explains them: every order of every choice of open changes is tried."""
        closed, opened = [op for op in operations if op.returned != OPEN], [op for op in operations if op.returned == OPEN]
        for taken in itertools.chain.from_iterable(itertools.combinations(opened, n) for n in range(len(opened) + 1)):
            for order in itertools.permutations([*closed, *taken]):
                state, before = ABSENT, []
                for i, op in enumerate(order):
                    if not op.fits(state) or any(later.returned < op.invoked for later in order[i + 1:]) or (op.after and op.after not in before):
                        break
                    state = op.value if op.changes else state
                    before.append(op)
                else:
                    return True
        return False

    def test_it_agrees_with_every_order_of_short_random_histories(self):
        chance, counts = random.Random(harness.seed()), collections.Counter()
        for _ in range(20_000 if TORTURE else 1200):
            operations = []
            for i in range(chance.randint(2, 6)):
                begin = chance.randint(0, 8)
                end = begin + chance.randint(1, 6)
                kind, value = chance.random(), chance.choice(["a", "b", f"v{i}"])
                until = OPEN if chance.random() < 0.15 else end
                if kind < 0.35:
                    operations.append(Write(value, begin, until, expected=chance.choice([None, None, True, False])))
                elif kind < 0.5:
                    operations.append(Swap(chance.choice(["a", "b", "v0"]), value, begin, until))
                elif kind < 0.57:
                    operations.append(Delete(begin, until))
                elif kind < 0.67:
                    operations.append(Refused(chance.choice(["a", "b", "v0"]), "r", begin, end))
                else:
                    floors = [op for op in operations if op.changes and op.returned <= begin]
                    read = Read(chance.choice(["a", "b", "v0", "v1", ABSENT]), begin, end)
                    if chance.random() < 0.5:
                        read = session_read(read.value, begin, end, chance.choice(floors) if floors else None)
                    operations.append(read)
            try:
                history.check(operations)
                found = True
            except Violation:
                found = False
            self.assertEqual(found, self.explained(operations), operations)
            counts[found] += 1
        self.assertGreater(min(counts[True], counts[False]), 100, counts)


if __name__ == "__main__":
    harness.main()
