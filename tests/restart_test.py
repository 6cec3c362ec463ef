"""Graceful restarts under load: an old and a new process overlap on one address, the old one drains; no request is lost, none has to
be sent again, new connections and POSTs included."""
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness

RESTARTS = int(os.environ.get("PLIMSOLL_RESTARTS", "20"))
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
END = b'{"message":"hello"}'


class Client(threading.Thread):
    """Asks without end; a request that is not answered in full counts as lost. `keep`: as long as the server keeps the connection."""

    def __init__(self, port, keep):
        super().__init__(daemon=True)
        self.port, self.keep, self.ended = port, keep, threading.Event()
        self.served, self.lost = 0, []

    def run(self):
        while not self.ended.is_set():
            s = None
            try:
                s = socket.create_connection(("127.0.0.1", self.port), 10)
                s.settimeout(10)
                while not self.ended.is_set():
                    s.sendall(POST)
                    answer = b""
                    while not answer.endswith(END):
                        piece = s.recv(4096)
                        if not piece:
                            raise ConnectionError(f"closed after {len(answer)} bytes")
                        answer += piece
                    assert answer.startswith(b"HTTP/1.1 200"), answer
                    self.served += 1
                    if not self.keep or b"connection: close" in answer:
                        break
                    time.sleep(0.002)
            except (OSError, AssertionError) as error:
                self.lost.append(repr(error))
            finally:
                if s:
                    s.close()


class Restart(unittest.TestCase):
    def server(self, port):
        process = subprocess.Popen([harness.program().parent / "bare_server", f"127.0.0.1:{port}", "2"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, process.stdout.readline().strip()

    def test_a_restart_loses_nothing(self):
        port = harness.Ports.take()
        old, _ = self.server(port)
        clients = [Client(port, keep) for keep in (True, True, True, False, False)]
        for client in clients:
            client.start()
        for _ in range(RESTARTS):
            new, address = self.server(port)  # listens when it has said so
            self.assertTrue(address.endswith(str(port)))
            old.send_signal(signal.SIGTERM)
            old.wait(40)
            self.assertEqual(old.returncode, 0)
            old = new
        for client in clients:
            client.ended.set()
        for client in clients:
            client.join(20)
        lost = [error for client in clients for error in client.lost]
        print(f"{RESTARTS} restarts, {sum(client.served for client in clients)} requests, {len(lost)} lost")
        self.assertEqual(lost, [])


if __name__ == "__main__":
    harness.main()
