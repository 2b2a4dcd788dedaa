"""One of three nodes is in trouble, each kind of trouble there is, while clients of all three are at work: the others' go on
as if nothing had happened, the console and the log tell the truth, and nobody is needed when it is over.

The table at the end shows what each client group has met. MOSAIC_TROUBLE_S: for how long each trouble lasts after it has
been noticed (default 3 s).
"""

import os
import random
import signal
import statistics
import threading
import time
import unittest

import psycopg2

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.postgres_node import APP_PASSWORD, APP_USER
from harness.processes import send_signal, start_relay, wait_until
from harness.wire_client import ServerError, WireClient

TROUBLE_S = float(os.environ.get("MOSAIC_TROUBLE_S", "3"))
FAILURES = {"MZ020", "MZ021", "MZ022", "08006", "53300", "57P01", "25P02"}  # that a client of the node in trouble may be told


class Client(threading.Thread):
    """Does one thing over and over; notes when each turn began and how long it took, and each error."""

    def __init__(self, group, port, turn):
        super().__init__(daemon=True)
        self.group, self.port, self.turn = group, port, turn
        self.stop_asked = threading.Event()
        self.turns = []   # (began, seconds)
        self.errors = []  # (began, sqlstate, message)
        self.broken = None

    def run(self):
        try:
            connection = WireClient(self.port, timeout_s=90).login()
            while not self.stop_asked.is_set():
                began = time.monotonic()
                try:
                    self.turn(connection)
                    self.turns.append((began, time.monotonic() - began))
                except ServerError as error:
                    self.errors.append((began, error.sqlstate, error.message + " " + error.fields.get("D", "")))
                    self.stop_asked.wait(0.02)
                except wire.ConnectionClosed:
                    self.errors.append((began, "08006", "closed"))
                    connection = WireClient(self.port, timeout_s=90).login()
                self.stop_asked.wait(0.004)
            connection.close()
        except Exception as error:  # shown by the test
            self.broken = error

    def count_since(self, moment):
        return sum(1 for began, _ in list(self.turns) if began >= moment)


def keyed(user):
    def turn(client):
        client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({user}, {random.randrange(1 << 60)})")
        client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}")
    return turn


def anywhere(client):
    if client.query("SELECT 1") != [("1",)] or client.query("SELECT count(*) FROM countries") != [("0",)]:
        raise AssertionError("a wrong answer")


def describing(client):
    """Parse and Describe of a keyed statement whose Bind comes later: any shard's node can say what it looks like."""
    column = f"c{random.randrange(1 << 60)}"  # a text that nobody has described before
    client.send(wire.parse("", f"SELECT count(*) AS {column} FROM follows WHERE user_id = $1", [20]),
                wire.describe("S", ""), wire.SYNC)
    client.rows(client.take_reply())


def logging_in(port):
    def turn(_):
        with WireClient(port, timeout_s=90) as client:
            client.login(TimeZone=f"Etc/GMT+{random.randrange(13)}")  # a welcome that is not known yet
    return turn


