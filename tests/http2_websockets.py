"""A client of WebSockets over HTTP/2 (RFC 8441), for tests: Debian's python3-h2 on a socket, whose streams are read and written as sockets are."""
import socket
import ssl
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

import harness

OFFERED = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL


class Stream:
    """One stream, with what of a socket the tests use."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.status, self.headers, self.interim = None, None, []
        self.data, self.ended, self.reset_by, self.lingers = b"", False, None, True

    def wait(self, ready):
        with self.connection.changed:
            if not self.connection.changed.wait_for(lambda: ready() or self.reset_by is not None or self.connection.over, harness.PATIENCE):
                raise TimeoutError(f"stream {self.number}")
            return ready()

    def recv(self, size):
        if not self.wait(lambda: self.data or self.ended):
            raise ConnectionResetError(f"stream {self.number} reset by {self.reset_by}")
        with self.connection.changed:
            piece, self.data = self.data[:size], self.data[size:]
            if piece and not self.connection.over:
                self.connection.do(lambda h: h.acknowledge_received_data(len(piece), self.number))
        return piece

    def sendall(self, data):
        view = memoryview(data)
        while len(view):
            if not self.wait(lambda: self.connection.window(self.number) > 0):
                raise BrokenPipeError(f"stream {self.number} reset by {self.reset_by}")
            with self.connection.changed:
                size = min(self.connection.window(self.number), 16384, len(view))
                if size:
                    try:
                        self.connection.do(lambda h: h.send_data(self.number, bytes(view[:size])))
                    except h2.exceptions.StreamClosedError:  # a socket takes what the other side will not read, too
                        return
                    view = view[size:]

    def shutdown(self, _how):
        self.connection.do(lambda h: h.end_stream(self.number))

    def setsockopt(self, *_):
        self.lingers = False

    def settimeout(self, _):
        pass

    def reset(self, code=h2.errors.ErrorCodes.CANCEL):
        self.connection.do(lambda h: h.reset_stream(self.number, error_code=code))

    def close(self):
        """As that of a connection of its own."""
        if not self.connection.shared:
            return self.connection.close()
        try:
            self.reset()
        except (OSError, h2.exceptions.ProtocolError):
            pass


class Connection:
    def __init__(self, server, context=None, shared=False):
        self.shared = shared
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=harness.PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.socket.settimeout(None)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.changed = threading.Condition(threading.RLock())
        self.streams, self.over, self.settled, self.goaway, self.partial = {}, False, False, None, b""
        self.scheme = "https" if context else "http"
        with self.changed:
            self.h2.initiate_connection()
            self.flush()
        # Not two threads on one line of TLS (OpenSSL, "Thread safety").
        if context:
            self.socket.settimeout(0.02)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        with self.changed:
            self.changed.wait_for(lambda: self.settled or self.over, harness.PATIENCE)

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def do(self, action):
        with self.changed:
            if self.over:
                raise BrokenPipeError("the connection is over")
            action(self.h2)
            self.flush()

    def window(self, number):
        try:
            return self.h2.local_flow_control_window(number)
        except h2.exceptions.ProtocolError:
            return 0

    def read(self):
        try:
            while not self.over:
                if isinstance(self.socket, ssl.SSLSocket):
                    with self.changed:
                        try:
                            data = self.socket.recv(65536)
                        except TimeoutError:
                            continue
                else:
                    data = self.socket.recv(65536)
                if not data:
                    break
                with self.changed:
                    for event in self.h2.receive_data(self.without_goodbyes(data)):
                        self.happened(event)
                    self.flush()
                    self.changed.notify_all()
        except (OSError, h2.exceptions.ProtocolError):
            pass
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def without_goodbyes(self, data):
        """Whole frames but GOAWAY: python3-h2 takes a connection with one for closed, whatever is still open on it."""
        self.partial += data
        taken = b""
        while len(self.partial) >= 9 and len(self.partial) >= (size := 9 + int.from_bytes(self.partial[:3], "big")):
            if self.partial[3] == 7:
                self.goaway = self.partial[9:size]
            else:
                taken += self.partial[:size]
            self.partial = self.partial[size:]
        return taken

    def happened(self, event):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settled = True
        stream = self.streams.get(getattr(event, "stream_id", None))
        if not stream:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(event.headers)
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = harness.Headers([(name, value) for name, value in event.headers])
            stream.status = int(stream.headers[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.data += event.data
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset_by = int(event.error_code)

    def offers_websockets(self):
        return self.h2.remote_settings.get(OFFERED, 0) == 1

    def begin(self, fields, end=False):
        with self.changed:
            number = self.h2.get_next_available_stream_id()
            stream = self.streams[number] = Stream(self, number)
            self.do(lambda h: h.send_headers(number, fields, end_stream=end))
        return stream

    def close(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()
        lingers = all(stream.lingers for stream in self.streams.values())
        try:
            if not lingers:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.shutdown(socket.SHUT_RDWR if lingers else socket.SHUT_RD)
        except OSError:
            pass
        self.reader.join(harness.PATIENCE)  # a socket that is read is not closed
        self.socket.close()
