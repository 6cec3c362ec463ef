"""HTTP/2 frame by frame, for tests: nothing here corrects a mistake that a test makes on purpose. Requests are written with
literal fields only (RFC 7541, section 6.2.2); answers are decoded by Debian's python3-hpack."""
import socket
import ssl
import struct
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITIZED = 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NAMES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
         "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    return struct.pack("!I", len(payload) if length is None else length)[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def integer(value, bits, first=0):
    """RFC 7541, section 5.1."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = [first | most]
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def field(name, value, first=0x00):
    """A literal field; `first` 0x40 puts it into the table."""
    name, value = (text.encode("latin-1") if isinstance(text, str) else text for text in (name, value))
    return bytes([first]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def head(method="GET", path="/items", scheme="http", authority="test", more=()):
    pairs = [(":method", method), (":scheme", scheme), (":path", path), (":authority", authority)]
    return b"".join(field(name, value) for name, value in pairs if value is not None) + b"".join(field(n, v) for n, v in more)


def request(stream, block=None, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, head() if block is None else block)


class Client:
    """One connection. What was received is in `frames`: (kind, flags, stream, payload)."""

    def __init__(self, port, tls=False, preface=True, settings=b"", patience=5):
        self.patience = patience
        self.line = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.line = context.wrap_socket(self.line, server_hostname="localhost")
        self.frames, self.buffer, self.ended, self.acknowledges = [], b"", False, True
        self.decoder = None
        if preface:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.line.close()

    def send(self, *parts):
        try:
            self.line.sendall(b"".join(parts))
        except OSError:
            self.ended = True

    def read(self, within):
        """Reads once; True when something came."""
        if self.ended:
            return False
        self.line.settimeout(max(within, 0.001))
        try:
            piece = self.line.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            piece = b""
        if not piece:
            self.ended = True
            return False
        self.buffer += piece
        while len(self.buffer) >= 9:
            size = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + size:
                break
            kind, flags, stream = struct.unpack("!BBI", self.buffer[3:9])
            payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
            self.frames.append((kind, flags, stream & 0x7FFFFFFF, payload))
            if kind == SETTINGS and not flags & ACK and self.acknowledges:
                self.send(frame(SETTINGS, ACK))
        return True

    def until(self, done, within=None):
        deadline = time.monotonic() + (within or self.patience)
        while not done() and not self.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.read(left)
        return done()

    def of(self, kind, stream=None):
        return [f for f in self.frames if f[0] == kind and (stream is None or f[2] == stream)]

    def over(self, stream):
        """How a stream ended: `ended`, the name of a reset's error, or None."""
        for kind, flags, at, payload in self.frames:
            if at == stream and kind == RST_STREAM:
                return NAMES[int.from_bytes(payload, "big")]
        return "ended" if any(f[1] & END_STREAM for f in self.frames if f[2] == stream and f[0] in (DATA, HEADERS)) else None

    def goaway(self):
        """The error's name of the last GOAWAY, or None."""
        found = self.of(GOAWAY)
        return NAMES[int.from_bytes(found[-1][3][4:8], "big")] if found else None

    def answer(self, stream, within=None):
        """(status, fields, body) of a stream, once it has ended. Opens no windows."""
        if not self.until(lambda: self.over(stream), within):
            raise AssertionError(f"stream {stream} not answered: {self!r}")
        import hpack
        self.decoder = hpack.Decoder()
        fields, self.heads = {}, {}
        for kind, flags, at, payload in self.frames:  # in order, because the table is shared
            if kind == HEADERS:
                pairs = self.decoder.decode(payload)
                self.heads.setdefault(at, []).append(pairs)
                decoded = dict(pairs)
                if at == stream and ":status" in decoded and not decoded[":status"].startswith("1"):
                    fields = decoded
        body = b"".join(f[3] for f in self.of(DATA, stream))
        return int(fields.get(":status", 0)), fields, body

    def __repr__(self):
        return f"ended={self.ended} " + " ".join(f"{f[0]}/{f[1]:x}@{f[2]}:{f[3][:24]!r}" for f in self.frames[-12:])
