"""A service that speaks HTTP/2, for tests: Debian's python3-h2 behind a socket, each request on a thread of its own, so that an answer can be as
slow, as late or as wrong as the test wants.

    with http2_origin.Origin(lambda stream: stream.answer(200, b"hello")) as origin:
        ... origin.url ... origin.requests ... origin.connections
"""
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

PATIENCE = 60


class Gone(Exception):
    """The client has reset the stream, or the connection has ended."""


class Stream:
    """One request and what the test answers. All methods wait as long as the windows make them."""

    def __init__(self, line, number, headers, ended):
        self.line, self.number = line, number
        pairs = [(n.decode() if isinstance(n, bytes) else n, v.decode() if isinstance(v, bytes) else v) for n, v in headers]
        self.headers = dict(pairs)
        self.pairs = pairs
        self.method, self.path = self.headers.get(":method"), self.headers.get(":path")
        self.pieces, self.ended, self.reset_by, self.trailers, self.received = [], ended, None, None, 0

    def _wait(self, ready):
        with self.line.changed:
            if not self.line.changed.wait_for(lambda: ready() or self.reset_by is not None or self.line.over, PATIENCE):
                raise Gone("patience")
            if self.reset_by is not None or self.line.over:
                if not ready():
                    raise Gone(f"reset by {self.reset_by}")

    def read(self):
        """The next piece of the request's body, of which the window is given back; b"" at its end."""
        self._wait(lambda: self.pieces or self.ended)
        with self.line.changed:
            if not self.pieces:
                return b""
            data, size = self.pieces.pop(0)
            if size and not self.line.over:
                self.line.do(lambda h: h.acknowledge_received_data(size, self.number))
            return data

    def body(self):
        return b"".join(iter(self.read, b""))

    def head(self, status=200, headers=(), end=False):
        self.line.do(lambda h: h.send_headers(self.number, [(":status", str(status)), *headers], end_stream=end))

    def send(self, data, end=False):
        view = memoryview(data)
        while True:
            def room():
                try:
                    return self.line.h2.local_flow_control_window(self.number) > 0
                except h2.exceptions.ProtocolError:
                    return True
            if len(view):
                self._wait(room)
            with self.line.changed:
                if self.reset_by is not None or self.line.over:
                    raise Gone(f"reset by {self.reset_by}")
                window = min(self.line.h2.local_flow_control_window(self.number), self.line.h2.max_outbound_frame_size) if len(view) else 0
                piece, view = bytes(view[:window]), view[window:]
                self.line.do(lambda h: h.send_data(self.number, piece, end_stream=end and not len(view)))
            if not len(view):
                return

    def end(self, trailers=None):
        if trailers:
            self.line.do(lambda h: h.send_headers(self.number, list(trailers), end_stream=True))
        else:
            self.line.do(lambda h: h.end_stream(self.number))

    def answer(self, status=200, body=b"", headers=()):
        self.head(status, [("content-length", str(len(body))), *headers])
        self.send(body, end=True)

    def reset(self, code):
        self.line.do(lambda h: h.reset_stream(self.number, error_code=code))

    def wait_for_reset(self):
        with self.line.changed:
            self.line.changed.wait_for(lambda: self.reset_by is not None or self.line.over, PATIENCE)
        return self.reset_by


class Line:
    """One connection."""

    def __init__(self, origin, sock, number):
        self.origin, self.socket, self.number = origin, sock, number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.changed = threading.Condition(threading.RLock())
        self.streams, self.over, self.goaway, self.pings = {}, False, None, 0

    def do(self, action):
        with self.changed:
            if self.over:
                raise Gone("the connection is over")
            try:
                action(self.h2)
                self.flush()
            except (OSError, h2.exceptions.ProtocolError) as error:
                raise Gone(str(error)) from None

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def say_goodbye(self, last, code=0):
        """GOAWAY: of the streams this connection has taken, none above `last` was or will be processed."""
        self.do(lambda h: h.close_connection(error_code=code, last_stream_id=last))

    def raw(self, data):
        with self.changed:
            self.socket.sendall(data)

    def close(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def serve(self):
        try:
            with self.changed:
                if self.origin.settings:
                    self.h2.local_settings = h2.settings.Settings(client=False, initial_values={**dict(self.h2.local_settings), **self.origin.settings})
                self.h2.initiate_connection()
                self.flush()
            while not self.over:
                data = self.socket.recv(65536)
                if not data:
                    break
                with self.changed:
                    events = self.h2.receive_data(data)
                    begun = [stream for stream in map(self.happened, events) if stream]
                    self.flush()
                    self.changed.notify_all()
                for stream in begun:
                    threading.Thread(target=self.run, args=(stream,), daemon=True).start()
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError) as error:
            self.origin.errors.append(error)
        finally:
            self.close()

    def happened(self, event):
        if isinstance(event, h2.events.RequestReceived):
            stream = Stream(self, event.stream_id, event.headers, event.stream_ended is not None)
            self.streams[event.stream_id] = stream
            with self.origin.lock:
                self.origin.requests.append(stream)
            return stream
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.DataReceived) and stream:
            stream.received += len(event.data)
            stream.pieces.append((event.data, event.flow_controlled_length))
        elif isinstance(event, h2.events.TrailersReceived) and stream:
            stream.trailers = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded) and stream:
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset) and stream:
            stream.reset_by = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        return None

    def run(self, stream):
        try:
            self.origin.script(stream)
        except Gone:
            pass
        except h2.exceptions.ProtocolError as error:
            self.origin.errors.append(error)


class Origin:
    """`script(stream)` answers each request. `tls`: paths of certificate and key, and ALPN offers `protocols`. `settings`: of h2.settings.SettingCodes."""

    def __init__(self, script, tls=None, protocols=("h2",), settings=None, raw=None):
        self.script, self.settings, self.raw = script, settings, raw
        self.requests, self.lines, self.errors, self.lock = [], [], [], threading.Lock()
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
            self.context.set_alpn_protocols(list(protocols))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.begin, args=(sock,), daemon=True).start()

    def begin(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.errors.append(error)
            return sock.close()
        with self.lock:
            line = Line(self, sock, len(self.lines))
            self.lines.append(line)
        if self.raw:
            try:
                self.raw(line)
            except OSError as error:
                self.errors.append(error)
            return line.close()
        return line.serve()

    @property
    def connections(self):
        with self.lock:
            return len(self.lines)

    def close(self):
        self.listener.close()
        for line in list(self.lines):
            line.close()
