"""Jobs of two instances on one PostgreSQL server, while instances, connections of workers and the server are killed: none that was acknowledged is
lost, no effect is doubled, and no claim is taken over before its lease has run out. `jobs_test.py` has the kills of one instance, on each engine."""
import collections
import os
import random
import signal
import threading
import time

import harness
import jobs_test

KILLS = int(os.environ.get("PLIMSOLL_KILLS", "300" if os.environ.get("PLIMSOLL_TORTURE") else "3"))

# What becomes of each job that runs, as the database sees it: `early` are those that were taken from a worker whose lease had not run out.
AUDIT = """
CREATE TABLE audit(job text, old_state text, new_state text, claimed boolean, early boolean);
GRANT SELECT ON audit TO public;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  INSERT INTO audit VALUES(NEW.id, OLD.state, NEW.state, NEW.state = 'running' AND NEW.token <> OLD.token,
    OLD.state = 'running' AND OLD.lease > extract(epoch FROM clock_timestamp()) * 1000000000
      AND (NEW.token <> OLD.token OR NEW.crashes > OLD.crashes OR NEW.state = 'available'));
  RETURN NEW;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON plimsoll_jobs FOR EACH ROW WHEN (OLD.state <> NEW.state OR OLD.token <> NEW.token) EXECUTE FUNCTION note();
"""


