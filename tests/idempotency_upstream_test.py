"""Idempotency keys of operations that take effect in another service: no request is sent a second time while nobody knows what became of the
first, whether the service broke off, was late or this server was killed; unless the contract says that the service honours the key."""
import errno
import itertools
import json
import socket
import threading
import time

import faults_test
import harness
import upstreams_test
from upstreams_test import answer

OPERATION = """
  /{path}:
    {method}:
      operationId: {path}
      x-plimsoll: {{upstream: {{name: reviews}}, deadline: {deadline}, idempotency: {policy}}}
      requestBody: {{content: {{application/json: {{schema: {{type: object}}}}}}}}
      responses: {{'201': {{description: made, content: {{application/json: {{}}}}}}, default: {{description: other}}}}
"""
REQUIRED = "{key: required, wait: 300ms}"
HONOURED = "{key: required, wait: 300ms, honoured: true}"


class Elsewhere(upstreams_test.Behind):
    """A service that counts what it does. `ways` says how it answers the next requests; those that are not named are 201."""

    def begin(self, policy=REQUIRED, method="post", deadline="20s", options="retry: {attempts: 2, base: 1ms, cap: 1ms}, breaker: off", **more):
        self.service = self.target()
        self.service.does = self.does
        self.made, self.ways, self.released = itertools.count(1), [], threading.Event()
        self.addCleanup(self.released.set)
        self.folder = self.directory()
        self.data = self.database(self.folder)
        self.given = {"options": options, "more": OPERATION.format(path="pay", method=method, deadline=deadline, policy=policy), **more}
        return self.another()

    def another(self):
        """One more server with the same files and database."""
        return self.front(self.service, directory=self.folder, **self.given)

    def does(self, connection, request):
        number = next(self.made)
        way = self.ways.pop(0) if self.ways else "made"
        if way == "breaks off":
            return None
        if way == "waits":
            self.released.wait(harness.PATIENCE)
            way = "made"
        if way == "garbage":
            return b"SSH-2.0-x\r\n"
        if way == "made":
            return answer({"number": number}, status="201 Created")
        return answer({"number": number}, status=way)

    def pay(self, server, key="k", amount=1):
        return server.post("/pay", {"amount": amount}, {"Idempotency-Key": key})

    def seen(self):
        return [headers["idempotency-key"] for line, headers, _ in self.service.seen if line.startswith(("POST /pay", "PUT /pay"))]

    def test_an_answer_is_replayed_and_the_key_is_passed_on(self):
        server = self.begin()
        for status in ("201 Created", "422 Unprocessable Content", "404 Not Found"):
            self.ways = [status]
            first, again = self.pay(server, status[:3]), self.pay(server, status[:3])
            self.assertEqual((first.status, first.body), (again.status, again.body))
            self.assertEqual(first.status, int(status[:3]))
            self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.assertEqual(self.seen(), ["201", "422", "404"])
        self.assertEqual(self.pay(server, "201", 2).code, "idempotency-key-reused")
        self.assertEqual(self.count(server, "plimsoll_idempotency_uncertain_total"), 0)

    def test_what_may_have_been_done_is_not_sent_again(self):
        server = self.begin()
        for way in ("breaks off", "garbage", "500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"):
            with self.subTest(way=way):
                self.ways = [way]
                key = way.replace(" ", "-")
                first = self.pay(server, key)
                self.assertGreaterEqual(first.status, 500)
                again = self.pay(server, key)
                self.assertEqual((again.status, again.code), (409, "idempotency-uncertain"))
                self.assertEqual(self.seen().count(key), 1, "not by the retries of calls either")
                self.assertEqual(self.pay(server, key, 2).code, "idempotency-key-reused")
                self.assertEqual(self.pay(server, key + "-new").status, 201)
        self.assertEqual(self.count(server, "plimsoll_idempotency_uncertain_total"), 5)
        harness.until(lambda: len([line for line in server.logged() if line["event"] == "idempotency-uncertain"]) == 5, "five lines in the log")
        self.assertEqual(server.get("/problems/idempotency-uncertain").status, 200)

    def leave(self, server, key):
        """Sends the request, and leaves when the service has it."""
        before = len(self.seen())
        body = json.dumps({"amount": 1})
        connection = socket.create_connection(("127.0.0.1", server.port), harness.PATIENCE)
        connection.sendall(f"POST /pay HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        harness.until(lambda: len(self.seen()) > before, "the service has the request")
        connection.close()

    def gone(self, server):
        harness.until(lambda: any(line.get("client_gone") for line in server.logged()), "the server to see that the client is gone")

    def test_a_client_that_leaves_is_given_the_response_when_it_comes_back(self):
        server = self.begin()
        self.ways = ["waits"]
        self.leave(server, "k")
        early = self.pay(server)
        self.assertEqual((early.status, early.code), (409, "idempotency-in-flight"))
        self.released.set()
        harness.until(lambda: self.pay(server).status == 201, "the response of the first request")
        late = self.pay(server)
        self.assertEqual((late.headers["idempotent-replayed"], json.loads(late.body)), ("true", {"number": 1}))
        self.assertEqual(self.seen(), ["k"])

    def test_a_client_that_left_a_request_whose_outcome_is_unknown_is_told_so(self):
        server = self.begin(deadline="400ms")
        self.ways = ["waits"]
        self.leave(server, "k")
        harness.until(lambda: self.pay(server).code == "idempotency-uncertain", "the key to be uncertain")
        self.assertEqual(self.seen(), ["k"])

    def test_the_end_of_the_process_does_not_wait_for_requests_whose_client_has_left(self):
        server = self.begin(deadline="1h")
        self.ways = ["waits"]
        self.leave(server, "k")
        server.stop()
        self.assertEqual(server.restart().get("/livez").status, 200)
        self.assertEqual(self.pay(server).code, "idempotency-uncertain")
        self.assertEqual(self.seen(), ["k"])

    def test_a_lease_lasts_as_long_as_its_request_however_short_answers_are_kept(self):
        first = self.begin("{key: required, wait: 300ms, keep: 1s}")
        second = self.another()
        self.ways = ["waits"]
        self.leave(first, "k")
        (kept,), = self.data.rows("SELECT expires_at FROM plimsoll_idempotency WHERE status = 0")
        self.assertGreater(kept - time.time_ns(), 20e9)
        self.assertEqual(self.pay(second).code, "idempotency-in-flight")
        self.assertEqual(self.seen(), ["k"])

    def test_a_service_that_knows_this_server_alone_is_sent_a_key_of_each_caller_and_operation(self):
        refund = OPERATION.format(path="refund", method="post", deadline="20s", policy=HONOURED)
        keys = []
        for credential in ("authentication: {bearer: a-secret-of-ours}", None):
            self.begin(HONOURED, options="retry: off, breaker: off" + (f", {credential}" if credential else ""))
            self.given["more"] += refund
            server = self.another()
            for _ in range(2):
                for path in ("/pay", "/refund"):
                    self.assertEqual(server.post(path, {"amount": 1}, {"Idempotency-Key": "k"}).status, 201)
            keys.append([headers["idempotency-key"] for line, headers, _ in self.service.seen if line.startswith("POST")])
        derived, plain = keys
        self.assertEqual(plain, ["k", "k"])
        self.assertEqual(len(set(derived)), 2, derived)
        for key in derived:
            self.assertRegex(key, "^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")

    def test_an_answer_that_cannot_be_recorded_is_an_unknown_outcome(self):
        if self.engine != "sqlite":
            self.skipTest("a lock of the whole database is one of SQLite")
        server = self.begin()
        self.ways = ["waits"]
        got = []
        paying = threading.Thread(target=lambda: got.append(self.pay(server)))
        paying.start()
        harness.until(lambda: self.seen() == ["k"], "the service has the request")
        held = self.data.connect()
        held.isolation_level = None
        held.execute("BEGIN IMMEDIATE")
        self.released.set()
        paying.join()
        held.execute("ROLLBACK")
        held.close()
        self.assertEqual((got[0].status, got[0].code), (503, "outcome-unknown"), got[0])
        # Nor could be written that it is not known: the lease says so when it has ended.
        self.assertEqual(self.pay(server).code, "idempotency-in-flight")
        self.end_leases()
        self.assertEqual(self.pay(server).code, "idempotency-uncertain")
        self.assertEqual(self.seen(), ["k"])

    def on_a_disk(self):
        """A server that has just committed on a disk that can hang."""
        if self.engine != "sqlite":
            self.skipTest("a file is one of SQLite")
        faults = faults_test.Faults(self.directory() / "faults")
        self.addCleanup(faults.none)
        server = self.begin(deadline="1s", environment={"LD_PRELOAD": str(faults_test.shim()), "FAULTS": str(faults.path)})
        self.assertEqual(self.pay(server, "before").status, 201)
        return server, faults

    def test_a_lease_whose_commit_hangs_stands_for_nothing_whichever_way_it_ends(self):
        for error in (0, errno.ENOSPC):
            with self.subTest(error=error):
                server, faults = self.on_a_disk()
                faults.HANG = 1
                early = self.pay(server)
                self.assertEqual((early.status, early.code), (504, "deadline-exceeded"), early)
                self.assertEqual(server.metrics()["plimsoll_database_outcomes_unknown_total"], 1)
                self.assertEqual(self.seen(), ["before"], "nothing was sent")
                faults.WRITE_ERROR = error
                faults.HANG = 0
                harness.until(lambda: [line for line in server.logged() if line.get("event") == "database-late-commit"], "the end of the commit")
                faults.none()
                harness.until(lambda: self.pay(server).status == 201, "the request is sent")
                self.assertEqual(self.seen(), ["before", "k"])
                self.assertEqual(self.pay(server).headers["idempotent-replayed"], "true")

    def test_a_response_whose_record_hangs_is_replayed_or_uncertain_by_how_the_commit_ends(self):
        for error, after in ((0, 201), (errno.ENOSPC, 409)):
            with self.subTest(error=error):
                server, faults = self.on_a_disk()
                self.ways = ["waits"]
                got = []
                paying = threading.Thread(target=lambda: got.append(self.pay(server)))
                paying.start()
                harness.until(lambda: self.seen() == ["before", "k"], "the service has the request")
                faults.HANG = 1
                self.released.set()
                paying.join()
                self.assertEqual((got[0].status, got[0].code), (503, "outcome-unknown"), got[0])
                faults.WRITE_ERROR = error
                faults.HANG = 0
                harness.until(lambda: [line for line in server.logged() if line.get("event") == "database-late-commit"], "the end of the commit")
                faults.none()
                again = None

                def ended():
                    nonlocal again
                    again = self.pay(server)
                    return again.code != "idempotency-in-flight" and again.status < 500

                harness.until(ended, lambda: f"what became of it: {again}")
                self.assertEqual((again.status, again.code), (after, "idempotency-uncertain" if error else None), again)
                self.assertEqual(self.seen(), ["before", "k"])

    def test_what_was_surely_not_done_is_sent_again(self):
        server = self.begin()
        for way in ("503 Service Unavailable", "429 Too Many Requests", "408 Request Timeout", "501 Not Implemented"):
            with self.subTest(way=way):
                self.ways = [way]
                key = way[:3]
                self.assertEqual(self.pay(server, key).status, int(key))
                self.assertEqual(self.pay(server, key).status, 201)
                self.assertEqual(self.seen().count(key), 2)
        dead = self.front(self.nobody(), more=OPERATION.format(path="pay", method="post", deadline="20s", policy=REQUIRED),
                          options="retry: {attempts: 2, base: 1ms, cap: 1ms}")
        for _ in range(3):
            self.assertEqual(self.pay(dead).code, "unreachable")

    def test_after_the_deadline_it_is_uncertain(self):
        server = self.begin(deadline="400ms")
        self.ways = ["waits"]
        self.assertEqual(self.pay(server).status, 504)
        last = None

        def uncertain():
            nonlocal last
            last = self.pay(server)
            return last.code == "idempotency-uncertain"

        harness.until(uncertain, lambda: f"the key is uncertain: {last}")
        self.assertEqual(self.seen(), ["k"])

    def test_a_service_that_honours_the_key_is_asked_again(self):
        server = self.begin(HONOURED)
        for way in ("breaks off", "garbage", "502 Bad Gateway"):
            self.ways = [way, way, way]
            key = way.replace(" ", "-")
            self.assertGreaterEqual(self.pay(server, key).status, 500, way)
            self.assertEqual(self.seen().count(key), 3, "with the retries of calls")
            self.assertEqual(self.pay(server, key).status, 201, way)
            self.assertEqual(self.pay(server, key).headers["idempotent-replayed"], "true")

    def test_a_method_that_is_idempotent_needs_no_promise(self):
        server = self.begin(method="put", options="retry: off, breaker: off")
        self.ways = ["breaks off"]
        put = lambda: server.request("PUT", "/pay", {"amount": 1}, {"Idempotency-Key": "k"})
        self.assertEqual(put().status, 502)
        self.assertEqual(put().status, 201)
        self.assertEqual(put().headers["idempotent-replayed"], "true")
        self.assertEqual(self.seen(), ["k", "k"])

    def test_killed_while_the_service_works_the_key_is_uncertain_once_its_lease_has_ended(self):
        """A lease lasts as long as the deadline of the request and five seconds; the test ends it in the table instead of waiting for it."""
        for policy, after in ((REQUIRED, "idempotency-uncertain"), (HONOURED, None)):
            with self.subTest(policy=policy):
                server = self.begin(policy)
                self.ways = ["waits"]
                lost = threading.Thread(target=lambda: self.assertRaises((OSError, harness.http.client.HTTPException), self.pay, server))
                lost.start()
                harness.until(lambda: self.seen() == ["k"], "the service has the request")
                server.kill()
                lost.join()
                self.released.set()
                server.restart()
                early = self.pay(server)
                self.assertEqual((early.status, early.code, early.headers["retry-after"]), (409, "idempotency-in-flight", "1"))
                self.assertEqual(self.seen(), ["k"])
                self.end_leases()
                late = self.pay(server)
                if after:
                    self.assertEqual((late.status, late.code), (409, after))
                    self.assertEqual(self.seen(), ["k"])
                else:
                    self.assertEqual(late.status, 201)
                    self.assertEqual(self.pay(server).headers["idempotent-replayed"], "true")
                    self.assertEqual(self.seen(), ["k", "k"])

    def end_leases(self):
        (fields,), = self.data.rows("SELECT headers FROM plimsoll_idempotency WHERE status = 0")
        ended = [[name, "1" if name == "until" else value] for name, value in json.loads(fields)]
        self.data.rows("UPDATE plimsoll_idempotency SET headers = ? WHERE status = 0", (json.dumps(ended, separators=(",", ":")),))

    def test_two_servers_send_one_request(self):
        first = self.begin()
        second = self.another()
        self.ways = ["waits"]
        got = []
        threads = [threading.Thread(target=lambda server=server: got.append(self.pay(server))) for server in (first, second)]
        for thread in threads:
            thread.start()
        # One of them has the request under way; the other waits for its response, and gives up.
        harness.until(lambda: len(got) == 1, "the other gives up")
        self.assertEqual((got[0].status, got[0].code), (409, "idempotency-in-flight"))
        self.released.set()
        for thread in threads:
            thread.join()
        self.assertEqual(got[1].status, 201)
        self.assertEqual([self.pay(server).body for server in (first, second)], [got[1].body] * 2)
        self.assertEqual(self.seen(), ["k"])

    def test_who_lost_the_lease_records_nothing(self):
        """A service that honours the key: the first request outlives its lease, a second one takes it over and is answered first."""
        first = self.begin(HONOURED)
        second = self.another()
        self.ways = ["waits"]
        got = []
        slow = threading.Thread(target=lambda: got.append(self.pay(first)))
        slow.start()
        harness.until(lambda: self.seen() == ["k"], "the service has the request")
        self.end_leases()
        taken_over = self.pay(second)
        self.assertEqual((taken_over.status, json.loads(taken_over.body)), (201, {"number": 2}))
        self.released.set()
        slow.join()
        self.assertEqual(got[0].status, 201)
        self.assertEqual([self.pay(server).body for server in (first, second)], [taken_over.body] * 2)

    def test_the_contract_and_the_start_say_so(self):
        server = self.begin()
        document = json.loads(server.get("/openapi.json").body)
        name = document["paths"]["/pay"]["post"]["responses"]["409"]["$ref"].rsplit("/", 1)[-1]
        self.assertIn("idempotency-uncertain", json.dumps(document["components"]["responses"][name]))
        table = """
openapi: 3.1.0
info: {title: T, version: '1'}
x-plimsoll: {authorization: any-caller, tables: {notes: {schema: {type: object, properties: {id: {type: integer, readOnly: true}}}}}}
paths:
  /notes:
    post:
      operationId: add
      security: []
      x-plimsoll: {table: notes, idempotency: {key: required, honoured: true}}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: made}}
"""
        refused = self.refused(table)
        self.assertRegex(refused, r"contract\.yaml:\d+:\d+: error\[.*`honoured` has no effect where the request takes effect in the database")


if __name__ == "__main__":
    harness.main()
