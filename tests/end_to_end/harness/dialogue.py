"""One side of a conversation in raw messages: says them and reads back exactly what they are owed.

A Message is written as it is spoken of (`P("s", "SELECT 1")`, `B`, `D`, `E`, `C`, `H`, `S`, `Q`) and becomes bytes only
when it is sent: `{u}`, `{v}` and `{w}` in its texts stand for the keys of whoever runs the conversation. A Speaker counts
what PostgreSQL owes for what was said (PostgreSQL manual, "Message Flow"; postgres.c, PostgresMain: what is skipped up to
Sync; copyfromparse.c, CopyGetData: Flush and Sync within COPY), so that it never waits for a clock, except for a server
that owes and is silent. Knows nothing of Mosaic: what two servers said is compared by others.
"""

import socket
import struct
from collections import deque
from typing import NamedTuple

from . import wire_client as wire
from .pair import comparable
from .wire_client import WireClient

SILENCE = ("silence",)  # the server owes a reply and says nothing
CLOSED = ("closed",)


class Message(NamedTuple):
    kind: str
    arguments: tuple
    encoding: str = "utf-8"

    def encoded(self, keys):
        def fill(value):
            if isinstance(value, str):
                for name, key in keys.items():
                    value = value.replace("{" + name + "}", str(key))
                return value if self.encoding == "utf-8" or value.isascii() else value.encode(self.encoding)
            return tuple(map(fill, value)) if isinstance(value, (tuple, list)) else value
        return _BUILDERS[self.kind](*map(fill, self.arguments))

    def __str__(self):
        return f"{self.kind}({', '.join(map(repr, self.arguments))})" if self.arguments else self.kind


