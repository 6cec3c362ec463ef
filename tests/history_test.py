"""Histories of what clients see of rows: reads and writes by key, `If-Match`, `Idempotency-Key` and reads of what a caller has written, at two
instances on one PostgreSQL primary with a standby whose replay pauses, while instances and the primary are killed. `history.py` judges them.

    PLIMSOLL_TORTURE=1 PLIMSOLL_OPERATIONS=100000 python3 tests/history_test.py Histories
"""
import collections
import itertools
import os
import random
import sys
import threading
import time
import unittest

import harness
import history
import history_faults
import postgres_client
from history import ABSENT, OPEN, Delete, Exchange, Read, Refused, Swap, Violation, Write, session_read
from history_clients import CONTRACT, Instance, World
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

    def test_a_standby_may_show_a_change_while_it_is_made_and_the_primary_may_not(self):
        a, b = Write("a", 0, 1), Write("b", 2, 6)
        self.good(a, b, session_read("b", 3, 4), Refused("b", "c", 4.2, 5))
        self.good(a, b, session_read("b", 3, 4), Read("a", 4.2, 5))
        self.bad("stale read", a, b, Read("b", 3, 4), Read("a", 4.2, 5))
        self.bad("not linearizable", a, b, session_read("b", 3, 4), Refused("b", "c", 7, 8))
        self.bad("stale read", a, b, session_read("b", 3, 4), Read("a", 7, 8))
        self.good(a, Write("b", 2, OPEN), session_read("b", 3, 4), Read("a", 5, 6), Read("b", 7, 8))

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
        operations = history.settled(operations)
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


class HistoriesTest(ReplicaTest):
    def setUp(self):
        super().setUp()
        self.standby.sql("ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'")  # it comes back to a primary that was restarted
        self.standby.sql("SELECT pg_reload_conf()")
        self.line = postgres_client.Connection(self.standby.folder, self.standby.port, "postgres", "postgres")
        self.addCleanup(self.line.close)
        self.replica_reads = self.behind = 0

    def instances(self):
        made = [Instance(self.serve(CONTRACT, self.config())) for _ in range(2)]
        for each in made:
            self.used(each.server)
        return made

    def counted(self, instance):
        """Adds what the metrics of an instance say, before they are gone with it."""
        metrics = instance.server.metrics()
        self.replica_reads += sum(value for name, value in metrics.items() if name.startswith("plimsoll_database_replica_reads_total"))
        self.behind += metrics['plimsoll_database_replica_reads_by_primary_total{why="behind"}']

    def final(self, world):
        """The rows at the primary, which the standby must have too as soon as it has caught up."""
        self.line.execute("SELECT pg_wal_replay_resume()")
        final, [[position]] = world.final(), world.rows("SELECT pg_current_wal_flush_lsn()")
        harness.until(lambda: self.line.execute("SELECT pg_last_wal_replay_lsn() >= ?::pg_lsn", (position,)) == [(True,)], lambda: f"{position} is not replayed: {self.standby.describe()}")
        self.assertEqual(world.final(self.standby), final, "of the standby")
        return final


class Histories(HistoriesTest):
    def trouble(self, world, chance, kills, restarts):
        """While the clients run: a replay that pauses at random, instances that are killed and started again, and a primary that crashes."""

        def pause():
            while not world.ended.is_set():  # paused first: a fast machine ends a short history before the first wait does
                self.line.execute("SELECT pg_wal_replay_pause()")
                world.ended.wait(chance.uniform(0.02, 0.3))
                self.line.execute("SELECT pg_wal_replay_resume()")
                world.ended.wait(chance.uniform(0.02, 0.2))

        pausing = threading.Thread(target=pause)
        pausing.start()
        events = ["kill"] * kills + ["restart"] * restarts
        chance.shuffle(events)
        try:
            for number, event in enumerate(events, 1):
                harness.until(lambda: world.begun >= world.limit * number // (len(events) + 1) or not world.running(), lambda: f"{world.begun} operations of {world.limit}", 600)
                if event == "kill":
                    instance = chance.choice(world.instances)
                    self.counted(instance)
                    instance.kill()
                    if chance.random() < 0.2:
                        self.primary.halt()
                        self.primary.start()
                    instance.server.restart()
                else:
                    self.primary.halt()
                    world.ended.wait(chance.uniform(0, 0.2))
                    self.primary.start()
            world.join()
        finally:
            world.ended.set()
            pausing.join()

    def test_histories_over_two_instances_and_a_replica_are_linearizable(self):
        chance = random.Random(harness.seed())
        instances, began, operations, rounds, counts, finals = self.instances(), time.monotonic(), 0, 0, collections.Counter(), {}
        while operations < OPERATIONS and (not rounds or time.monotonic() < began + SECONDS):
            size = min(OPERATIONS - operations, 20_000)
            world = World(instances, self.primary, self.name, chance.random(), size, CLIENTS).start()
            self.trouble(world, chance, *((size // 400, size // 2500) if size > 2500 else (2, 1)))
            self.assertEqual(world.unexpected, [])
            final = self.final(world)
            self.assertLessEqual(world.counts["without token"], CLIENTS * (1 + size // 500), "only a crash of the primary takes the token from a write")
            violations = world.judge(final)
            for each in violations:
                print("\n  ".join([f"{each}\nall operations of the key, by their ends:", *map(repr, getattr(each, "operations", ()))]), file=sys.stderr)
            self.assertEqual([str(each) for each in violations], [], f"{world.begun} operations")
            counts.update(world.counts)
            finals.update(final)
            operations, rounds = operations + world.begun, rounds + 1
            print(f"{operations} operations in {time.monotonic() - began:.0f} s: {dict(counts)}", file=sys.stderr, flush=True)
        for instance in instances:
            self.counted(instance)
        kept = dict(world.rows("SELECT id, value FROM registers"))
        self.assertEqual({key: kept.get(key) for key in finals}, finals, "acknowledged, and lost later")
        print(f"{operations} operations, {counts['reads with a promise']} reads with a promise and none of them stale, {counts['reads without']} without; "
              f"{self.replica_reads:.0f} reads by the replica, {self.behind:.0f} by the primary since it was behind")
        self.assertGreater(self.replica_reads, 0)
        self.assertGreater(self.behind, 0)
        self.assertGreater(counts["replayed"], 0)
        for kind in ("Write", "Swap", "Refused", "Delete", "Read"):
            self.assertGreater(counts[kind], 0, counts)

    def test_what_a_wrong_server_would_do_is_noticed(self):
        chance, instances, told = random.Random(harness.seed()), self.instances(), []
        for fault in history_faults.FAULTS:
            with self.subTest(fault.__name__):
                carried, sent, found = fault(chance.random()), 0, set()
                while not found and sent < 2000:
                    world = World(instances, self.primary, self.name, chance.random(), 100, CLIENTS, slots=2, per_key=50, transport=carried).start()
                    self.trouble(world, chance, 0, 0)
                    self.assertEqual(world.unexpected, [])
                    violations = [each for each in world.judge(world.final()) if isinstance(each, Violation)]
                    found, sent = set(fault.found_as) & {each.what for each in violations}, sent + world.begun
                self.assertTrue(found, f"{carried.planted} of {sent} operations were spoiled: {violations}")
                told.append(f"{fault.__name__} within {sent} operations, {carried.planted} of them spoiled ({', '.join(sorted(found))})")
        print("; ".join(told), file=sys.stderr)


if __name__ == "__main__":
    harness.main()
