"""What a claim of jobs costs PostgreSQL, in buffers, and a look for leases that have run out: little more with many finished jobs, and while somebody
leaves a transaction open. What workers ask that have nothing to do, in statements."""
import os
import time

import harness
import jobs_test

TORTURE = bool(os.environ.get("PLIMSOLL_TORTURE"))
FINISHED = 1_000_000 if TORTURE else 20_000
OPEN = 60 if TORTURE else 4  # seconds that the transaction stays open, at least
JOBS = 3000 if TORTURE else 300  # that run meanwhile


class Claims(harness.ServerTest):
    engine = "postgres"

    def setUp(self):
        self.postgres = harness.Postgres(self.directory(), "shared_preload_libraries='pg_stat_statements'\ntrack_activity_query_size=4096")
        self.addCleanup(self.postgres.stop)
        self.postgres.start()
        self.name = self.postgres.database()
        self.data = harness.PostgresDatabase(self.postgres, self.name, self.postgres.url(self.name))
        self.data.script("CREATE TABLE effect(job TEXT, what TEXT)")
        self.postgres.sql("CREATE EXTENSION pg_stat_statements", self.name)
        config = jobs_test.CONFIG.format(port=1) + f"database: {{url: '{self.postgres.url(self.name)}', pool: {{min: 1, max: 4}}}}\n"
        self.server = self.serve(jobs_test.CONTRACT, config)

    def work(self, jobs, span=0):
        """Runs jobs to their end, twenty at once, spread over a span of seconds: a claim looks again at what has ended within half a second, which would
        be the more, the faster the machine is."""
        line, done, begun = self.server.connection(), 0, time.monotonic()
        while done < jobs:
            harness.until(lambda: time.monotonic() - begun >= span * done / jobs, "the next jobs' turn")
            for _ in range(20):
                self.assertEqual(self.server.request("POST", "/effects", {"what": "x"}, connection=line).status, 202)
            harness.until(lambda: self.data.rows("SELECT count(*) FROM plimsoll_jobs WHERE live_key IS NULL AND finished_at IS NULL") == [(0,)], "the jobs are done")
            done += 20
        line.close()
        return done

    def buffers(self):
        """Of the statements that claim jobs of a queue, for each claim."""
        self.postgres.sql("SELECT pg_stat_statements_reset()", self.name)
        self.work(40)
        found = self.data.rows("SELECT 1")
        rows = [line.split("|", 2) for line in self.postgres.sql(
            "SELECT calls, shared_blks_hit + shared_blks_read, replace(query, E'\\n', ' ') FROM pg_stat_statements WHERE query LIKE '%SKIP LOCKED%'"
            " OR query LIKE '%FROM plimsoll_jobs WHERE lease >= %AND queue%' OR query LIKE '%FROM plimsoll_jobs WHERE lease IS NOT NULL AND queue%' OR query LIKE 'SELECT id, CASE %'", self.name).splitlines()]
        # Each claim asks once what runs: all of it, or what has changed.
        claims = sum(int(calls) for calls, _, query in rows if "lease IS NOT NULL AND queue" in query or "lease >=" in query)
        self.assertGreater(claims, 0, rows)
        self.assertTrue(any("SKIP LOCKED" in query for _, _, query in rows), rows)
        return sum(int(blocks) for _, blocks, _ in rows) / claims

    EXPIRY = "query LIKE '%FROM plimsoll_jobs WHERE lease%' AND query LIKE '%lease <=%'"

    def looks(self, most):
        """The buffers of each of some looks for leases that have run out."""
        costs, seen = [], None

        def enough():
            nonlocal seen
            now = [int(one) for one in self.postgres.sql(f"SELECT coalesce(sum(calls), 0), coalesce(sum(shared_blks_hit + shared_blks_read), 0) FROM pg_stat_statements WHERE {self.EXPIRY}", self.name).split("|")]
            if seen and now[0] == seen[0] + 1:
                costs.append(now[1] - seen[1])
            seen = now
            return len(costs) >= most

        harness.until(enough, lambda: f"{most} looks: {costs}")
        return costs

    def test_idle_workers_ask_little(self):
        self.work(20)
        self.postgres.sql("SELECT pg_stat_statements_reset()", self.name)

        def asked():
            return [int(one) for one in self.postgres.sql("SELECT coalesce(sum(s.calls) FILTER (WHERE " + self.EXPIRY.replace("query", "s.query") + "), 0), coalesce(sum(s.calls), 0) FROM pg_stat_statements s "
                                                          "JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = 'shop'", self.name).split("|")]

        # They look for leases once a second, and twice a second at each of two queues.
        looks, statements = harness.until(lambda: (lambda now: now[0] >= 3 and now)(asked()), lambda: f"looks for leases: {asked()}")
        print(f"{statements} statements of idle workers with {looks} looks for leases")
        self.assertLessEqual(statements, 8 * (looks + 1))

    def test_a_claim_costs_little_more_among_finished_jobs_and_beside_an_open_transaction(self):
        empty = self.buffers()
        self.postgres.sql("INSERT INTO plimsoll_jobs(id, kind, queue, payload, owner, priority, state, enqueued_at, started_at, finished_at, attempts, token)"
                          " SELECT 'finished-' || i, 'effect', 'default', '{}', '', 5, 'completed', now, now, now, 1, 1"
                          f" FROM generate_series(1, {FINISHED}) AS i, (SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint AS now) AS clock", self.name)
        self.postgres.sql("VACUUM ANALYZE plimsoll_jobs", self.name)
        full = self.buffers()
        forgotten = self.data.connect()
        self.addCleanup(forgotten.close)
        forgotten.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM effect")
        done = self.work(JOBS, OPEN)
        beside = self.buffers()
        look = min(self.looks(3))  # one in ten looks at everything
        forgotten.execute("COMMIT")
        after = self.buffers()
        print(f"buffers of a look for leases beside an open transaction: {look}")
        print(f"buffers of a claim: {empty:.1f} of an empty queue, {full:.1f} with {FINISHED} finished jobs, {beside:.1f} after {done} jobs beside an open transaction, {after:.1f} after it")
        self.assertLessEqual(full, 5 * empty)
        self.assertLessEqual(beside, 5 * empty)
        self.assertLessEqual(after, 5 * empty)
        self.assertLessEqual(look, 20)


if __name__ == "__main__":
    harness.main()