class NodeTrouble(EndToEndTest):
    node_count = 3
    shards = 24
    needs_mosaic = True
    node_settings = {"max_connections": "40", "superuser_reserved_connections": "10"}
    config = {"mosaic": {"workers": 2},
              "pool": {"default_pool_size": 5, "server_connect_timeout": 2, "query_wait_timeout": 20,
                       "node_probe_interval": 0.2, "node_stall_timeout": 2, "server_login_retry": 0.3}}
    rows = []  # of the table

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The first node is reached by a cable that can be cut.
        cls.relay, cls.relay_port = start_relay(cls.cluster.nodes[0].port, os.path.join(cls.cluster.folder, "relay.log"))
        cls.addClassCleanup(cls.relay.kill)
        cls.addClassCleanup(cls.print_table)
        cls.cluster.mosaic.clean_stop()
        cls.cluster.sections["nodes.pg1"]["port"] = cls.relay_port
        cls.cluster.write_files()
        cls.cluster.mosaic.start()

    @classmethod
    def print_table(cls):
        print("\n" + "\n".join(cls.rows), flush=True)

    def setUp(self):
        super().setUp()
        self.node = self.cluster.nodes[0]  # also the default node and the catalog's
        self.others = self.cluster.nodes[1:]
        self.clients = []
        self.blows = 1  # how often connections to the node are broken: what runs on them is lost
        for node in self.cluster.nodes:
            for user in self.cluster.users_on(node, 3):
                self.clients.append(Client(f"keyed on {node.name}", self.cluster.port, keyed(user)))
        self.clients += self.mobile_clients()
        wait_until(lambda: self.state() == "up", "the node to be up")
        self.log_before = len(self.cluster.log_so_far())
        for client in self.clients:
            client.start()
        self.addCleanup(self.stop_clients)
        self.wait_for_turns(time.monotonic(), 30, self.clients)

    def mobile_clients(self):
        """Those who need no node in particular."""
        return [Client("any node", self.cluster.port, anywhere), Client("any node", self.cluster.port, anywhere),
                Client("describe", self.cluster.port, describing), Client("log in", self.cluster.port, logging_in(self.cluster.port))]

    def stop_clients(self):
        for client in self.clients:
            client.stop_asked.set()
        for client in self.clients:
            client.join(100)

    def wait_for_turns(self, moment, count, clients):
        def have_all():
            for client in clients:
                if client.broken:
                    raise AssertionError(f"{client.group}: {client.broken!r}")
            return all(client.count_since(moment) >= count for client in clients)
        wait_until(have_all, lambda: f"{count} turns of everybody: " + ", ".join(
            f"{client.group} {client.count_since(moment)} {client.errors[-1:]}" for client in clients), 60)

    def row(self):
        return next(row for row in self.cluster.console("SHOW NODES") if row["name"] == self.node.name)

    def state(self):
        return self.row()["state"]

    def log_lines(self):
        lines = self.cluster.mosaic.log_text()[self.log_before:].splitlines()
        return [line.replace('\\"', '"') for line in lines if f" event=node node={self.node.name} " in line]

    def trouble(self, name, begin, end, state, log_says, back_says):
        """Those who are keyed to other nodes notice nothing; nor does who comes when the trouble is known and needs no node in
        particular. A statement that was on the node at the moment may hang or fail with it."""
        keyed_elsewhere = [client for client in self.clients if client.group.startswith("keyed") and client.group != "keyed on pg1"]
        began = time.monotonic()
        begin()
        wait_until(lambda: self.state() == state, lambda: f"SHOW NODES to say {state}: {self.row()}\n" + "\n".join(self.log_lines()))
        noticed_s = time.monotonic() - began
        wait_until(lambda: any(log_says in line for line in self.log_lines()), f"the log to say {log_says}")
        newcomers = self.mobile_clients()
        self.clients += newcomers
        for client in newcomers:
            client.start()
        during = time.monotonic()
        self.wait_for_turns(during, 30, keyed_elsewhere + newcomers)
        wait_until(lambda: time.monotonic() >= during + TROUBLE_S, "the trouble to have lasted", TROUBLE_S + 30)
        row = self.row()
        self.assertEqual(row["state"], state, row)
        self.assertTrue(row["last_error"], row)
        over = time.monotonic()
        end()
        wait_until(lambda: self.state() == "up", lambda: f"SHOW NODES to say up: {self.row()}", 60)
        recovered_s = time.monotonic() - over
        back = time.monotonic()
        self.wait_for_turns(back, 10, self.clients)
        self.stop_clients()
        for client in keyed_elsewhere + newcomers:
            self.assertEqual(client.errors, [], client.group)
        for client in self.clients:
            told = {sqlstate for _, sqlstate, _ in client.errors}
            self.assertLessEqual(told, FAILURES, client.errors[-5:])
            if client.group == "log in":
                self.assertEqual(client.errors, [])  # one that was under way has been asked of another node
            elif not client.group.startswith("keyed"):
                self.assertLessEqual(len(client.errors), self.blows, (client.group, client.errors))
        lines = self.log_lines()
        self.assertEqual(sum(log_says in line for line in lines), 1, lines)
        self.assertEqual(sum(back_says in line for line in lines), 1, lines)
        after = self.row()
        for counter in ("connect_failures", "refused_logins", "changes"):
            self.assertGreaterEqual(int(after[counter]), int(row[counter]))
        self.note(name, began, over, noticed_s, recovered_s)
        return row

    def note(self, name, began, over, noticed_s, recovered_s):
        if not self.rows:
            self.rows.append(f"{'trouble of pg1':<16}{'clients':<16}{'p99 before':>12}{'p99 during':>12}{'longest':>10}{'errors':>8}"
                             f"{'noticed':>10}{'recovered':>11}")
        for group in dict.fromkeys(client.group for client in self.clients):
            members = [client for client in self.clients if client.group == group]
            before = [took for client in members for at, took in client.turns if at + took < began]
            within = [took for client in members for at, took in client.turns if began <= at < over]
            errors = sum(len(client.errors) for client in members)
            p99 = lambda values: statistics.quantiles(values, n=100)[98] * 1000 if len(values) > 1 else 0  # noqa: E731
            self.rows.append(f"{name:<16}{group:<16}{p99(before):>9.1f} ms{p99(within):>9.1f} ms{max(within, default=0) * 1000:>7.0f} ms"
                             f"{errors:>8}{noticed_s:>8.1f} s{recovered_s:>9.1f} s")
            name = ""

    def test_frozen(self):
        self.addCleanup(self.node.resume)
        self.trouble("frozen", self.node.suspend, self.node.resume, "slow", "does not answer", "is up again")

    def test_cut_off(self):
        def join():
            send_signal(self.relay.pid, signal.SIGCONT)
        self.addCleanup(join)
        self.trouble("cut off", lambda: send_signal(self.relay.pid, signal.SIGSTOP), join, "slow", "does not answer",
                     "is up again")

    def test_killed(self):
        self.trouble("killed", self.node.kill, self.node.start, "down", "is down", "is up again")
        self.assertTrue(any(client.errors for client in self.clients if client.group == "keyed on pg1"))

    def drop_pooled(self):
        self.blows += 1
        self.node.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND application_name <> 'filler'",
                        (APP_USER,))

    def held_by_mosaic(self):
        return self.node.query("SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name <> 'filler'",
                               (APP_USER,))[0][0]

    def test_refusing_a_user(self):
        def change():
            self.node.query(f"ALTER ROLE {APP_USER} PASSWORD 'another'")
            self.drop_pooled()

        def change_back():
            self.node.query(f"ALTER ROLE {APP_USER} PASSWORD '{APP_PASSWORD}'")
        self.addCleanup(change_back)
        row = self.trouble("password", change, change_back, "refusing", "does not let user", "lets user")
        self.assertIn(APP_USER, row["refused_users"])
        self.assertIn("password authentication failed", row["last_error"])

    def test_full(self):
        held = []

        def fill():
            # Whoever is no superuser finds no place left: each one that the pool loses is taken at once.
            while self.held_by_mosaic() > 0 or not held:
                self.drop_pooled()
                try:
                    while True:
                        held.append(psycopg2.connect(host="127.0.0.1", port=self.node.port, user=APP_USER,
                                                     password=APP_PASSWORD, dbname="photos", application_name="filler"))
                except psycopg2.OperationalError:
                    pass

        def empty():
            while held:
                held.pop().close()
        self.addCleanup(empty)
        row = self.trouble("full", fill, empty, "refusing", "does not let user", "lets user")
        self.assertRegex(row["last_error"], "too many clients|connection slots")


if __name__ == "__main__":
    unittest.main()
