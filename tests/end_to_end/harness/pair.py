"""Two raw clients that are told the same: one through Mosaic, one straight to a plain PostgreSQL with the same tables.

Every exchange compares the two replies frame by frame. What may differ is left out here, and nowhere else: the table
numbers of a RowDescription, the schema and the source line in an error, backend keys, when a ParameterStatus comes (the
values that the client has seen by the end of the reply are compared instead), and the order of rows that no ORDER BY
fixes: each such result is compared as a multiset (row_order.py).
"""

import socket
import struct

from . import wire_client as wire
from .row_order import RowOrder
from .wire_client import WireClient

_ERROR_FIELDS = "VCMDHPtcdn"


class Difference(AssertionError):
    """The two servers answered differently."""


def comparable(part):
    """A frame as a tuple that must be equal on both sides; None for those that are not compared one by one."""
    if part.type in "SKR":
        return None
    if part.type == "T":
        return ("T", *wire.row_description(part.body))
    if part.type in "EN":
        fields = wire.error_fields(part.body)
        return (part.type, *((letter, fields[letter]) for letter in _ERROR_FIELDS if letter in fields))
    return (part.type, part.body)


def without_unused_descriptions(frames):
    """Leaves out each RowDescription that an error follows: whether an error shows when a statement is planned or when it
    runs is for the planner to say."""
    return [part for part, following in zip(frames, [*frames[1:], None])
            if not (part[0] == "T" and following and following[0] == "E")]


class Pair:
    def __init__(self, subject_address, direct_address, plans_alike=True):
        """`plans_alike`: False where one side may run a generic plan."""
        self._plans_alike = plans_alike
        self._addresses = (subject_address, direct_address)
        self.clients = []
        self.history = []
        self.is_in_transaction = False  # by the latest reply that ended with ReadyForQuery
        self._orders = (RowOrder(), RowOrder())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.abandon()

    def connect(self, **parameters):
        """(Re)connects both; startup parameters go to both."""
        self.abandon()
        for address in self._addresses:
            client = WireClient(address["port"], timeout_s=60)
            self.clients.append(client)
            client.login(address["user"], address["password"], address["dbname"], **parameters)
        self.history = [f"connect {parameters}"]
        self.is_in_transaction = False
        self._orders = (RowOrder(), RowOrder())
        self._compare_parameters()

    def abandon(self, reset=False):
        """Closes both connections without a word, with a TCP reset if so wished."""
        for client in self.clients:
            if reset:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        self.clients = []

    def terminate(self):
        for client in self.clients:
            client.terminate()
        self.clients = []

    def send(self, *messages):
        """Sends without waiting for a reply."""
        self.history.append(f"send {messages}")
        for order in self._orders:
            order.sent(messages)
        for client in self.clients:
            client.send(*messages)

    def exchange(self, *messages, until="Z", times=1):
        """Sends the messages and reads up to the `times`th frame of a type in `until`, on both; they must agree.

        Returns the frames that Mosaic sent.
        """
        self.send(*messages)
        return self.take(until, times)

    def take(self, until="Z", times=1, ignored=""):
        """`ignored`: types of messages that the two may differ in."""
        replies = []
        for client in reversed(self.clients):
            frames = []
            try:
                for _ in range(times):
                    frames += client.take_until(until)
            except (TimeoutError, wire.ConnectionClosed) as error:
                who = "mosaic" if client is self.clients[0] else "PostgreSQL"
                raise Difference(f"{who}: {type(error).__name__} after {self.shorten(frames)}\n{self.story()}") from error
            replies.append(frames)
        direct, subject = (order.settle([shown for shown in map(comparable, frames) if shown and shown[0] not in ignored])
                           for order, frames in zip(self._orders, replies))
        if not self._plans_alike:
            direct, subject = map(without_unused_descriptions, (direct, subject))
        if direct and direct[-1][0] == "Z":
            self.is_in_transaction = direct[-1][1] != b"I"
        if direct != subject:
            raise Difference(f"{self.story()}\nPostgreSQL: {self.shorten(direct)}\nmosaic:     {self.shorten(subject)}")
        self._compare_parameters()
        return replies[1]

    def _compare_parameters(self):
        subject, direct = (client.parameters for client in self.clients)
        if subject != direct:
            wrong = {name: (direct.get(name), subject.get(name)) for name in {**subject, **direct}
                     if direct.get(name) != subject.get(name)}
            raise Difference(f"{self.story()}\nparameters (PostgreSQL, mosaic): {wrong}")

    def query(self, sql):
        return self.exchange(wire.query(sql))

    def cancel_and_take(self):
        """Cancels what both are running until the replies come; the replies must agree."""
        for client in self.clients:
            client.socket.settimeout(0.5)
            for _ in range(40):
                client.cancel()
                try:
                    client.peek()
                    break
                except TimeoutError:
                    continue
            client.socket.settimeout(60)
        # A statement that was cancelled while it waited for a connection has not described its rows.
        return self.take(ignored="T")

    def story(self):
        return "after:\n  " + "\n  ".join(entry if len(entry) < 400 else entry[:400] + " ..." for entry in self.history[-12:])

    @staticmethod
    def shorten(frames):
        text = repr(frames)
        return text if len(text) < 3000 else text[:2000] + " ... " + text[-900:]