def _function_call(oid, values):
    """All in text form. PostgreSQL manual, "Message Formats", FunctionCall."""
    body = struct.pack("!Ihh", oid, 0, len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value.encode()
    return wire.frame("F", body + struct.pack("!h", 0))


def _raw(value):
    return value if isinstance(value, bytes) else value.encode()


def _parse(name, sql, types):
    return wire.frame("P", wire.text(name) + _raw(sql) + b"\0" + struct.pack(f"!h{len(types)}I", len(types), *types))


_BUILDERS = {
    "Q": lambda sql: wire.frame("Q", _raw(sql) + b"\0"),
    "P": _parse, "B": wire.bind, "D": wire.describe, "E": wire.execute, "C": wire.close,
    "H": lambda: wire.FLUSH, "S": lambda: wire.SYNC, "X": lambda: wire.TERMINATE, "F": _function_call,
    "d": lambda data: wire.frame("d", _raw(data)), "c": lambda: wire.frame("c"),
    "f": lambda reason: wire.frame("f", _raw(reason) + b"\0"),
}


def Q(sql):
    return Message("Q", (sql,))


def P(name, sql, types=()):
    return Message("P", (name, sql, tuple(types)))


def B(portal, statement, values=(), formats=(), result_formats=()):
    return Message("B", (portal, statement, tuple(values), tuple(formats), tuple(result_formats)))


def D(kind, name):
    return Message("D", (kind, name))


def E(portal="", rows_max=0):
    return Message("E", (portal, rows_max))


def C(kind, name):
    return Message("C", (kind, name))


def F(oid, *values):
    return Message("F", (oid, values))


def data(text):
    return Message("d", (text,))


def failed(reason="given up"):
    return Message("f", (reason,))


def spelled(encoding, *messages):
    """The messages in another encoding than UTF8."""
    return [message._replace(encoding=encoding) for message in messages]


H, S, X, DONE = (Message(kind, ()) for kind in "HSXc")


def run(sql, *values, describe=False):
    """A statement by the unnamed statement and portal, without Sync."""
    return [P("", sql), B("", "", values), *([D("P", "")] if describe else []), E()]


class Owed:
    """What a server owes for the messages said so far. Frames come off in `answered`."""

    def __init__(self):
        self._messages = deque()  # kinds; a Describe is D whatever it describes
        self._is_skipping = False  # an error in an extended message: nothing is owed before Sync
        self._is_copying_in = False  # the first message waits for CopyDone or CopyFail
        self.is_closing = False

    def said(self, messages):
        self._messages.extend(message.kind for message in messages)

    @property
    def is_copying_in(self):
        return self._is_copying_in

    @property
    def is_between_groups(self):
        """Nothing said is waiting for a Sync, and no COPY is under way."""
        self._settle()
        return not self._messages and not self._is_skipping and not self._is_copying_in

    def is_due(self):
        """Whether the server sends more, without hearing more."""
        self._settle()
        return self.is_closing or (not self._is_copying_in and any(kind in "QSFHX" for kind in self._messages))

    def _settle(self):
        waiting = self._messages
        while self._is_copying_in and len(waiting) > 1:
            kind = waiting[1]
            del waiting[1]
            if kind not in "dHS":  # what is not of a COPY ends it by an error
                self._is_copying_in = False
        while waiting and not self._is_copying_in:
            if waiting[0] == "X":
                self.is_closing = True
                waiting.clear()
            elif waiting[0] in "Hdcf" or (self._is_skipping and waiting[0] != "S"):
                waiting.popleft()
            else:
                return

    def answered(self, kind, is_fatal=False):
        first = self._messages[0] if self._messages else None
        if kind in "NSAK":
            return
        if kind == "E":
            self.is_closing = is_fatal
            self._is_copying_in = False
            if first not in ("Q", "F", "S"):
                self._is_skipping = True
        elif kind == "Z":
            self._is_skipping = False
            while self._messages and self._messages.popleft() not in "QSF":
                pass
        elif kind == "G":
            self._is_copying_in = True
        elif first and kind in {"P": "1", "B": "2", "C": "3", "D": "nT", "E": "CIs"}.get(first, ""):
            self._messages.popleft()


class Speaker:
    def __init__(self, address, keys=None, silence_s=60.0, **parameters):
        """Connects and logs in; `parameters` go into the start-up packet. `silence_s`: how long a reply may take."""
        self._origin = (address, keys, silence_s, parameters)
        self.keys = keys or {}
        self.owed = Owed()
        self.status = "I"  # by the latest ReadyForQuery
        self.is_closed = False
        self.wire = WireClient(address["port"], timeout_s=silence_s)
        self.wire.login(address["user"], address["password"], address["dbname"], **parameters)

    def another(self):
        """A second client of the same server and user."""
        address, keys, silence_s, parameters = self._origin
        return Speaker(address, keys, silence_s, **parameters)

    def say(self, messages):
        """Sends, and returns what is owed by now as comparable tuples; what the client knows of parameters comes last."""
        self.owed.said(messages)
        heard = []
        try:
            self.wire.send(*[message.encoded(self.keys) for message in messages])
            while self.owed.is_due():
                heard += self._take()
        except wire.ConnectionClosed:
            heard.append(CLOSED)
            self.is_closed = True
        except TimeoutError:
            heard.append(SILENCE)
            self.is_closed = True
        if heard and heard[-1][0] == "Z":
            heard.append(("parameters", dict(self.wire.parameters)))
        return heard

    def _take(self):
        part = self.wire.take_frame()
        shown = comparable(part)
        self.owed.answered(part.type, part.type == "E" and dict(shown[1:]).get("V") in ("FATAL", "PANIC"))
        if part.type == "Z":
            self.status = part.body.decode()
        if part.type == "A":  # the sender's process is not compared
            shown = ("A", part.body[4:])
        return [shown] if shown else []

    def leave(self, politely=True, reset=False):
        if reset:
            self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            if politely and not self.is_closed:
                self.wire.send(wire.TERMINATE)
        except wire.ConnectionClosed:
            pass
        self.wire.close()
        self.is_closed = True


def shown(frames):
    """Frames for people."""
    def one(part):
        if part[0] == "D" and len(part) == 2 and isinstance(part[1], bytes):
            return f"D{tuple(None if value is None else value[:60] for value in wire.data_row(part[1]))}"
        if part[0] in "EN" and len(part) > 2:
            fields = dict(part[1:])
            extra = "".join(f" {letter}={fields[letter]!r}" for letter in "DHP" if letter in fields)
            return f"{part[0]}[{fields.get('V')} {fields.get('C')} {fields.get('M')}{extra}]"
        if part[0] == "T":
            return f"T{[column[0] for column in part[1:]]}"
        if part[0] == "parameters":
            return "parameters"
        if len(part) > 1 and isinstance(part[1], bytes):
            return part[0] + (f"[{part[1].decode(errors='replace')}]" if part[1] else "")
        return " ".join(map(str, part))
    return "  ".join(map(one, frames)) or "(nothing)"


def parameters_apart(direct, subject):
    """{name: (PostgreSQL's, Mosaic's)} of the parameters by which two replies differ; None when frames differ too."""
    def split(frames):
        frames = list(frames)
        return frames, dict(frames.pop()[1]) if frames and frames[-1][0] == "parameters" else {}
    (direct, left), (subject, right) = split(direct), split(subject)
    if direct != subject:
        return None
    return {name: (left.get(name), right.get(name)) for name in {**left, **right} if left.get(name) != right.get(name)}