class JobKills(harness.ServerTest):
    engine = "postgres"

    def setUp(self):
        self.service = jobs_test.Service()
        self.addCleanup(self.service.close)
        self.chance = random.Random(harness.seed())
        delays = random.Random(self.chance.random())

        def answer(path, body):
            time.sleep(delays.uniform(0, 0.05))  # so that a kill meets jobs that run
            return 200, {"Content-Type": "text/csv"}, b"a,b\n1,2\n"

        self.service.answer = answer
        self.postgres = harness.Postgres(self.directory())
        self.addCleanup(self.postgres.stop)
        self.postgres.start()
        self.name = self.postgres.database()
        self.data = harness.PostgresDatabase(self.postgres, self.name, self.postgres.url(self.name))
        self.data.script("CREATE TABLE effect(job TEXT, what TEXT)")
        self.acknowledged, self.ended = {"effects": [], "calls": []}, threading.Event()

    def instance(self):
        config = jobs_test.CONFIG.format(port=self.service.port) + f"database: {{url: '{self.postgres.url(self.name)}', pool: {{min: 1, max: 6}}}}\n"
        return self.serve(jobs_test.CONTRACT, config)

    def submit(self, servers, seed):
        mine = random.Random(seed)
        while not self.ended.is_set():
            what = mine.choice(("effects", "calls"))
            try:
                answer = mine.choice(servers).post(f"/{what}", {"what": "x"})
            except (OSError, harness.http.client.HTTPException):
                answer = None  # it died under the request, or is not there: nothing was acknowledged
            if answer is not None and answer.status == 202:
                self.acknowledged[what].append(answer.json())
            elif answer is not None and answer.status < 500:
                raise AssertionError(answer)
            self.ended.wait(0.01 if answer is not None and answer.status == 202 else 0.1)

    def accepted(self):
        return sum(map(len, self.acknowledged.values()))

    # Kinds of kills

    def kill_instance(self, servers, points):
        server = self.chance.choice(servers)
        server.kill()
        server.environment.pop("PLIMSOLL_CRASH", None)
        if points and self.chance.random() < 0.5:
            point = self.chance.choice(points)
            server.environment["PLIMSOLL_CRASH"] = f"{point}:{self.chance.randint(1, 4)}"
            harness.Process.start(server)  # it may die before it answers
            try:
                harness.until(lambda: not server.alive, f"{point} is reached", 3)
                self.reached[point] += 1
            except AssertionError:
                server.kill()
            server.environment.pop("PLIMSOLL_CRASH")
        server.restart()

    def kill_server(self, *_):
        self.postgres.halt()
        self.postgres.start()

    def kill_connections(self, *_):
        """Of whichever worker or request has them."""
        self.postgres.sql(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{self.name}' AND random() < 0.7")

    def kill_backend(self, *_):
        """SIGKILL of one process of the server: it takes all others with it, and recovers."""
        found = self.data.rows("SELECT pid FROM pg_stat_activity WHERE datname = ? AND usename = 'shop' LIMIT 1", (self.name,))
        if found:
            os.kill(found[0][0], signal.SIGKILL)

    def stop_worker(self, servers, _):
        """A worker that stands still for longer than its lease, and wakes."""
        server = self.chance.choice(servers)
        server.signal(signal.SIGSTOP)
        self.ended.wait(self.chance.uniform(1.2, 2.5))
        server.signal(signal.SIGCONT)

    def test_no_acknowledged_job_is_lost_and_none_is_run_twice_within_its_lease(self):
        servers = [self.instance(), self.instance()]
        self.postgres.sql(AUDIT, self.name)
        points = jobs_test.CRASH_POINTS if b"PLIMSOLL_CRASH" in harness.program().read_bytes() else ()
        self.reached = collections.Counter()
        kinds = [self.kill_instance, self.kill_server, self.kill_connections, self.kill_backend, self.stop_worker]
        threads = [threading.Thread(target=self.submit, args=(servers, self.chance.random()), daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        done = collections.Counter()
        for number in range(KILLS):
            before = self.accepted()
            harness.until(lambda: self.accepted() > before + 10, lambda: f"jobs are accepted: {servers[0].output[-2000:]} {servers[1].output[-2000:]}")
            self.ended.wait(self.chance.uniform(0, 0.2))  # any moment will do: this chooses one
            kill = kinds[number] if number < 3 else self.chance.choices(kinds, (50, 15, 15, 10, 10))[0]
            done[kill.__name__] += 1
            kill(servers, points)
        before = self.accepted()
        harness.until(lambda: self.accepted() > before + 5, "jobs are accepted after the last kill")
        self.ended.set()
        for thread in threads:
            thread.join(harness.PATIENCE)
            self.assertFalse(thread.is_alive())

        def left():
            return self.data.rows("SELECT state, count(*) FROM plimsoll_jobs WHERE state NOT IN ('completed', 'dead') GROUP BY state")

        harness.until(lambda: left() == [], lambda: f"the end of all jobs: {left()}", 600)
        # Three crashes make a job dead: it is not lost, and runs when somebody says so.
        dead = self.data.rows("SELECT id, error FROM plimsoll_jobs WHERE state = 'dead'")
        self.assertEqual({error for _, error in dead} - {"the worker was not heard of again"}, set())
        for job, _ in dead:
            again = self.plimsoll("jobs", "requeue", job, "--database", self.data.url)
            self.assertEqual(again.returncode, 0, again.stderr)
        harness.until(lambda: self.data.rows("SELECT count(*) FROM plimsoll_jobs WHERE state <> 'completed'") == [(0,)], "the end of those that were dead", 120)

        known = {job for job, in self.data.rows("SELECT id FROM plimsoll_jobs")}
        effects = dict(self.data.rows("SELECT job, count(*) FROM effect GROUP BY job"))
        claims = dict(self.data.rows("SELECT job, count(*) FROM audit WHERE claimed GROUP BY job"))
        called = collections.Counter(headers["plimsoll-job-id"] for _, headers, _ in self.service.seen)
        ids = {what: [job["job_id"] for job in jobs] for what, jobs in self.acknowledged.items()}
        self.assertEqual([job for jobs in ids.values() for job in jobs if job not in known], [], "acknowledged and lost")
        self.assertEqual([job for job in ids["effects"] if effects.get(job) != 1], [], "acknowledged, and without an effect or with two")
        self.assertEqual({job: count for job, count in effects.items() if count != 1}, {}, "an effect took place twice")
        self.assertEqual([job for job in ids["calls"] if not called[job]], [], "acknowledged, and never called")
        self.assertEqual({job: (count, claims.get(job)) for job, count in called.items() if count > claims.get(job, count)}, {}, "called more often than claimed")
        self.assertEqual(self.data.rows("SELECT * FROM audit WHERE early"), [], "taken from a worker whose lease had not run out")
        taken = self.data.rows("SELECT count(*) FROM audit WHERE old_state = 'running' AND new_state IN ('available', 'dead')")[0][0]
        if KILLS >= 100:
            self.assertGreater(taken, 0)
        print(f"{KILLS} kills ({dict(done)}; at crash points {dict(self.reached)}): {sum(map(len, ids.values()))} acknowledged jobs, none lost, no effect of {len(effects)} doubled; "
              f"{taken} claims taken over, none within its lease, {len(dead)} jobs dead of crashes and run again")


class Audit(harness.ServerTest):
    engine = "postgres"

    def test_a_claim_that_is_taken_over_too_early_is_seen(self):
        postgres = harness.Postgres.shared()
        name = postgres.database()
        postgres.sql("CREATE TABLE plimsoll_jobs(id text, state text, token bigint, lease bigint, crashes int)", name)
        postgres.sql(AUDIT, name)
        now = "extract(epoch FROM clock_timestamp()) * 1000000000"
        for job, lease, change in (("early", f"{now} + 5000000000", "token = 2"), ("expired-early", f"{now} + 5000000000", "state = 'available', lease = NULL, crashes = 1"),
                                   ("late", f"{now} - 1", "token = 2"), ("expired", f"{now} - 1", "state = 'available', lease = NULL, crashes = 1"),
                                   ("completed", f"{now} + 5000000000", "state = 'completed', lease = NULL"), ("failed", f"{now} + 5000000000", "state = 'retryable', lease = NULL")):
            postgres.sql(f"INSERT INTO plimsoll_jobs VALUES('{job}', 'running', 1, {lease}, 0); UPDATE plimsoll_jobs SET {change} WHERE id = '{job}'", name)
        self.assertEqual(postgres.sql("SELECT string_agg(job, ' ' ORDER BY job) FROM audit WHERE early", name), "early expired-early")


if __name__ == "__main__":
    harness.main()
