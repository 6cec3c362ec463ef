"""A connection to a PostgreSQL server for tests: its simple query protocol over a Unix socket, on which nobody is asked for a password. Only the standard library is used."""
import socket
import struct

NUMBERS = {16: lambda text: text == "t", 20: int, 21: int, 23: int, 26: int, 700: float, 701: float}  # by the object id of the type; all others are texts


class Refused(Exception):
    """What the server said instead of a result; `code` is the SQLSTATE."""

    def __init__(self, fields):
        super().__init__(fields.get("M"))
        self.code = fields.get("C")


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


class Connection:
    def __init__(self, folder, port, database, user, patience=60):
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(patience)
        try:
            self.line.connect(f"{folder}/.s.PGSQL.{port}")
        except OSError:
            self.line.close()
            raise
        self.received = self.line.makefile("rb")
        words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database, "client_encoding", "UTF8")) + b"\0"
        self.line.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        try:
            self._results()
        except Exception:
            self.close()
            raise

    def execute(self, statement, values=()):
        """The rows of the last of several statements, as tuples. Each `?` is replaced by a value: there is none in the texts of the statement."""
        first, *rest = statement.split("?")
        assert len(rest) == len(values), statement
        text = first + "".join(literal(value) + more for value, more in zip(values, rest))
        data = text.encode() + b"\0"
        self.line.sendall(b"Q" + struct.pack("!i", len(data) + 4) + data)
        return self._results()

    def _message(self):
        kind = self.received.read(1)
        if not kind:
            raise ConnectionError("the server closed the connection")
        size = struct.unpack("!i", self.received.read(4))[0] - 4
        return kind, self.received.read(size)

    def _results(self):
        rows, types, refused = [], [], None
        while True:
            kind, data = self._message()
            if kind == b"E":
                refused = Refused({field[:1].decode(): field[1:].decode() for field in data.split(b"\0") if field})
                if not rows and not types and refused.code.startswith(("28", "3D", "53", "57P")):
                    raise refused  # and nothing follows
            elif kind == b"T":
                rows, types, at = [], [], 2
                for _ in range(struct.unpack("!h", data[:2])[0]):
                    at = data.index(b"\0", at) + 1
                    types.append(struct.unpack("!i", data[at + 6:at + 10])[0])
                    at += 18
            elif kind == b"D":
                row, at = [], 2
                for each in types:
                    size = struct.unpack("!i", data[at:at + 4])[0]
                    at += 4
                    row.append(None if size < 0 else NUMBERS.get(each, str)(data[at:at + size].decode()))
                    at += max(size, 0)
                rows.append(tuple(row))
            elif kind == b"Z":
                if refused:
                    raise refused
                return rows

    def close(self):
        self.received.close()
        self.line.close()
