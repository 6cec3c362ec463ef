"""The folder of large bodies (TMPDIR) hangs, as one on a file system of the network without its server: requests whose bodies have to go there are
answered by their deadline, and everything else is served meanwhile, what runs on other threads too."""
import concurrent.futures
import signal
import socket
import threading

import faults_test
import harness

CONTRACT = """openapi: 3.1.0
info: {title: Bodies, version: 1.0.0}
security: []
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables: {items: {schema: '#/components/schemas/Item', page: {default: 100, max: 100}}}
paths:
  /items:
    get: {operationId: listItems, x-plimsoll: {table: items}, responses: {'200': {description: ok}}}
    post:
      operationId: createItem
      x-plimsoll: {table: items, deadline: 1s, idempotency: optional}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {'201': {description: created}}
  /patient:
    post:
      operationId: createPatiently
      x-plimsoll: {table: items, deadline: 10m}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {'201': {description: created}}
components:
  schemas:
    Item: {type: object, required: [text], properties: {id: {type: integer, readOnly: true}, text: {type: string}}}
"""
CONFIG = "limits: {bodies: 2MiB, bodies-on-disk: 1GiB, body: 8MiB, drain: 2s}\ntrusted-proxies: [127.0.0.0/8]\n"
LARGE = 3 << 20  # has no room in memory
READ_ON_A_THREAD = 400_000


class BodiesHang(harness.ServerTest):
    def setUp(self):
        folder, spool = self.directory(), self.directory()
        self.hangs = folder / "hangs"
        self.addCleanup(self.hangs.unlink, missing_ok=True)
        self.api = self.serve(CONTRACT, CONFIG, directory=folder, environment={
            "TMPDIR": spool, "LD_PRELOAD": faults_test.shim("hanging_folder.c"), "FOLDER": spool, "HANGING": self.hangs})

    def store(self, size=LARGE, path="/items", sender=1, **headers):
        return self.api.post(path, {"text": "x" * size}, {"X-Forwarded-For": f"192.0.2.{sender}", **headers})

    def everything_else_is_served(self):
        self.assertEqual(self.store(20_000, sender=200).status, 201)
        self.assertEqual(self.store(READ_ON_A_THREAD, sender=201, Prefer="return=minimal").status, 204, "large JSON is read on threads")
        self.assertEqual(self.api.get("/openapi.json", headers={"Accept-Encoding": "zstd"}).status, 200, "which compress, too")
        self.assertEqual(self.api.get("/livez").status, 200)

    def held(self):
        return sum(value for name, value in self.api.metrics().items() if name.startswith("plimsoll_body_bytes"))

    def test_bodies_that_have_to_go_there_are_answered_by_their_deadline_and_all_else_is_served(self):
        self.assertEqual(self.store().status, 201)
        self.hangs.touch()
        with concurrent.futures.ThreadPoolExecutor(6) as pool:  # more than it has threads, and memory is left for others
            answers = [pool.submit(self.store, sender=n) for n in range(1, 7)]
            self.everything_else_is_served()
            got = [each.result() for each in answers]
        self.assertLessEqual({(answer.status, answer.code) for answer in got}, {(504, "deadline-exceeded"), (503, "too-many-bodies")})
        self.assertIn(504, {answer.status for answer in got})

        def refused():
            answer = self.store(sender=20)
            return answer.status == 503 and answer

        at_once = harness.until(refused, "503 once all threads of the folder wait")
        self.assertEqual(at_once.code, "too-many-bodies")
        self.assertGreaterEqual(int(at_once.headers["retry-after"]), 1)
        harness.until(lambda: [line for line in self.api.logged() if "has not answered for" in str(line)], "the log says why")
        self.everything_else_is_served()
        self.assertEqual(self.store(sender=21, **{"Idempotency-Key": "k"}).status, 503)
        self.hangs.unlink()
        harness.until(lambda: self.store(sender=22).status == 201, "bodies have room again")
        self.assertEqual(self.store(sender=21, **{"Idempotency-Key": "k"}).status, 201)
        harness.until(lambda: self.held() == 0, lambda: f"all room is given back: {self.held()}")

    def test_responses_that_have_to_wait_there_for_their_readers_are_refused_in_bounded_time(self):
        for n in range(2):
            self.assertEqual(self.store(sender=n).status, 201)
        self.hangs.touch()
        line = socket.socket()
        self.addCleanup(line.close)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", self.api.port))
        line.sendall(b"GET /items HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        line.settimeout(harness.PATIENCE)
        answer = b"".join(iter(lambda: line.recv(1 << 20), b""))
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer[:200])
        self.assertIn(b'"too-many-bodies"', answer)
        self.everything_else_is_served()

    def test_the_end_of_the_process_does_not_wait_for_it(self):
        self.hangs.touch()
        asking = threading.Thread(target=self.quietly, daemon=True)
        asking.start()
        harness.until(lambda: self.held() > 0, "a body that waits")
        self.api.signal(signal.SIGTERM)
        self.assertEqual(self.api.wait(), 0)
        asking.join(harness.PATIENCE)

    def quietly(self):
        try:
            self.store(path="/patient")
        except (OSError, harness.http.client.HTTPException):
            pass


if __name__ == "__main__":
    harness.main()
