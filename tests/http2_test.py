"""Every MUST of RFC 9113, sections 3 to 8, that a server can violate: frames written by hand, in clear and over TLS.

`/usr/bin/python3 tests/http2_test.py --table` prints docs/conformance/rfc9113.md, which is made from the cases below.
"""
import pathlib
import struct
import subprocess
import sys
import time
import unittest

import harness
from http2_client import *

CONTRACT = """
openapi: 3.1.0
info: {title: Two, version: '1'}
security: []
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    items: {schema: '#/components/schemas/Item', key: id}
paths:
  /items:
    get:
      operationId: listItems
      x-plimsoll: {table: items}
      responses: {'200': {description: ok}}
    post:
      operationId: createItem
      x-plimsoll: {table: items}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Item'}}}}
      responses: {'201': {description: ok}}
components:
  schemas:
    Item: {type: object, required: [name], properties: {id: {type: string, format: uuid}, name: {type: string}}}
"""

POST = head("POST", more=[("content-type", "application/json")])
BODY = b'{"name":"a"}'


def certificate(directory):
    """A self-signed certificate for localhost: the two paths."""
    crt, key = directory / "tls.crt", directory / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                    "-out", crt, "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    return crt, key


# What must happen. Each takes the client after the case's bytes were sent, and says what is wrong, or None.

def connection(*codes):
    """The connection ends with GOAWAY of one of these errors; streams are not served any more."""
    def check(client):
        client.until(lambda: client.ended, 2)
        if not client.ended:
            return "the connection goes on"
        if client.goaway() not in codes:
            return f"GOAWAY {client.goaway()} instead of {' or '.join(codes)}"
    check.says = "connection error " + " or ".join(codes)
    return check


def stream(*codes, number=1):
    """The stream is reset with one of these errors (or the whole connection is ended with it, section 5.4.2), and else the
    connection goes on."""
    def check(client):
        client.until(lambda: client.over(number) or client.ended, 2)
        if client.goaway():
            return None if client.goaway() in codes else f"GOAWAY {client.goaway()} instead of {codes}"
        if client.over(number) not in codes:
            return f"stream {number}: {client.over(number)} instead of {codes}"
        client.send(request(101))
        if client.answer(101, 2)[0] != 200:
            return "the connection does not go on"
    check.says = "stream error " + " or ".join(codes)
    return check


def answered(status, number=1, then=None):
    """The stream is answered, and the connection goes on."""
    def check(client):
        found = client.answer(number, 5)
        if found[0] != status:
            return f"status {found[0]} instead of {status}: {found}"
        if then:
            return then(client, found)
        client.send(request(101))
        if client.answer(101, 5)[0] != 200:
            return "the connection does not go on"
    check.says = f"answered {status}"
    return check


def contentless(status, *names):
    """Answered with these fields, each once, by a head that ends the stream."""
    def check(client):
        found, _, content = client.answer(1, 5)
        present = [name for name, _ in client.heads[1][0]]
        if found != status or content or client.of(DATA, 1) or any(present.count(name) != 1 for name in names):
            return f"{found} with {present} and {content!r}"
    check.says = f"answered {status}"
    return check


def acknowledged(client):
    client.until(lambda: any(f[1] & ACK for f in client.of(SETTINGS)), 2)
    return None if any(f[1] & ACK for f in client.of(SETTINGS)) else "SETTINGS not acknowledged"


acknowledged.says = "acknowledged"


def ponged(client):
    client.until(lambda: client.of(PING), 2)
    pongs = client.of(PING)
    return None if pongs and pongs[0][1] & ACK and pongs[0][3] == b"12345678" else f"no PING back: {pongs}"


ponged.says = "PING with ACK and the same payload"


def windowed(size):
    """With a window of `size` no more than that is sent until it is opened."""
    def check(client):
        client.until(lambda: client.of(DATA, 1), 2)
        client.until(lambda: False, 0.2)
        sent = sum(len(f[3]) for f in client.of(DATA, 1))
        if sent > size:
            return f"{sent} bytes within a window of {size}"
        client.send(frame(WINDOW_UPDATE, stream=1, payload=struct.pack("!I", 100_000)))
        return None if client.answer(1, 2)[0] == 200 else "not answered once the window opened"
    check.says = f"at most {size} bytes until WINDOW_UPDATE"
    return check


def negative(client):
    """A window of 3 is used up and made one of -1: it takes an update of 2 before one byte more is sent."""
    client.until(lambda: client.of(DATA, 1), 2)
    client.send(frame(SETTINGS, 0, 0, setting(4, 2)), frame(PING, 0, 0, b"12345678"))
    client.until(lambda: client.of(PING), 2)
    before = sum(len(f[3]) for f in client.of(DATA, 1))
    client.send(frame(WINDOW_UPDATE, stream=1, payload=u32(2)))
    client.until(lambda: sum(len(f[3]) for f in client.of(DATA, 1)) > before, 2)
    client.until(lambda: False, 0.2)
    sent = sum(len(f[3]) for f in client.of(DATA, 1))
    return None if (before, sent) == (3, 4) else f"{before} bytes, then {sent}"


