"""What the console's views count: real traffic, and numbers that move by as much as was done."""

import os
import socket
import threading
import time
import unittest

import psycopg2

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.processes import wait_until
from harness.wire_client import WireClient


class Views(EndToEndTest):
    shards = 8
    needs_mosaic = True
    config = {"pool": {"default_pool_size": 3, "query_wait_timeout": 60}, "limits": {"client_buffer_bytes": "64KiB"}}

    def console(self, command, **options):
        return self.cluster.console(command, **options)

    def connect(self, **options):
        connection = psycopg2.connect(**self.cluster.address(), **options)
        connection.autocommit = True
        self.addCleanup(connection.close)
        return connection

    def client(self, **parameters):
        client = self.enterContext(WireClient(self.cluster.port))
        client.login("app", "app", "photos", **parameters)
        return client

    def stats(self):
        return self.console("SHOW STATS")[0]

    def shape(self, text):
        return next((row for row in self.console("SHOW SHAPES") if row["shape"] == text), None)

    def row(self, view, **wanted):
        """Waits for the one row with these values."""
        def find():
            rows = self.console(f"SHOW {view}")
            return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)
        return wait_until(find, lambda: f"a row of {view} with {wanted}: {self.console(f'SHOW {view}')}")

    # --- traffic

    def test_bytes_are_those_that_clients_sent_and_got(self):
        client = self.client()
        client.query("SELECT name FROM users WHERE user_id = 1")
        before = self.stats()
        message = wire.query("SELECT repeat('x', 5000) FROM (SELECT count(*) FROM users WHERE user_id = 1) AS n")
        sent = got = 0
        for _ in range(7):
            client.send(message)
            sent += len(message)
            got += sum(len(frame.body) + 5 for frame in client.take_reply())
        after = self.stats()
        self.assertEqual(after["total_received"] - before["total_received"], sent)
        self.assertEqual(after["total_sent"] - before["total_sent"], got)
        totals = self.console("SHOW STATS_TOTALS")[0]
        self.assertEqual(totals["bytes_received"], after["total_received"])
        self.assertEqual(totals["bytes_sent"], after["total_sent"])

    def test_query_time_is_that_of_the_servers(self):
        client = self.client()
        client.query("SELECT name FROM users WHERE user_id = 1")
        before = self.stats()
        begin = time.monotonic()
        for _ in range(3):
            client.query("SELECT pg_sleep(0.1) FROM (SELECT count(*) FROM users WHERE user_id = 1) AS n")
        passed_us = (time.monotonic() - begin) * 1e6
        after = self.stats()
        for column in ("total_query_time", "total_xact_time"):
            spent = after[column] - before[column]
            self.assertGreaterEqual(spent, 300_000, column)
            self.assertLessEqual(spent, passed_us, column)
        self.assertEqual(after["total_query_count"] - before["total_query_count"], 3)

    # --- connections

    def test_servers_are_linked_to_their_clients(self):
        cursor = self.connect(application_name="linked").cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_backend_pid(), inet_client_addr(), inet_client_port(), count(*) FROM users "
                       "WHERE user_id = 5")
        pid, address, port, _ = cursor.fetchone()
        client = self.row("CLIENTS", application_name="linked")
        server = self.row("SERVERS", remote_pid=pid)
        self.assertEqual(client["link"], server["ptr"])
        self.assertEqual(server["link"], client["ptr"])
        self.assertEqual((server["local_addr"], server["local_port"]), (address, port))
        self.assertEqual(server["shard"], self.cluster.shard_of(5))
        cursor.execute("COMMIT")
        self.assertEqual(self.row("SERVERS", remote_pid=pid, state="idle")["link"], "")

    def test_connections_are_counted_in_one_instant(self):
        """Many clients in two workers pass few connections to and fro: each is listed once, at any time."""
        node = self.cluster.nodes[1]
        user = self.cluster.users_on(node, 1)[0]
        stop = threading.Event()

        def work():
            connection = psycopg2.connect(**self.cluster.address())
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not stop.is_set():
                    cursor.execute("SELECT pg_sleep(0.001), name FROM users WHERE user_id = %s", (user,))
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(self.console(f"SHOW SERVERS WHERE node = {node.name}")) == 3, "the pool to be full")
            workers = set()
            for _ in range(100):
                rows = self.console(f"SHOW SERVERS WHERE node = {node.name}")
                self.assertEqual(len({row["id"] for row in rows}), len(rows), rows)
                self.assertEqual(len(rows), 3, rows)
                workers |= {(row["id"], row["worker"]) for row in rows}
            self.assertGreater(len(workers), 3, "connections passed between the workers")
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_console_clients_are_clients(self):
        connection = psycopg2.connect(**self.cluster.address("operator", "pgbouncer"), application_name="watching")
        self.addCleanup(connection.close)
        row = self.row("CLIENTS", application_name="watching")
        self.assertEqual((row["user"], row["database"], row["state"], row["addr"]),
                         ("operator", "pgbouncer", "idle", "127.0.0.1"))
        with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
            self.assertEqual(row["port"], duplicate.getsockname()[1])
        pools = [row for row in self.console("SHOW POOLS") if row["database"] == "pgbouncer"]
        self.assertEqual(len(pools), 1)
        self.assertEqual((pools[0]["cl_active"], pools[0]["pool_mode"]), (2, "statement"))
        self.assertEqual(self.row("USERS", name="operator")["current_client_connections"], 2)
        self.assertEqual(self.row("DATABASES", name="pgbouncer")["current_client_connections"], 2)
        connection.close()
        wait_until(lambda: not [row for row in self.console("SHOW CLIENTS") if row["application_name"] == "watching"],
                   "the console's client to be gone")

    def test_users_without_connections_are_listed(self):
        self.assertEqual(self.row("USERS", name="watcher")["current_client_connections"], 0)

    # --- activity

    def test_activity_tells_what_runs_and_for_how_long(self):
        client = self.client(application_name="runs")
        client.send(wire.query("SELECT pg_sleep(60) FROM (SELECT count(*) FROM users WHERE user_id = 7) AS n"))
        row = wait_until(lambda: next((row for row in self.console("SHOW ACTIVITY") if row["application_name"] == "runs"
                                       and (row["query_time"] or 0) > 300_000), None), "the statement to run a while")
        self.assertEqual(row["statement"], "SELECT pg_sleep(?) FROM (SELECT count(*) FROM users WHERE user_id = ?) AS n")
        self.assertEqual((row["state"], row["waits_for"], row["node"], row["shard"]),
                         ("active", "server", self.cluster.node_of(7).name, self.cluster.shard_of(7)))
        client.cancel()
        self.assertEqual(wire.error_fields(client.take_until("E")[-1].body)["C"], "57014")

    def test_activity_tells_the_age_of_transactions(self):
        cursor = self.connect(application_name="holds").cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT name FROM users WHERE user_id = 7")
        row = wait_until(lambda: next((row for row in self.console("SHOW ACTIVITY") if row["application_name"] == "holds"
                                       and (row["xact_time"] or 0) > 300_000), None), "the transaction to grow old")
        self.assertEqual((row["waits_for"], row["statement"], row["query_time"]),
                         ("client", "SELECT name FROM users WHERE user_id = ?", None))
        cursor.execute("COMMIT")
        self.assertIsNone(self.row("ACTIVITY", application_name="holds")["xact_time"])

    def test_activity_tells_who_waits_for_a_server(self):
        user = self.cluster.users_on(self.cluster.nodes[1], 1)[0]
        holders = [self.connect().cursor() for _ in range(3)]
        for holder in holders:
            holder.execute("BEGIN")
            holder.execute("SELECT name FROM users WHERE user_id = %s", (user,))
        client = self.client(application_name="waits")
        client.send(wire.query(f"SELECT bio FROM users WHERE user_id = {user}"))
        row = self.row("ACTIVITY", application_name="waits", waits_for="pool")
        self.assertEqual((row["statement"], row["node"]),
                         ("SELECT bio FROM users WHERE user_id = ?", self.cluster.nodes[1].name))
        holders[0].execute("COMMIT")
        client.take_reply()

    def test_activity_tells_who_does_not_read(self):
        client = self.client(application_name="deaf")
        client.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000), "
                               "(SELECT count(*) FROM users WHERE user_id = 1) AS n"))
        row = self.row("ACTIVITY", application_name="deaf", waits_for="client_read")
        self.assertGreater(row["unsent"], 64 * 1024)

    # --- statements

    def test_shapes_count_each_protocol_in_one_row(self):
        client = self.client()
        users = self.cluster.users_on(self.cluster.nodes[0], 20)
        for user in range(1, 11):
            client.query(f"SELECT name, bio FROM users WHERE user_id = {user}")
        client.send(wire.parse("named", "SELECT name, bio FROM users WHERE user_id = $1"))
        for user in users:
            client.send(wire.bind("", "named", [str(user)]), wire.execute())
        client.send(wire.SYNC)
        client.take_reply()
        for user in range(1, 6):
            client.send(wire.parse("", "SELECT name, bio FROM users WHERE user_id = $1"), wire.bind("", "", [str(user)]),
                        wire.execute(), wire.SYNC)
            client.take_reply()
        client.query("PREPARE p AS SELECT name, bio FROM users WHERE user_id = $1")
        client.query("EXECUTE p(7)")
        rows = [row for row in self.console("SHOW SHAPES") if row["shape"].startswith("SELECT name, bio FROM users")]
        self.assertEqual([(row["shape"], row["calls"], row["errors"]) for row in rows],
                         [("SELECT name, bio FROM users WHERE user_id = ?", 10 + 20 + 5 + 1, 0)])

    def test_shapes_count_executions_rows_errors_and_time(self):
        users = self.cluster.users_on(self.cluster.nodes[0], 3)
        client = self.client()
        client.send(wire.parse("counted", "SELECT g, pg_sleep(0.01) FROM generate_series(1, 4) g, "
                               "(SELECT count(*) FROM users WHERE user_id = $1) n"), wire.SYNC)
        client.take_reply()
        text = ("SELECT g, pg_sleep(?) FROM generate_series(?, ?) g, "
                "(SELECT count(*) FROM users WHERE user_id = ?) n")
        for number in range(30):
            client.send(wire.bind("", "counted", [str(users[number % 3])]), wire.execute(), wire.SYNC)
            client.take_reply()
        client.send(wire.bind("", "counted", ["7" * 30]), wire.execute(), wire.SYNC)
        client.take_reply()
        row = self.shape(text[:60] + "...")
        self.assertEqual((row["calls"], row["errors"], row["rows"], row["placement"]), (31, 1, 120, "sharded"))
        self.assertGreaterEqual(row["total_time"], 30 * 40_000)
        self.assertGreaterEqual(row["p99_time"], 40_000)
        self.assertEqual(row["mean_time"], row["total_time"] // 31)
        self.assertEqual(self.row("SHAPE_TEXTS", id=row["id"])["shape"], text)

    def test_heat_tells_the_busy_shard(self):
        client = self.client()
        user = 4
        for _ in range(10):
            client.query(f"SELECT pg_sleep(0.02) FROM (SELECT count(*) FROM users WHERE user_id = {user}) AS n")
        shard = self.cluster.shard_of(user)
        row = self.row("HEAT", shard=shard)
        self.assertEqual(row["node"], self.cluster.node_of(user).name)
        for window in ("10s", "1m", "10m"):
            self.assertGreaterEqual(row[f"queries_{window}"], 10)
            self.assertGreaterEqual(row[f"time_{window}"], 200_000)

    # --- limits, locks

    def test_limits_tell_what_is_used(self):
        rows = {row["name"]: row for row in self.console("SHOW LIMITS")}
        before = rows["max_client_conn"]["used"]
        held = [self.connect() for _ in range(3)]
        row = self.row("LIMITS", name="max_client_conn", used=before + 3)
        self.assertEqual(row["value"], "10000")
        self.assertGreaterEqual(row["used_max"], before + 3)
        for connection in held:
            connection.close()
        self.assertGreaterEqual(self.row("LIMITS", name="max_client_conn", used=before)["used_max"], before + 3)
        config = {row["key"] for row in self.console("SHOW CONFIG")}
        self.assertGreaterEqual(rows.pop("open_files")["used"], before)
        for name in rows:
            self.assertTrue({name, f"mosaic.{name}"} & config, name)

    def test_blockers_tell_who_waits_for_whom(self):
        node = self.cluster.node_of(9)
        schema = f"shard_{self.cluster.shard_of(9):04}"
        outside = node.connect()
        self.addCleanup(outside.close)
        with outside.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {schema}.users")
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
            client = self.client(application_name="blocked")
            client.send(wire.query("SELECT name FROM users WHERE user_id = 9 AND bio <> 'secret'"))
            waiting = self.row("BLOCKERS", application_name="blocked")
            rows = self.console("SHOW BLOCKERS")
            cursor.execute("ROLLBACK")
        client.take_reply()
        self.assertEqual((rows[0]["process"], rows[0]["client"], rows[0]["application_name"]),
                         (str(pid), None, "e2e-direct"))
        self.assertTrue(waiting["process"].startswith("  "))
        self.assertEqual(waiting["node"], node.name)
        self.assertEqual(waiting["statement"], "SELECT name FROM users WHERE user_id = ? AND bio <> ?")
        self.assertEqual(waiting["waits_for"], f"relation AccessShareLock {schema}.users")
        self.assertEqual(waiting["client"], self.row("CLIENTS", application_name="blocked")["id"])
        self.assertEqual(self.console("SHOW BLOCKERS"), [])

    def test_blockers_do_not_wait_for_a_node_that_hangs(self):
        frozen = self.cluster.nodes[1]
        frozen.suspend()
        self.addCleanup(frozen.resume)
        rows = self.console("SHOW BLOCKERS")
        self.assertEqual([(row["node"], row["state"]) for row in rows], [(frozen.name, "not asked")])
        self.assertIn("no answer", rows[0]["statement"])

    def test_help_lists_every_view(self):
        commands = {row["command"] for row in self.console("SHOW HELP")}
        for view in ("ACTIVITY", "BLOCKERS", "EVENTS", "HEAT", "LIMITS", "SHAPES", "SHAPE_TEXTS"):
            self.assertIn(f"SHOW {view}", commands)
        for command in commands:
            if command.startswith("SHOW ") and command.isupper() and command != "SHOW VIEW":
                self.console(command)


if __name__ == "__main__":
    unittest.main()
