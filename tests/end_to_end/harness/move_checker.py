"""Clients whose every acknowledged write is accounted for: what they did, through which proxy and by which protocol, is
compared with the rows at the end. An error of the server is a finding, unless the test breaks things: then what was under
way when a connection was lost counts as unknown, and may have happened once or not at all."""

import random
import threading
import time

from .processes import wait_until
from .wire_client import SYNC, ConnectionClosed, ServerError, WireClient, bind, execute, parse

APPEND = "INSERT INTO follows (user_id, followee_id) VALUES ($1, $2)"
LOST = (ConnectionClosed, OSError)


class Ledger:
    """What one client knows of its user's rows."""

    def __init__(self):
        self.appended, self.unknown_appends = set(), set()
        self.counter = self.unknown_counts = 0
        self.ids = []
        self.comments = self.unknown_comments = 0


class CheckedClient(threading.Thread):
    def __init__(self, checker, number, user, ports, pause_s):
        super().__init__(daemon=True)
        self.checker, self.number, self.user, self.ports, self.pause_s = checker, number, user, ports, pause_s
        self.random = random.Random(number)
        self.ledger = Ledger()
        self.next_value = -1
        self.turns = []  # (began, ended, what)
        self.findings, self.losses = [], []
        self.is_stopped = threading.Event()
        self.client, self.prepared = None, False

    def run(self):
        try:
            self._connect()
            self._one(lambda: self.client.query(f"INSERT INTO users (user_id) VALUES ({self.user})"))
            actions = self.actions()
            while not self.is_stopped.is_set():
                action = self.random.choice(actions)
                began = time.monotonic()
                try:
                    action()
                    self.turns.append((began, time.monotonic(), action.__name__))
                except ServerError as error:
                    self._on_error(action.__name__, error)
                except LOST as error:
                    self._on_loss(action.__name__, error)
                self.rest()
        except Exception as error:  # pylint: disable=broad-except
            self.findings.append(f"client {self.number} died: {error!r}")
        finally:
            if self.client:
                self.client.close()

    def actions(self):
        """What it does, at random."""
        return [self._append, self._append_prepared, self._append_unnamed, self._count, self._transaction, self._rollback,
                self._identify, self._read_elsewhere, self._pipeline]

    def rest(self):
        """Between two turns."""
        time.sleep(self.pause_s)

    def _on_error(self, action, error):
        if self.checker.breaks_things and error.fields.get("C", "")[:2] in ("08", "57", "MZ", "53"):
            self._on_loss(action, error)
        else:
            self.findings.append(f"client {self.number}, {action}: {error}")
            self._connect()

    def _on_loss(self, action, error):
        if not self.checker.breaks_things:
            self.findings.append(f"client {self.number}, {action}: {error!r}")
        self.losses.append(action)
        self._connect()

    def _connect(self):
        deadline = time.monotonic() + 60
        while True:
            if self.client:
                self.client.close()
            try:
                self.client = WireClient(self.random.choice(self.ports), timeout_s=60)
                self.client.login()
                self.prepared = False
                return
            except (*LOST, ServerError):
                if time.monotonic() > deadline or not self.checker.breaks_things:
                    raise
                time.sleep(0.05)

    @staticmethod
    def _one(action):
        action()

    def _extended(self, *messages):
        self.client.send(*messages)
        return self.client.rows(self.client.take_reply())

    # --- what clients do

    def _new_value(self):
        self.next_value -= 1
        self.ledger.unknown_appends.add(self.next_value)
        return self.next_value

    def _confirm(self, value):
        self.ledger.unknown_appends.discard(value)
        self.ledger.appended.add(value)

    def _refuse(self, value):
        self.ledger.unknown_appends.discard(value)

    def _append(self):
        value = self._new_value()
        self.client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({self.user}, {value})")
        self._confirm(value)

    def _append_prepared(self):
        value = self._new_value()
        messages = [] if self.prepared else [parse("append", APPEND, [20, 20])]
        self._extended(*messages, bind("", "append", [str(self.user), str(value)]), execute(), SYNC)
        self.prepared = True
        self._confirm(value)

    def _append_unnamed(self):
        value = self._new_value()
        self._extended(parse("", APPEND, [20, 20]), bind("", "", [str(self.user), str(value)]), execute(), SYNC)
        self._confirm(value)

    def _count(self):
        self.ledger.unknown_counts += 1
        [(count,)] = self.client.query(
            f"UPDATE users SET edit_count = edit_count + 1 WHERE user_id = {self.user} RETURNING edit_count")
        self._counted(int(count))

    def _counted(self, count):
        """It has grown by one, and by what may have happened unseen."""
        self.ledger.unknown_counts -= 1
        if not self.ledger.counter < count <= self.ledger.counter + 1 + self.ledger.unknown_counts:
            self.findings.append(f"client {self.number}: the counter is {count} behind {self.ledger.counter}, "
                                 f"{self.ledger.unknown_counts} unknown")
        self.ledger.unknown_counts -= count - self.ledger.counter - 1
        self.ledger.counter = count

    def _transaction(self):
        value = self._new_value()
        self.ledger.unknown_counts += 1
        self.ledger.unknown_comments += 1
        self.client.query("BEGIN")
        self.client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({self.user}, {value})")
        [(count,)] = self.client.query(
            f"UPDATE users SET edit_count = edit_count + 1 WHERE user_id = {self.user} RETURNING edit_count")
        self.client.query(f"INSERT INTO comments (user_id, body) VALUES ({self.user}, 'c')")
        self.client.query("COMMIT")
        self._confirm(value)
        self._counted(int(count))
        self.ledger.comments += 1
        self.ledger.unknown_comments -= 1

    def _rollback(self):
        value = self.next_value - 1_000_000
        self.client.query("BEGIN; SELECT 1")
        self.client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({self.user}, {value})")
        self.client.query("ROLLBACK")

    def _identify(self):
        [(row_id,)] = self.client.query(f"INSERT INTO media (user_id, caption) VALUES ({self.user}, 'm') RETURNING id")
        self.ledger.ids.append(int(row_id))

    def _read_elsewhere(self):
        """A write is seen at once, through whichever proxy."""
        before = len(self.ledger.appended)
        with WireClient(self.random.choice(self.ports), timeout_s=60) as other:
            other.login()
            [(count,)] = other.query(f"SELECT count(*) FROM follows WHERE user_id = {self.user}")
        if not before <= int(count) <= before + len(self.ledger.unknown_appends):
            self.findings.append(f"client {self.number}: {count} rows read, {before} were written")

    def _pipeline(self):
        values = [self._new_value() for _ in range(3)]
        messages = []
        for value in values:
            messages += [parse("", APPEND, [20, 20]), bind("", "", [str(self.user), str(value)]), execute()]
        self._extended(*messages, SYNC)
        for value in values:
            self._confirm(value)