negative.says = "nothing until WINDOW_UPDATE makes it positive"


PROTOCOL, SIZE, CLOSED, FLOW, COMPRESSION, CALM = ("PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "STREAM_CLOSED", "FLOW_CONTROL_ERROR",
                                                   "COMPRESSION_ERROR", "ENHANCE_YOUR_CALM")
setting = lambda number, value: struct.pack("!HI", number, value)  # noqa: E731
u32 = lambda value: struct.pack("!I", value)  # noqa: E731
opened = request(1, POST, end=False)
malformed = stream(PROTOCOL)


def block(*pairs, method="GET", scheme="http", path="/items", authority="test"):
    return request(1, head(method, path, scheme, authority, pairs))


def fields(*pairs):
    return request(1, b"".join(field(name, value) for name, value in pairs))


BASE = ((":method", "GET"), (":scheme", "http"), (":path", "/items"), (":authority", "test"))


def without(name, *more):
    return fields(*[pair for pair in BASE if pair[0] != name], *more)


# Fields as HPACK writes them (RFC 7541, section 6), the Huffman codes from its appendix C.
KEY, VALUE, AGENT = b"\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", b"\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", 58
REPRESENTATIONS = [("an indexed field", bytes([0x80 | AGENT]))] + [
    (f"a literal {how}, its name {named}, {coded}", (integer(AGENT, bits, first) if named == "indexed" else bytes([first]) + (KEY if coded == "with Huffman codes" else b"\x0acustom-key")) +
     (VALUE if coded == "with Huffman codes" else b"\x0ccustom-value"))
    for how, first, bits in (("that is indexed", 0x40, 6), ("without indexing", 0x00, 4), ("never indexed", 0x10, 4))
    for named in ("indexed", "new") for coded in ("with Huffman codes", "without")]

def rest(client):
    """Of a request that is answered: as much of it as is asked for, until it is asked off."""
    for _ in range(100):
        client.send(frame(DATA, 0, 1, b"x" * 16384))
        if client.until(lambda: client.of(RST_STREAM, 1), 0.01):
            return


