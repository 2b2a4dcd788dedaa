"""Which results have no order of their own, so that two right servers may return their rows in different orders.

Follows what a client sends and what each message is owed. `settle` sorts the rows of a result whose statement reads or
changes a table's rows without ORDER BY, and only those: every other frame, and every other row, stays where it is.
"""

import re
from collections import deque

# FETCH reads from a cursor, whose query has an order; the rows of INSERT .. RETURNING come as they were given.
_UNORDERED = re.compile(r"^(?!.*\border by\b).*\b(from|update) samples\b", re.IGNORECASE | re.DOTALL)
_READY = ("Z",)
_ENDS_RESULT = "CIs"


def has_no_order(sql):
    return _UNORDERED.match(sql) is not None


def _words(body, count):
    return [part.decode() for part in body.split(b"\0", count)[:count]]


def expected_of(message):
    """What a message is owed: tuples that begin with the type of the frame that answers it."""
    kind, body = message[:1].decode(), message[5:]
    if kind == "Q":
        statements = [sql for sql in _words(body, 1)[0].split(";") if sql.strip()]
        return [("C", None, has_no_order(sql)) for sql in statements] + [_READY]
    if kind == "P":
        name, sql = _words(body, 2)
        return [("1", name, has_no_order(sql))]
    if kind == "B":
        return [("2", *_words(body, 2))]
    if kind == "E":
        return [("C", _words(body, 1)[0], None)]
    return [_READY] if kind == "S" else []


class RowOrder:
    """One side's conversation. Two sides that are told the same start equal and must stay so."""

    def __init__(self):
        self._owed = deque()
        self._statements = {}  # by name: whether its rows have no order
        self._portals = {}

    def sent(self, messages):
        for message in messages:
            self._owed.extend(expected_of(message))

    def settle(self, frames):
        """The frames with the rows of each result without an order sorted."""
        settled, rows = [], []
        for frame in frames:
            if frame[0] == "D":
                rows.append(frame)
                continue
            is_unordered = self._answer(frame[0])
            settled += sorted(rows) if is_unordered else rows
            rows = []
            settled.append(frame)
        return settled + rows

    def _answer(self, kind):
        """Takes what this frame answers off the list; true when it ends a result without an order."""
        wanted = "C" if kind in _ENDS_RESULT else kind
        if kind == "E":  # what came behind it is not run
            failed = self._owed[0] if self._owed else _READY
            while self._owed and self._owed[0] != _READY:
                self._owed.popleft()
            return failed[0] == "C" and self._has_no_order(failed)
        if kind == "Z":  # an empty query, and a statement with semicolons of its own, are owed less than it seems
            while self._owed and self._owed.popleft() != _READY:
                pass
            return False
        if not self._owed or self._owed[0][0] != wanted:
            return False
        answered = self._owed.popleft()
        if kind == "1":
            self._statements[answered[1]] = answered[2]
        elif kind == "2":
            self._portals[answered[1]] = self._statements.get(answered[2], False)
        return wanted == "C" and self._has_no_order(answered)

    def _has_no_order(self, result):
        _, portal, is_unordered = result
        return self._portals.get(portal, False) if is_unordered is None else is_unordered