class MoveChecker:
    """`with MoveChecker(...) as checker:` runs the clients; checker.findings() afterwards says what was wrong."""

    def __init__(self, cluster, users, ports, breaks_things=False, pause_s=0.002, client=CheckedClient):
        self.cluster, self.breaks_things = cluster, breaks_things
        self.clients = [client(self, number, user, ports, pause_s) for number, user in enumerate(users)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        self.wait_for_turns(5)
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.is_stopped.set()
        for client in self.clients:
            client.join(90)

    def wait_for_turns(self, count):
        """Every client does so many more."""
        before = [len(client.turns) for client in self.clients]
        wait_until(lambda: all(len(client.turns) >= turns + count or client.findings
                               for client, turns in zip(self.clients, before)),
                   lambda: f"{count} turns of everybody: {[len(client.turns) for client in self.clients]}", 90)

    def longest_turn_s(self, since):
        return max((end - begin for client in self.clients for begin, end, _ in client.turns if begin >= since), default=0)

    def findings(self):
        """Call it when the clients have stopped."""
        found = [finding for client in self.clients for finding in client.findings]
        found += [f"client {client.number} still runs" for client in self.clients if client.is_alive()]
        ids = set()
        for client in self.clients:
            found += self._account(client, ids)
        return found

    def _account(self, client, ids):
        ledger, node, user = client.ledger, self.cluster.node_of(client.user), client.user
        schema = f"shard_{self.cluster.shard_of(user):04}"
        query = lambda sql: node.query(sql.format(schema=schema, user=user))  # noqa: E731
        stored = {value for value, in query("SELECT followee_id FROM {schema}.follows WHERE user_id = {user}")}
        if lost := ledger.appended - stored:
            yield f"user {user}: {len(lost)} acknowledged rows are lost: {sorted(lost)[-3:]}"
        if more := stored - ledger.appended - ledger.unknown_appends:
            yield f"user {user}: {len(more)} rows that nobody has written: {sorted(more)[-3:]}"
        [(count,)] = query("SELECT edit_count FROM {schema}.users WHERE user_id = {user}")
        if not ledger.counter <= count <= ledger.counter + ledger.unknown_counts:
            yield f"user {user}: the counter is {count}, {ledger.counter} (and {ledger.unknown_counts}) were counted"
        [(count,)] = query("SELECT count(*) FROM {schema}.comments WHERE user_id = {user}")
        if not ledger.comments <= count <= ledger.comments + ledger.unknown_comments:
            yield f"user {user}: {count} comments, {ledger.comments} (and {ledger.unknown_comments}) were written"
        stored_ids = {value for value, in query("SELECT id FROM {schema}.media WHERE user_id = {user}")}
        if missing := set(ledger.ids) - stored_ids:
            yield f"user {user}: {len(missing)} media are lost"
        if len(set(ledger.ids)) != len(ledger.ids) or ids & set(ledger.ids):
            yield f"user {user}: an ID was given twice"
        ids |= set(ledger.ids)