# (section, what must be, what is sent after the preface, what must happen)
CASES = [
    ("3.4", "the server's preface is a SETTINGS frame, sent first", b"", lambda c: None if c.until(lambda: c.frames, 2) and c.frames[0][0] == SETTINGS and not c.frames[0][1] & ACK else "no SETTINGS first"),
    ("3.4", "an invalid preface is a connection error", ("raw", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), lambda c: None if not c.until(lambda: False, 3) and c.ended else "the connection goes on"),
    ("3.4", "the client's preface is followed by SETTINGS", ("raw", PREFACE + request(1)), connection(PROTOCOL)),
    ("4.1", "frames of unknown types are ignored", frame(0xEE, 0x55, 1, b"whatever") + request(1), answered(200)),
    ("4.1", "undefined flags are ignored", frame(HEADERS, END_HEADERS | END_STREAM | 0x42, 1, head()), answered(200)),
    ("4.1", "the reserved bit is ignored", frame(HEADERS, END_HEADERS | END_STREAM, 1 | 0x80000000, head()), answered(200)),
    ("4.2", "a DATA frame longer than SETTINGS_MAX_FRAME_SIZE is FRAME_SIZE_ERROR", opened + frame(DATA, 0, 1, b"x" * 16385), stream(SIZE)),
    ("4.2", "a DATA frame of 2^14 bytes is taken", request(1, head("POST", more=[("content-type", "text/plain")]), end=False) + frame(DATA, END_STREAM, 1, b"x" * 16384), answered(415)),
    ("4.2", "a HEADERS frame that is too long is a connection error", frame(HEADERS, END_HEADERS | END_STREAM, 1, head(more=[("x", "y" * 16400)])), connection(SIZE)),
    ("4.2", "a SETTINGS frame that is too long is a connection error", frame(SETTINGS, 0, 0, b"\0" * 16386), connection(SIZE)),
    ("4.2", "a frame too short for its mandatory fields is FRAME_SIZE_ERROR (PRIORITY)", opened + frame(PRIORITY, 0, 1, b"\0" * 4), stream(SIZE)),
    ("4.2", "a frame too short for its mandatory fields is FRAME_SIZE_ERROR (RST_STREAM)", opened + frame(RST_STREAM, 0, 1, b"\0" * 3), connection(SIZE)),
    ("4.3", "a block that cannot be decompressed is COMPRESSION_ERROR (index of nothing)", request(1, head() + b"\xff\xff\x03"), connection(COMPRESSION)),
    ("4.3", "a block that cannot be decompressed is COMPRESSION_ERROR (truncated literal)", request(1, head() + b"\x00\x05ab"), connection(COMPRESSION)),
    ("4.3", "a block that cannot be decompressed is COMPRESSION_ERROR (Huffman padding)", request(1, head() + b"\x00\x01a\x82\x00\x00"), connection(COMPRESSION)),
    ("4.3", "a table size above the limit is COMPRESSION_ERROR", request(1, integer(1 << 20, 5, 0x20) + head()), connection(COMPRESSION)),
    ("4.3", "a block is contiguous: another frame of the stream in it is a connection error", frame(HEADERS, END_STREAM, 1, head()) + frame(DATA, 0, 1, b"x"), connection(PROTOCOL)),
    ("4.3", "a block is contiguous: a frame of another stream in it is a connection error", frame(HEADERS, END_STREAM, 1, head()) + request(3), connection(PROTOCOL)),
    ("4.3", "a block is contiguous: a frame of unknown type in it is a connection error", frame(HEADERS, END_STREAM, 1, head()) + frame(0xEE, 0, 1, b""), connection(PROTOCOL)),
    ("4.3", "a refused block is decompressed all the same, and its fields are known later",
     request(1, b"".join(field(n, v, 0x40) for n, v in BASE) + field("BAD", "x")) + request(3, b"\xc1\xc0\xbf\xbe"), answered(200, 3)),
    *[("4.3", f"a block may hold {what}", request(1, head() + coded), answered(200)) for what, coded in REPRESENTATIONS],
    ("4.3", "an index is that of an earlier field: the table is that of all blocks", request(1, head() + field("a", "b", 0x40)) + request(3, head() + b"\xbe"), answered(200, 3)),
    *[("4.3", f"a size of the table {what}", request(1, changed + head()), answered(200)) for what, changed in
      (("of 0 is taken", b"\x20"), ("is taken twice before a block", b"\x20" + integer(4096, 5, 0x20)))],
    *[("4.3", f"a block that cannot be decompressed is COMPRESSION_ERROR ({what})", request(1, head() + coded), connection(COMPRESSION)) for what, coded in
      (("index 0", b"\x80"), ("a size behind a field", b"\x20"), ("an index behind the table", b"\xfe"), ("the name of an index behind the table", b"\x7e\x01a"),
       ("Huffman padding of a byte", b"\x00\x86\xf2\xb2\x4a\x84\xff\xff\x01a"), ("Huffman padding of zeros", b"\x00\x01a\x81\x18"), ("Huffman end of string", b"\x00\x01a\x84\xff\xff\xff\xfc"))],
    ("5.1", "idle: DATA is a connection error", frame(DATA, END_STREAM, 1, b"x"), connection(PROTOCOL)),
    ("5.1", "idle: RST_STREAM is a connection error", frame(RST_STREAM, 0, 1, u32(8)), connection(PROTOCOL)),
    ("5.1", "idle: WINDOW_UPDATE is a connection error", frame(WINDOW_UPDATE, 0, 1, u32(1)), connection(PROTOCOL)),
    ("5.1", "idle: CONTINUATION is a connection error", frame(CONTINUATION, END_HEADERS, 1, head()), connection(PROTOCOL)),
    ("5.1", "half-closed (remote): DATA is STREAM_CLOSED", request(1) + frame(DATA, END_STREAM, 1, b"x"), stream(CLOSED)),
    ("5.1", "half-closed (remote): HEADERS is STREAM_CLOSED", request(1) + request(1), stream(CLOSED)),
    ("5.1", "half-closed (remote): CONTINUATION is a connection error", request(1) + frame(CONTINUATION, END_HEADERS, 1, head()), connection(PROTOCOL)),
    ("5.1", "half-closed (remote): RST_STREAM is taken", request(1) + frame(RST_STREAM, 0, 1, u32(8)) + request(3), answered(200, 3)),
    ("5.1", "half-closed (remote): WINDOW_UPDATE and PRIORITY are taken", request(1) + frame(WINDOW_UPDATE, 0, 1, u32(1)) + frame(PRIORITY, 0, 1, u32(0) + b"\x01"), answered(200)),
    ("5.1", "closed by RST_STREAM: DATA is not an error of the others", opened + frame(RST_STREAM, 0, 1, u32(8)) + frame(DATA, END_STREAM, 1, b"x") + request(3), lambda c: None if (c.until(lambda: c.over(3) or c.ended, 2), c.over(3) == "ended" or c.goaway() == CLOSED)[1] else f"{c!r}"),
    ("5.1", "closed by RST_STREAM: DATA is STREAM_CLOSED", opened + frame(RST_STREAM, 0, 1, u32(8)) + frame(DATA, END_STREAM, 1, b"x"), stream(CLOSED)),
    ("5.1", "closed by RST_STREAM: HEADERS is STREAM_CLOSED", opened + frame(RST_STREAM, 0, 1, u32(8)) + request(1), stream(CLOSED)),
    ("5.1", "closed by RST_STREAM: CONTINUATION is a connection error", opened + frame(RST_STREAM, 0, 1, u32(8)) + frame(CONTINUATION, END_HEADERS, 1, head()), connection(PROTOCOL)),
    ("5.1", "closed: DATA on a finished stream is STREAM_CLOSED", ("after", request(1), frame(DATA, END_STREAM, 1, b"x")),
     lambda c: None if c.until(lambda: c.of(RST_STREAM, 1), 2) and c.of(RST_STREAM, 1)[0][3] == u32(5) else f"{c!r}"),
    ("5.1", "closed: CONTINUATION on a finished stream is a connection error", ("after", request(1), frame(CONTINUATION, END_HEADERS, 1, head())), connection(PROTOCOL)),
    ("5.1", "closed: WINDOW_UPDATE, RST_STREAM and PRIORITY on a finished stream are taken",
     ("after", request(1), frame(WINDOW_UPDATE, 0, 1, u32(1)) + frame(RST_STREAM, 0, 1, u32(8)) + frame(PRIORITY, 0, 1, u32(0) + b"\x01") + request(3)), answered(200, 3)),
    ("5.1", "closed: HEADERS on a finished stream is a connection error", ("after", request(1), request(1)), connection(CLOSED)),
    ("5.1", "PRIORITY is taken in any state, on an idle stream too", frame(PRIORITY, 0, 99, u32(0) + b"\x01") + request(1), answered(200)),
    ("5.1.1", "streams of clients are odd: an even one is a connection error", request(2), connection(PROTOCOL)),
    ("5.1.1", "a new stream is higher than those before: a lower one is a connection error", ("after", request(5), request(3)), connection(PROTOCOL)),
    ("5.1.2", "streams beyond SETTINGS_MAX_CONCURRENT_STREAMS are not served", b"".join(request(n, POST, end=False) for n in range(1, 205, 2)), lambda c: None if c.until(lambda: c.goaway() or c.over(203), 2) and (c.goaway() == PROTOCOL or c.over(203) in ("REFUSED_STREAM", PROTOCOL)) else f"stream 203: {c.over(203)}"),
    ("5.2.1", "what is sent stays within the stream's window", ("settings", setting(4, 10), request(1)), windowed(10)),
    ("5.2.2", "a window of one byte is served, however slowly", ("settings", setting(4, 1), request(1)), windowed(1)),
    ("7540, 5.3.1", "a stream that depends on itself is an error (PRIORITY)", frame(PRIORITY, 0, 1, u32(1) + b"\x01"), connection(PROTOCOL)),
    ("7540, 5.3.1", "a stream that depends on itself is an error (HEADERS)", frame(HEADERS, PRIORITIZED | END_HEADERS | END_STREAM, 1, u32(1) + b"\x01" + head()), connection(PROTOCOL)),
    *[("5.3.1", f"PRIORITY is taken with {what}", frame(PRIORITY, 0, on, u32(of) + bytes([weight])) + request(1), answered(200)) for what, on, of, weight in
      (("weight 1", 1, 0, 0), ("weight 256", 1, 0, 255), ("a dependency, before a lower stream", 3, 1, 0), ("an exclusive dependency", 1, 0x80000000, 0))],
    ("5.4.1", "GOAWAY is sent before the connection is closed, with the last stream served", ("after", request(1), frame(DATA, 0, 0, b"")), lambda c: connection(PROTOCOL)(c) or (None if c.of(GOAWAY)[-1][3][:4] == u32(1) else "wrong last stream")),
    ("5.5", "settings of unknown identifiers are ignored", frame(SETTINGS, 0, 0, setting(0x4242, 7)) + request(1), answered(200)),
    ("6.1", "DATA on stream 0 is a connection error", frame(DATA, 0, 0, b"x"), connection(PROTOCOL)),
    ("6.1", "padding as long as the payload is a connection error (DATA)", opened + frame(DATA, PADDED, 1, b"\x05abcd"), connection(PROTOCOL)),
    ("6.1", "padding is taken off", opened + frame(DATA, PADDED | END_STREAM, 1, b"\x04" + BODY + b"\0" * 4), answered(201)),
    ("6.2", "HEADERS on stream 0 is a connection error", request(0), connection(PROTOCOL)),
    ("6.2", "padding as long as the payload is a connection error (HEADERS)", frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, b"\xff" + head()), connection(PROTOCOL)),
    ("6.2", "padding and priority are taken off", frame(HEADERS, PADDED | PRIORITIZED | END_HEADERS | END_STREAM, 1, b"\x03" + u32(0) + b"\x10" + head() + b"\0\0\0"), answered(200)),
    ("6.3", "PRIORITY on stream 0 is a connection error", frame(PRIORITY, 0, 0, u32(0) + b"\x01"), connection(PROTOCOL)),
    ("6.3", "PRIORITY of other than 5 bytes is a stream error", opened + frame(PRIORITY, 0, 1, b"\0" * 6), stream(SIZE)),
    ("6.4", "RST_STREAM on stream 0 is a connection error", frame(RST_STREAM, 0, 0, u32(8)), connection(PROTOCOL)),
    ("6.4", "RST_STREAM of other than 4 bytes is a connection error", opened + frame(RST_STREAM, 0, 1, b"\0" * 5), connection(SIZE)),
    ("6.4", "after RST_STREAM nothing more is sent on the stream", opened + frame(RST_STREAM, 0, 1, u32(8)) + request(3), lambda c: None if c.answer(3, 2)[0] == 200 and not c.of(HEADERS, 1) else f"{c!r}"),
    ("6.5", "SETTINGS is acknowledged", b"", acknowledged),
    ("6.5", "SETTINGS with ACK and a payload is FRAME_SIZE_ERROR", frame(SETTINGS, ACK, 0, setting(1, 1)), connection(SIZE)),
    ("6.5", "SETTINGS on a stream is a connection error", frame(SETTINGS, 0, 1, b""), connection(PROTOCOL)),
    ("6.5", "SETTINGS of other than a multiple of 6 bytes is FRAME_SIZE_ERROR", frame(SETTINGS, 0, 0, b"\0" * 5), connection(SIZE)),
    ("6.5.2", "SETTINGS_ENABLE_PUSH other than 0 and 1 is a connection error", frame(SETTINGS, 0, 0, setting(2, 2)), connection(PROTOCOL)),
    ("6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 is FLOW_CONTROL_ERROR", frame(SETTINGS, 0, 0, setting(4, 1 << 31)), connection(FLOW)),
    ("6.5.2", "SETTINGS_MAX_FRAME_SIZE below 2^14 is a connection error", frame(SETTINGS, 0, 0, setting(5, 16383)), connection(PROTOCOL)),
    ("6.5.2", "SETTINGS_MAX_FRAME_SIZE above 2^24-1 is a connection error", frame(SETTINGS, 0, 0, setting(5, 1 << 24)), connection(PROTOCOL)),
    ("6.5.3", "settings are taken in order: the last of two counts", ("settings", setting(4, 1) + setting(4, 20), request(1)), windowed(20)),
    ("6.6", "PUSH_PROMISE from a client is a connection error", frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + head()), connection(PROTOCOL)),
    ("6.7", "PING is answered with ACK and the same payload", frame(PING, 0, 0, b"12345678"), ponged),
    ("6.7", "PING with ACK is not answered", frame(PING, ACK, 0, b"12345678") + request(1), lambda c: answered(200)(c) or ("PING answered" if c.of(PING) else None)),
    ("6.7", "PING on a stream is a connection error", frame(PING, 0, 1, b"12345678"), connection(PROTOCOL)),
    ("6.7", "PING of other than 8 bytes is FRAME_SIZE_ERROR", frame(PING, 0, 0, b"1234567"), connection(SIZE)),
    ("6.8", "GOAWAY on a stream is a connection error", frame(GOAWAY, 0, 1, u32(0) + u32(0)), connection(PROTOCOL)),
    ("6.8", "what was begun before a client's GOAWAY is served", request(1) + frame(GOAWAY, 0, 0, u32(0) + u32(0)), answered(200, then=lambda c, f: None)),
    ("6.8", "a client's GOAWAY does not end its connection", frame(GOAWAY, 0, 0, u32(0) + u32(0)) + frame(PING, 0, 0, b"12345678"), ponged),
    ("6.9", "WINDOW_UPDATE is taken", opened + frame(WINDOW_UPDATE, 0, 0, u32(1)) + frame(WINDOW_UPDATE, 0, 1, u32(1)) + frame(DATA, END_STREAM, 1, BODY), answered(201)),
    ("6.9", "WINDOW_UPDATE of 0 is an error of the stream", opened + frame(WINDOW_UPDATE, 0, 1, u32(0)), stream(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 0 on the connection is a connection error", frame(WINDOW_UPDATE, 0, 0, u32(0)), connection(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of other than 4 bytes is FRAME_SIZE_ERROR", frame(WINDOW_UPDATE, 0, 0, b"\0" * 3), connection(SIZE)),
    ("6.9.1", "a stream's window above 2^31-1 is FLOW_CONTROL_ERROR", opened + frame(WINDOW_UPDATE, 0, 1, u32(0x7FFFFFFF)), stream(FLOW)),
    ("6.9.1", "a connection's window above 2^31-1 is a connection error", frame(WINDOW_UPDATE, 0, 0, u32(0x7FFFFFFF)), connection(FLOW)),
    ("6.9.1", "a stream's window above 2^31-1 by several frames is FLOW_CONTROL_ERROR", opened + frame(WINDOW_UPDATE, 0, 1, u32(0x40000000)) * 2, stream(FLOW)),
    ("6.9.1", "a connection's window above 2^31-1 by several frames is a connection error", frame(WINDOW_UPDATE, 0, 0, u32(0x40000000)) * 2, connection(FLOW)),
    ("6.9.2", "a changed initial window changes that of open streams", ("settings", setting(4, 0), request(1) + frame(SETTINGS, 0, 0, setting(4, 1000))), answered(200)),
    ("6.9.2", "a window that became negative is waited for until it is positive", ("settings", setting(4, 3), request(1)), negative),
    ("6.9.2", "an initial window that makes an open stream's overflow is a connection error", opened + frame(WINDOW_UPDATE, 0, 1, u32(0x7FFF0000)) + frame(SETTINGS, 0, 0, setting(4, 0x7FFFFFFF)), connection(FLOW)),
    ("6.10", "CONTINUATION after a whole block is a connection error", opened + frame(CONTINUATION, END_HEADERS, 1, head()), connection(PROTOCOL)),
    ("6.10", "CONTINUATION on stream 0 is a connection error", frame(HEADERS, END_STREAM, 1, head()) + frame(CONTINUATION, END_HEADERS, 0, b""), connection(PROTOCOL)),
    ("6.10", "CONTINUATION of another stream is a connection error", frame(HEADERS, END_STREAM, 1, head()) + frame(CONTINUATION, END_HEADERS, 3, b""), connection(PROTOCOL)),
    ("6.10", "CONTINUATION behind DATA is a connection error", opened + frame(DATA, 0, 1, b"x") + frame(CONTINUATION, END_HEADERS, 1, head()), connection(PROTOCOL)),
    ("6.10", "CONTINUATION behind the end of a block is a connection error", frame(HEADERS, END_STREAM, 1, head()) + frame(CONTINUATION, END_HEADERS, 1, b"") * 2, connection(PROTOCOL)),
    ("6.10", "a block that goes on is followed by CONTINUATION", frame(HEADERS, 0, 1, POST) + frame(CONTINUATION, 0, 1, b"") + frame(DATA, END_STREAM, 1, BODY), connection(PROTOCOL)),
    ("6.10", "a block in several CONTINUATION frames is one", frame(HEADERS, END_STREAM, 1, head()[:5]) + frame(CONTINUATION, 0, 1, head()[5:20]) + frame(CONTINUATION, END_HEADERS, 1, head()[20:]), answered(200)),
    ("7", "unknown error codes are taken", opened + frame(RST_STREAM, 0, 1, u32(0xDEAD)) + request(3), answered(200, 3)),
    ("7", "unknown error codes of GOAWAY are taken", frame(GOAWAY, 0, 0, u32(0) + u32(0xDEAD)) + frame(PING, 0, 0, b"12345678"), ponged),
    ("8.1", "HEADERS in the middle of a request without END_STREAM is malformed", opened + frame(HEADERS, END_HEADERS, 1, field("a", "b")) + frame(DATA, END_STREAM, 1, BODY), malformed),
    ("8.1", "trailers end a request", opened + frame(DATA, 0, 1, BODY) + frame(HEADERS, END_HEADERS | END_STREAM, 1, field("a", "b")), answered(201)),
    ("8.1", "pseudo-header fields in trailers are malformed", opened + frame(DATA, 0, 1, BODY) + frame(HEADERS, END_HEADERS | END_STREAM, 1, field(":method", "GET")), malformed),
    ("8.1", "an answer to HEAD has its whole head and no content", request(1, head("HEAD")), contentless(200, "content-type", "content-length", "etag", "date")),
    ("8.1", "an answer of 204 has its whole head and no content", request(1, head("OPTIONS")), contentless(204, "allow", "date")),
    ("8.1", "an answer of 304 has its whole head and no content", request(1, head(more=[("if-none-match", "*")])), contentless(304, "etag", "date")),
    ("8.1.1", "content longer than content-length is malformed", request(1, head("POST", more=[("content-type", "application/json"), ("content-length", "3")]), end=False) + frame(DATA, END_STREAM, 1, BODY), malformed),
    ("8.1.1", "content shorter than content-length is malformed", request(1, head("POST", more=[("content-type", "application/json"), ("content-length", "300")]), end=False) + frame(DATA, END_STREAM, 1, BODY), malformed),
    ("8.1.1", "the sum of all DATA frames is compared with content-length", request(1, head("POST", more=[("content-type", "application/json"), ("content-length", "3")]), end=False) + frame(DATA, 0, 1, BODY[:2]) + frame(DATA, END_STREAM, 1, BODY[2:]), malformed),
    ("8.1.1", "content-length without content is malformed", block(("content-length", "3")), malformed),
    ("8.1.1", "a content-length that is no number is malformed", block(("content-length", "+0")), malformed),
    ("8.1.1", "two content-lengths are malformed", block(("content-length", "0"), ("content-length", "0")), malformed),
    ("8.2", "upper-case names are malformed", block(("X-Upper", "y")), malformed),
    ("8.2.1", "NUL in a name is malformed", block(("a\0b", "y")), malformed),
    ("8.2.1", "a blank in a name is malformed", block(("a b", "y")), malformed),
    ("8.2.1", "a colon within a name is malformed", block(("a:b", "y")), malformed),
    ("8.2.1", "a byte above 0x7e in a name is malformed", block((b"a\x80", "y")), malformed),
    ("8.2.1", "an empty name is malformed", block(("", "y")), malformed),
    ("8.2.1", "NUL in a value is malformed", block(("a", "x\0y")), malformed),
    ("8.2.1", "a line feed in a value is malformed", block(("a", "x\ny")), malformed),
    ("8.2.1", "a carriage return in a value is malformed", block(("a", "x\ry")), malformed),
    ("8.2.1", "a blank before a value is malformed", block(("a", " x")), malformed),
    ("8.2.1", "a blank behind a value is malformed", block(("a", "x ")), malformed),
    ("8.2.1", "a tab before a value is malformed", block(("a", "\tx")), malformed),
    ("8.2.2", "Connection is malformed", block(("connection", "keep-alive")), malformed),
    ("8.2.2", "Keep-Alive is malformed", block(("keep-alive", "timeout=5")), malformed),
    ("8.2.2", "Proxy-Connection is malformed", block(("proxy-connection", "keep-alive")), malformed),
    ("8.2.2", "Transfer-Encoding is malformed", block(("transfer-encoding", "chunked"), method="POST"), malformed),
    ("8.2.2", "Upgrade is malformed", block(("upgrade", "websocket")), malformed),
    ("8.2.2", "TE other than trailers is malformed", block(("te", "gzip")), malformed),
    ("8.2.2", "TE: trailers is taken", block(("te", "trailers")), answered(200)),
    ("8.2.2", "answers carry no connection-specific fields", request(1), lambda c: (lambda f: "connection field" if {"connection", "transfer-encoding", "keep-alive", "upgrade"} & set(f[1]) else None)(c.answer(1, 2))),
    ("8.2.3", "cookie crumbs are taken", block(("cookie", "a=1"), ("cookie", "b=2")), answered(200)),
    ("8.3", "an unknown pseudo-header field is malformed", block((":unknown", "x")), malformed),
    ("8.3", "a pseudo-header field of answers is malformed", block((":status", "200")), malformed),
    ("8.3", "a pseudo-header field behind another is malformed", fields(("a", "b"), *BASE), malformed),
    *[("8.3", f"a pseudo-header field that comes twice is malformed ({name})", fields(*BASE, (name, value)), malformed) for name, value in BASE[:3]],
    ("8.3.1", "no :method is malformed", without(":method"), malformed),
    ("8.3.1", "no :scheme is malformed", without(":scheme"), malformed),
    ("8.3.1", "no :path is malformed", without(":path"), malformed),
    ("8.3.1", "an empty :path is malformed", block(path=""), malformed),
    ("8.3.1", "a :path without slash is malformed", block(path="items"), malformed),
    ("8.3.1", "a :path with a fragment is malformed", block(path="/items#a"), malformed),
    ("8.3.1", "a :path with a blank is malformed", block(path="/it ems"), malformed),
    ("8.3.1", "a :path of * is for OPTIONS only", block(path="*"), malformed),
    ("8.3.1", "user information in :authority is malformed", block(authority="user:pass@test"), malformed),
    ("8.3.1", "an :authority that is none is malformed", block(authority="a b"), malformed),
    ("8.3.1", "a Host that is not :authority is malformed", block(("host", "other")), malformed),
    ("8.3.1", "two Host fields are malformed", without(":authority", ("host", "test"), ("host", "test")), malformed),
    ("8.3.1", "Host in place of :authority is taken", without(":authority", ("host", "test")), answered(200)),
    ("8.3.1", "a :method that is no token is malformed", block(method="GE T"), malformed),
    ("8.3.2", "an answer has exactly one :status, first", request(1), lambda c: None if c.answer(1, 2) and [n for n, _ in c.heads[1][0] if n.startswith(":")] == [":status"] == [c.heads[1][0][0][0]] else f"{c.heads[1]}"),
    ("8.4", "nothing is pushed", request(1) + request(3), lambda c: answered(200, 3)(c) or ("pushed" if c.of(PUSH_PROMISE) else None)),
    ("8.5", "CONNECT without tunnel is refused, not served", fields((":method", "CONNECT"), (":authority", "test:443")), lambda c: None if c.until(lambda: c.over(1), 2) and c.over(1) != "ended" or c.answer(1, 2)[0] in (405, 501) else f"{c!r}"),
    ("8.5", "CONNECT with :path is malformed", fields((":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":authority", "test:443")), lambda c: None if c.until(lambda: c.over(1) or c.goaway(), 2) and (c.over(1) == PROTOCOL or c.answer(1, 2)[0] in (405, 501)) else f"{c!r}"),
    ("8.7", "a request that was not processed is refused so that it can be repeated, and a valid one is processed once", request(1, POST, end=False) + frame(DATA, END_STREAM, 1, BODY), answered(201)),
    ("8.1", "an early answer is followed by RST_STREAM NO_ERROR where the rest of the request is long",
     lambda c: (c.until(lambda: c.of(SETTINGS), 2), c.send(request(1, head("POST", "/nothing"), end=False)), c.until(lambda: c.over(1), 2), rest(c)), lambda c: None if c.of(HEADERS, 1) and c.over(1) == "NO_ERROR" else f"{c!r}"),
    ("8.1", "an early answer is followed by no reset where the rest of the request is short", request(1, head("POST", "/nothing"), end=False) + frame(DATA, END_STREAM, 1, b"x" * 1000), lambda c: None if c.answer(1, 2)[0] == 404 and not c.of(RST_STREAM) else f"{c!r}"),
]


class Conformance(harness.ServerTest):
    def run_cases(self, port, tls):
        wrong = []
        for number, (section, must, sent, check) in enumerate(CASES):
            raw = isinstance(sent, tuple) and sent[0] == "raw"
            settings = sent[1] if isinstance(sent, tuple) and sent[0] == "settings" else b""
            began = time.monotonic()
            with Client(port, tls, preface=not raw, settings=settings) as client:
                if callable(sent):
                    sent(client)
                elif raw:
                    client.send(sent[1])
                elif isinstance(sent, tuple) and sent[0] == "after":
                    client.send(sent[1])
                    client.until(lambda: client.over(1) or client.over(5), 2)
                    client.send(sent[2])
                elif settings:
                    client.send(sent[2])
                else:
                    client.send(sent)
                try:
                    fault = check(client)
                except AssertionError as error:
                    fault = str(error)
                if fault:
                    wrong.append(f"{number} [{section}] {must}: {fault}")
                if time.monotonic() - began > 8:
                    wrong.append(f"{number} [{section}] {must}: took {time.monotonic() - began:.1f} s")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_in_clear(self):
        server = self.serve(CONTRACT)
        self.run_cases(server.port, tls=False)

    def test_over_tls(self):
        directory = self.directory()
        crt, key = certificate(directory)
        server = self.server(CONTRACT, f"tls: {{certificate: '{crt}', key: '{key}'}}", directory=directory)
        harness.Process.start(server)
        harness.until(lambda: reachable(server.port), server.describe)
        self.run_cases(server.port, tls=True)

    def test_malformed_requests_reach_no_handler(self):
        server = self.serve(CONTRACT)
        for section, must, sent, check in CASES:
            if check is malformed and isinstance(sent, bytes) and b"content-type" not in sent:
                with Client(server.port) as client:
                    client.send(sent)
                    check(client)
        server.stop()  # which writes the last lines of the log
        ours = [line for line in server.logged() if line.get("event") == "request" and line.get("path") != "/livez"]
        self.assertTrue(ours)
        self.assertEqual([line for line in ours if line.get("status") != 200], [])  # the requests that show that it goes on

    def test_random_cuts_change_nothing(self):
        import random
        chance = random.Random(harness.seed())
        server = self.serve(CONTRACT)
        for _ in range(20):
            with Client(server.port, preface=False) as client:
                rest = PREFACE + frame(SETTINGS) + b"".join(request(n) for n in range(1, 21, 2)) + request(21, POST, end=False) + frame(DATA, END_STREAM, 21, BODY)
                while rest:
                    size = chance.randrange(1, 60)
                    client.send(rest[:size])
                    rest = rest[size:]
                self.assertEqual(client.answer(21)[0], 201)
                self.assertEqual([client.over(n) for n in range(1, 21, 2)], ["ended"] * 10)

    def test_the_page_is_made_from_these_cases(self):
        page = harness.ROOT / "docs/conformance/rfc9113.md"
        self.assertEqual(page.read_text(), table(), f"write it again: /usr/bin/python3 tests/http2_test.py --table > {page}")


class Foreign(harness.ServerTest):
    """Debian's python3-h2 as a client: an implementation of its own."""

    def test_requests_bodies_and_many_streams(self):
        try:
            import h2.config
            import h2.connection
            import h2.events
        except ImportError:
            self.skipTest("python3-h2 is not installed: scripts/install-dependencies test")
        import socket
        server = self.serve(CONTRACT)
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
            talk.initiate_connection()
            base = [(":method", "GET"), (":scheme", "http"), (":path", "/items"), (":authority", "test")]
            for number in range(1, 61, 2):
                talk.send_headers(number, base, end_stream=True)
            post = [(":method", "POST"), *base[1:], ("content-type", "application/json"), ("content-length", str(len(BODY)))]
            talk.send_headers(61, post)
            talk.send_data(61, BODY, end_stream=True)
            line.sendall(talk.data_to_send())
            statuses, over = {}, set()
            while len(over) < 31:
                for event in talk.receive_data(line.recv(65536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        statuses[event.stream_id] = dict(event.headers)[":status"]
                    elif isinstance(event, h2.events.DataReceived):
                        talk.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        over.add(event.stream_id)
                    self.assertNotIsInstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated))
                line.sendall(talk.data_to_send())
            self.assertEqual(statuses, {**{n: "200" for n in range(1, 61, 2)}, 61: "201"})


def reachable(port):
    import socket
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def table():
    lines = ["# RFC 9113, what a server must do", "",
             "Each row is sent as raw frames, without TLS by prior knowledge and over TLS with ALPN, by `tests/http2_test.py`, which also makes this",
             "page. The client's frames are written by hand; answers are decoded by `python3-hpack`. A stream error may be answered by a",
             "connection error of the same code (section 5.4.2); no case takes longer than two seconds to be refused.", "",
             "What the 146 cases of the public program h2spec (2.6) send is among them. One is answered in another way than h2spec expects: DATA on a stream",
             "that both sides have finished is an error of the stream here, and one of the connection there. Section 5.1 permits both: \"An endpoint MAY treat",
             "receipt of any other type of frame on a closed stream as a connection error (Section 5.4.1) of type STREAM_CLOSED\".", "",
             "    /usr/bin/python3 tests/http2_test.py", "",
             f"{len(CASES)} cases.", "", "| section | what must be | what happens |", "|---|---|---|"]
    for section, must, _, check in CASES:
        lines.append(f"| {section} | {must} | {getattr(check, 'says', 'as said')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        print(table(), end="")
    else:
        harness.main()
