"""A raw PostgreSQL client: it sends exactly the bytes it is told to and shows every frame that comes back.

For the tests that drivers are too polite for. Protocol: PostgreSQL manual, "Frontend/Backend Protocol". Blocking, one
thread per client. `take_*` reads, the module's functions build frames.
"""

import base64
import hashlib
import hmac
import os
import select
import socket
import struct
from typing import NamedTuple

PROTOCOL_3_0 = 196608
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102


class Frame(NamedTuple):
    type: str
    body: bytes


class ServerError(Exception):
    """An ErrorResponse, with its fields by letter: C is the SQLSTATE, M the message, H the hint."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')}: {fields.get('M')} (hint: {fields.get('H')})")
        self.fields = fields
        self.sqlstate = fields.get("C")
        self.message = fields.get("M")
        self.hint = fields.get("H")


class ConnectionClosed(Exception):
    """The peer closed the connection (or reset it)."""


def frame(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def startup_packet(**parameters):
    body = struct.pack("!i", PROTOCOL_3_0)
    for key, value in parameters.items():
        body += text(key) + text(value)
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def query(sql):
    return frame("Q", text(sql))


def parse(name, sql, types=()):
    return frame("P", text(name) + text(sql) + struct.pack(f"!h{len(types)}I", len(types), *types))


def bind(portal, statement, values=(), formats=(), result_formats=()):
    """`values`: str (text form), bytes (as they are) or None."""
    body = text(portal) + text(statement)
    body += struct.pack(f"!h{len(formats)}h", len(formats), *formats) + struct.pack("!h", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            raw = value.encode() if isinstance(value, str) else value
            body += struct.pack("!i", len(raw)) + raw
    return frame("B", body + struct.pack(f"!h{len(result_formats)}h", len(result_formats), *result_formats))


def describe(kind, name):
    return frame("D", kind.encode() + text(name))


def execute(portal="", rows_max=0):
    return frame("E", text(portal) + struct.pack("!i", rows_max))


def close(kind, name):
    return frame("C", kind.encode() + text(name))


SYNC = frame("S")
FLUSH = frame("H")
TERMINATE = frame("X")


def error_fields(body):
    return {part[:1].decode(): part[1:].decode(errors="backslashreplace") for part in body.split(b"\0") if part}


def data_row(body):
    """The values of a DataRow as bytes or None."""
    count, = struct.unpack_from("!h", body)
    values, offset = [], 2
    for _ in range(count):
        length, = struct.unpack_from("!i", body, offset)
        offset += 4
        values.append(None if length < 0 else body[offset:offset + length])
        offset += max(length, 0)
    return values


def row_description(body):
    """(name, type oid, type modifier, format) of each column; table and attribute numbers are left out."""
    count, = struct.unpack_from("!h", body)
    columns, offset = [], 2
    for _ in range(count):
        end = body.index(b"\0", offset)
        name = body[offset:end].decode()
        _, _, type_oid, _, modifier, form = struct.unpack_from("!IhIhih", body, end + 1)
        columns.append((name, type_oid, modifier, form))
        offset = end + 1 + 18
    return columns


class WireClient:
    def __init__(self, port, host="127.0.0.1", timeout_s=60.0):
        self.port = port
        self.host = host
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parameters = {}
        self.backend_key = None
        self._received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- bytes and frames

    def send(self, *messages):
        try:
            self.socket.sendall(b"".join(messages))
        except (ConnectionResetError, BrokenPipeError) as error:
            raise ConnectionClosed() from error

    def take_bytes(self, count):
        while len(self._received) < count:
            try:
                chunk = self.socket.recv(max(65536, count - len(self._received)))
            except ConnectionResetError as error:
                raise ConnectionClosed() from error
            if not chunk:
                raise ConnectionClosed()
            self._received += chunk
        result = bytes(self._received[:count])
        del self._received[:count]
        return result

    def take_frame(self):
        kind, length = struct.unpack("!ci", self.take_bytes(5))
        result = Frame(kind.decode("latin-1"), self.take_bytes(length - 4))
        if result.type == "S":
            name, value, _ = result.body.split(b"\0")
            self.parameters[name.decode()] = value.decode()
        elif result.type == "K":
            self.backend_key = struct.unpack("!ii", result.body)
        return result

    def take_until(self, kinds):
        """Every frame up to and with the first whose type is in `kinds`."""
        frames = []
        while True:
            frames.append(self.take_frame())
            if frames[-1].type in kinds:
                return frames

    def take_reply(self):
        """Every frame up to ReadyForQuery."""
        return self.take_until("Z")

    def peek(self):
        """Waits for at least one more byte to take; false when the peer has closed."""
        if not self._received:
            self._received += self.socket.recv(65536)
        return bool(self._received)

    def is_all_taken(self):
        """The peer, on this machine, has read all that was sent: nothing waits in either socket."""
        ends = (self.socket.getsockname()[1], self.socket.getpeername()[1])
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        ports = lambda row: tuple(int(row[at].split(":")[1], 16) for at in (1, 2))
        queues = {ports(row): row[4].split(":") for row in rows}
        return int(queues[ends][0], 16) == 0 and int(queues[ends[::-1]][1], 16) == 0

    def has_more(self):
        """Something has come and was not taken yet. Waits for nothing."""
        return bool(self._received) or bool(select.select([self.socket], [], [], 0)[0])

    @property
    def received(self):
        """What has come and was not taken yet."""
        return bytes(self._received)

    def take_close(self):
        """What the peer sends before it closes; fails by time-out if it does not."""
        rest = bytearray(self._received)
        self._received.clear()
        while True:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                return bytes(rest)
            if not chunk:
                return bytes(rest)
            rest += chunk

    # --- login

    def login(self, user="app", password="app", database="photos", **parameters):
        """Startup, whatever authentication is asked for, up to ReadyForQuery. Raises ServerError when refused."""
        self.send(startup_packet(user=user, database=database, **parameters))
        self.authenticate(password)
        for part in self.take_until("ZE"):
            if part.type == "E":
                raise ServerError(error_fields(part.body))
        return self

    def authenticate(self, password):
        while True:
            answer = self.take_frame()
            if answer.type == "E":
                raise ServerError(error_fields(answer.body))
            if answer.type != "R":
                raise AssertionError(f"expected an authentication request, got {answer}")
            code, = struct.unpack_from("!i", answer.body)
            if code == 0:
                return
            if code != 10:
                raise AssertionError(f"authentication {code} is not spoken here")
            self._scram(password)

    def _scram(self, password):
        """RFC 5802 and RFC 7677, without channel binding."""
        nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=,r={nonce}"
        initial = f"n,,{first}".encode()
        self.send(frame("p", text("SCRAM-SHA-256") + struct.pack("!i", len(initial)) + initial))
        server_first = self._sasl(11).decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        if not fields["r"].startswith(nonce):
            raise AssertionError("the server's nonce does not extend ours")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        unsigned = f"c=biws,r={fields['r']}"
        everything = f"{first},{server_first},{unsigned}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), everything, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.send(frame("p", f"{unsigned},p={base64.b64encode(proof).decode()}".encode()))
        expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), everything, "sha256")
        if self._sasl(12) != b"v=" + base64.b64encode(expected):
            raise AssertionError("the server's SCRAM signature is wrong")

    def _sasl(self, code):
        answer = self.take_frame()
        if answer.type == "E":
            raise ServerError(error_fields(answer.body))
        if answer.type != "R" or struct.unpack_from("!i", answer.body)[0] != code:
            raise AssertionError(f"expected authentication {code}, got {answer}")
        return answer.body[4:]

    # --- ordinary use

    def query(self, sql):
        """One simple query; returns the rows of all its results as text. Raises the first ServerError."""
        self.send(query(sql))
        return self.rows(self.take_reply())

    @staticmethod
    def rows(frames):
        for part in frames:
            if part.type == "E":
                raise ServerError(error_fields(part.body))
        return [tuple(None if value is None else value.decode() for value in data_row(part.body))
                for part in frames if part.type == "D"]

    def cancel(self, key=None):
        """Sends a CancelRequest on a connection of its own and waits until the peer has closed it."""
        process, secret = key or self.backend_key
        with WireClient(self.port, self.host) as other:
            other.send(struct.pack("!iiii", 16, CANCEL_REQUEST, process, secret))
            other.take_close()

    def close(self):
        self.socket.close()

    def terminate(self):
        self.send(TERMINATE)
        self.close()
