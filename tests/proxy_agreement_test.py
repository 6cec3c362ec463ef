"""With nginx and with haproxy in front of us: for each raw case of RFC 9112 that the proxy lets through, as many messages arrive here
as the proxy says it has forwarded. A request that is one message to one and two to the other is how requests are smuggled.

Both proxies rewrite what they forward, so nearly all that is malformed ends with them; what must never happen is that we see a message
they did not send. Each case goes over a connection of its own; its target carries a mark by which it is counted on both sides."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import harness

BACKEND = '{"message":"hello"}'

# Messages that a proxy may split otherwise than we do. `hidden` in a target is a request that must not come into being.
CASES = {
    "plain": b"GET /MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "two": b"GET /MARK HTTP/1.1\r\nHost: a\r\n\r\nGET /MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "length": b"POST /MARK HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked-extension": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    "chunked-trailer": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
    "chunked-then-next": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "cl-te": b"POST /MARK HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "te-cl": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n26\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
    "te-twice": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "te-xchunked": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "te-blank-before-colon": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "te-vertical-tab": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\nContent-Length: 0\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "te-1.0": b"POST /MARK HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "te-look-alike": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "cl-twice": b"POST /MARK HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\nGET /hidden-MARK HTTP/1.1\r\nHost: a\r\n\r\n",
    "cl-list": b"POST /MARK HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "cl-plus": b"POST /MARK HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "cl-on-get": b"GET /MARK HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "lf-only": b"GET /MARK HTTP/1.1\nHost: a\n\n",
    "lf-in-field": b"GET /MARK HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n",
    "cr-in-field": b"GET /MARK HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
    "fold": b"GET /MARK HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "nul": b"GET /MARK HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "chunk-size-0x": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk-size-overflow": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk-lf": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "chunk-extension-lf": b"POST /MARK HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n",
    "host-twice": b"GET /MARK HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host-missing": b"GET /MARK HTTP/1.1\r\n\r\n",
    "absolute": b"GET http://a/MARK HTTP/1.1\r\nHost: b\r\n\r\n",
    "version-1.2": b"GET /MARK HTTP/1.2\r\nHost: a\r\n\r\n",
    "version-2.0": b"GET /MARK HTTP/2.0\r\nHost: a\r\n\r\n",
    "encoded": b"GET /%4DARK?x=%00 HTTP/1.1\r\nHost: a\r\n\r\n".replace(b"%4DARK", b"MARK"),
    "brackets": b"GET /MARK?a[b]=c|d HTTP/1.1\r\nHost: a\r\n\r\n",
    "double-slash": b"GET //MARK/../x HTTP/1.1\r\nHost: a\r\n\r\n",
    "quotes-in-query": b'GET /MARK?x="y" HTTP/1.1\r\nHost: a\r\n\r\n',
    "utf-8": "GET /MARK?x=\u00e4 HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "fragment": b"GET /MARK#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "upgrade": b"GET /MARK HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "expect": b"POST /MARK HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "odd-method": b"BREW /MARK HTTP/1.1\r\nHost: a\r\n\r\n",
}

# So that the counting itself is seen to work.
MUST_PASS = {"plain": 1, "two": 2, "length": 1, "chunked": 1, "chunked-extension": 1, "chunked-then-next": 2, "odd-method": 1}

# What a proxy forwards and we refuse: the stricter reading, and no second message on either side.
EXPLAINED = {
    "quotes-in-query": "nginx passes on quotes in a target, which no URI may have; we answer 400",
    "utf-8": "both pass on octets above 127 in a target; we answer 400",
    "fragment": "passed on as it came; a fragment is never sent to a server, we answer 400",
    "nul": "haproxy passes on a NUL in a value (RFC 9110, 5.5 forbids it); we answer 400",
    "host-missing": "haproxy passes on an HTTP/1.1 request without Host (RFC 9112, 3.2 wants 400); we answer 400",
    "te-1.0": "haproxy passes on Transfer-Encoding of an HTTP/1.0 request (RFC 9112, 6.1: faulty framing); we answer 400",
}


class Agreement(unittest.TestCase):
    def start(self, command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="plimsoll-agreement-"))
        os.chmod(self.folder, 0o777)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.seen = self.folder / "seen"
        process = subprocess.Popen([harness.program().parent / "bare_server", "127.0.0.1:0", "1", "{}", str(self.seen)],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.backend = process.stdout.readline().strip()

    def ready(self, port):
        def answers():
            try:
                with socket.create_connection(("127.0.0.1", port), 1):
                    return True
            except OSError:
                return False
        harness.until(answers, "the proxy listens", 20)

    def ask(self, port, bytes_):
        """Sends, ends, and reads all that comes."""
        answer = b""
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(0.5)
            try:
                s.sendall(bytes_)
                while piece := s.recv(65536):
                    answer += piece
                    if answer.count(b"HTTP/1.") > 1 + bytes_.count(b"HTTP/1."):
                        break
            except OSError:
                pass
        return answer

    def compare(self, port, log, forwarded):
        """`forwarded(line)`: the status we gave, `-` when the request did not go to us, and the request, of a line of the proxy's log."""
        differ, hidden = {}, []
        for number, (name, bytes_) in enumerate(CASES.items()):
            self.ask(port, bytes_.replace(b"MARK", f"mark{number}x".encode()))
        time.sleep(0.3)  # logs are written after answers; what is read below is compared case by case
        lines = [found for found in (forwarded(line) for line in log().splitlines()) if found]
        proxy_lines = [request for status, request in lines if status not in ("-", "400")]
        refused_lines = [request for status, request in lines if status == "400"]
        our_lines = self.seen.read_text(errors="replace").splitlines()
        agreed = 0
        for number, name in enumerate(CASES):
            mark = f"mark{number}x"
            theirs = sum(mark in t for t in proxy_lines)
            ours = sum(mark in line for line in our_lines)
            hidden += [line for line in our_lines if f"hidden-{mark}" in line and not any(f"hidden-{mark}" in t for t in proxy_lines)]
            refused = sum(mark in t for t in refused_lines)
            if ours != theirs or (refused and name not in EXPLAINED):
                differ[name] = f"the proxy forwarded {theirs}, {ours} arrived, {refused} were forwarded and refused here"
            agreed += not refused
            if name in MUST_PASS and ours != MUST_PASS[name]:
                differ[name] = f"{ours} arrived instead of {MUST_PASS[name]}"
        print(f"{agreed} of {len(CASES)} cases are read alike, {sum('mark' in line for line in our_lines)} messages on both sides; "
              f"{len(CASES) - agreed} are forwarded and refused here, as explained")
        self.assertEqual(hidden, [], "a request came into being between the proxy and us")
        self.assertEqual(differ, {})

    def test_nginx_and_we_count_the_same_messages(self):
        harness.needs("nginx")
        port = harness.Ports.take()
        log = self.folder / "access.log"
        conf = self.folder / "nginx.conf"
        conf.write_text(f"""daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format marks '$upstream_status "$request"'; access_log {log} marks;
  upstream us {{ server {self.backend}; keepalive 4; }}
  server {{ listen 127.0.0.1:{port}; client_body_temp_path {self.folder}/body;
    location / {{ proxy_pass http://us; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; }} }}
}}
""")
        self.start(["nginx", "-c", conf, "-p", self.folder, "-e", f"{self.folder}/error.log"])
        self.ready(port)

        def forwarded(line):
            return line.split(" ", 1)
        self.compare(port, lambda: log.read_text(errors="replace") if log.exists() else "", forwarded)

    def test_haproxy_and_we_count_the_same_messages(self):
        harness.needs("haproxy")
        port, log_port = harness.Ports.take(), harness.Ports.take()
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", log_port))
        receiver.setblocking(False)
        self.addCleanup(receiver.close)
        conf = self.folder / "haproxy.cfg"
        conf.write_text(f"""global
  log 127.0.0.1:{log_port} local0
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:{port}
  log-format '%b/%s %ST "%HM %[capture.req.uri]"'
  default_backend b
backend b
  server us {self.backend}
""")
        self.start(["haproxy", "-f", conf, "-db"])
        self.ready(port)
        lines = []

        def log():
            try:
                while True:
                    lines.append(receiver.recv(65536).decode(errors="replace"))
            except BlockingIOError:
                pass
            return "\n".join(lines)

        def forwarded(line):
            found = re.search(r" b/(\S+) (-?\d+) (.*)", line)
            return (found[2] if found[1] == "us" else "-", found[3]) if found else None
        self.compare(port, log, forwarded)


if __name__ == "__main__":
    harness.main()
