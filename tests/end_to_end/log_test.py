"""The log: what happens to clients and servers, why, and for how long they waited; one event is one line, without secrets."""

import contextlib
import json
import os
import re
import threading

import psycopg2

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.processes import wait_until
from harness.wire_client import ConnectionClosed, ServerError, WireClient

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC (debug|info|warning|error) \[\d+\] event=(\w+)(?: (.*))?$")
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


class Log(EndToEndTest):
    needs_mosaic = True
    shards = 8

    def setUp(self):
        super().setUp()
        self.addCleanup(self.reload, {}, {}, {})
        self.begin = len(self.cluster.log_so_far())

    def reload(self, mosaic, limits, pool):
        """Takes these settings beside those of the class."""
        for section, values, kept in (("mosaic", mosaic, ("workers", "state_dir")), ("limits", limits, ()),
                                      ("pool", pool, ("default_pool_size", "query_wait_timeout"))):
            settings = self.cluster.sections.setdefault(section, {})
            for key in [key for key in settings if key not in kept]:
                del settings[key]
            if section == "pool":
                settings.update(default_pool_size=20, query_wait_timeout=30)
            settings.update(values)
        self.cluster.write_files()
        self.cluster.console("RELOAD")

    def lines(self):
        text = self.cluster.mosaic.log_text()[self.begin:]
        return text[:text.rfind("\n") + 1].splitlines()

    def events(self, name, **wanted):
        """The events of this name with these fields, as dictionaries."""
        found = []
        for line in self.lines():
            match = LINE.match(line)
            self.assertTrue(match, line)
            fields = {key: json.loads(re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", value)) if value[0] == '"' else value
                      for key, value in FIELD.findall(match[3] or "")}
            if match[2] == name and all(fields.get(key) == value for key, value in wanted.items()):
                found.append(dict(fields, level=match[1]))
        return found

    def event(self, name, **wanted):
        """Waits for the first one."""
        return wait_until(lambda: (self.events(name, **wanted) or [None])[0],
                          lambda: f"event {name} {wanted}\n" + "\n".join(self.lines()[-40:]))

    def connect(self, **options):
        connection = psycopg2.connect(**self.cluster.address(), **options)
        connection.autocommit = True
        self.addCleanup(connection.close)
        return connection

    def refused(self, cursor, sql):
        with self.assertRaises(psycopg2.Error) as caught:
            cursor.execute(sql)
        return caught.exception

    def test_clients_come_and_go_with_a_reason(self):
        connection = self.connect(application_name="the log's")
        came = self.event("client_connected", application_name="the log's")
        self.assertEqual((came["user"], came["database"], came["addr"]), ("app", "photos", "127.0.0.1"))
        connection.close()
        left = self.event("client_left", client=came["client"])
        self.assertEqual((left["user"], left["reason"]), ("app", "the client has said goodbye"))
        self.assertGreaterEqual(float(left["connected_s"]), 0)
        client = WireClient(self.cluster.port)
        client.login("app", "app", "photos", application_name="rude")
        rude = self.event("client_connected", application_name="rude")
        client.close()
        self.assertIn("without a word", self.event("client_left", client=rude["client"])["reason"])

    def test_connections_can_be_left_out(self):
        self.reload({"log_connections": False, "log_disconnections": False}, {}, {})
        self.begin = len(self.cluster.log_so_far())
        self.connect().close()
        self.refused_login("nobody")
        self.event("login_failed", user="nobody")
        self.cluster.log_so_far()
        for name in ("client_connected", "client_left", "server_connected", "server_left"):
            self.assertEqual(self.events(name), [])

    def refused_login(self, user, password="wrong"):
        with WireClient(self.cluster.port) as client, self.assertRaises(ServerError):
            client.login(user, password, "photos")

    def test_names_from_outside_stay_in_their_line(self):
        self.refused_login('x\n2026-01-01 00:00:00.000 UTC error [1] event=forged user="root"\r\x1b[2J')
        failed = self.event("login_failed")
        self.assertTrue(failed["user"].startswith("x\n2026"))
        self.cluster.log_so_far()
        self.assertEqual(self.events("forged"), [])
        self.assertEqual(failed["level"], "warning")

    def test_no_secret_is_told(self):
        self.reload({"log_level": "trace", "log_min_duration": 0.001}, {}, {})
        self.refused_login("app", "hunter2-wrong")
        cursor = self.connect().cursor()
        cursor.execute("SELECT pg_sleep(0.05), 'card 4111 1111', count(*) FROM users WHERE user_id = 5")
        slow = self.event("slow_statement")
        self.assertEqual(slow["statement"], "SELECT pg_sleep(?), ?, count(*) FROM users WHERE user_id = ?")
        self.cluster.log_so_far()
        text = "\n".join(self.lines())
        for secret in ("hunter2", "4111", "SCRAM-SHA-256$"):
            self.assertNotIn(secret, text)

    def test_slow_statements_tell_where_the_time_went(self):
        self.reload({"log_min_duration": 0.2}, {}, {"default_pool_size": 1})
        user = self.cluster.users_on(self.cluster.nodes[1], 1)[0]
        holder, waiter = self.connect().cursor(), self.connect().cursor()
        holder.execute("BEGIN")
        holder.execute("SELECT count(*) FROM users WHERE user_id = %s", (user,))
        thread = threading.Thread(target=waiter.execute,
                                  args=("SELECT pg_sleep(0.3) FROM generate_series(1, 1), "
                                        "(SELECT count(*) FROM users WHERE user_id = %s) AS n", (user,)))
        thread.start()
        self.addCleanup(thread.join)
        wait_until(lambda: [row for row in self.cluster.console("SHOW CLIENTS") if row["state"] == "waiting"
                            and (row["wait"], row["wait_us"]) > (0, 300_000)], "a client to wait 0.3 s")
        holder.execute("COMMIT")
        slow = self.event("slow_statement", statement="SELECT pg_sleep(?) FROM generate_series(?, ?), "
                                                      "(SELECT count(*) FROM users WHERE user_id = ?) AS n")
        self.assertGreaterEqual(float(slow["waited_s"]), 0.3)
        self.assertGreaterEqual(float(slow["server_s"]), 0.3)
        self.assertLess(float(slow["client_s"]), 0.3)
        self.assertEqual((slow["node"], slow["user"], slow["shard"]),
                         (self.cluster.nodes[1].name, "app", str(self.cluster.shard_of(user))))

    def test_time_for_which_the_client_does_not_read_is_not_the_servers(self):
        self.reload({"log_min_duration": 0.2}, {"client_buffer_bytes": "64KiB"}, {})
        with WireClient(self.cluster.port) as client:
            client.login("app", "app", "photos", application_name="reads late")
            client.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 30000) "
                              "CROSS JOIN (SELECT count(*) FROM users WHERE user_id = 1) AS n"))
            held = wait_until(lambda: [row for row in self.cluster.console("SHOW CLIENTS")
                                       if row["application_name"] == "reads late" and row["state"] == "active"],
                              "the statement to run")
            self.assertTrue(held)
            # The server has answered long ago but for what does not fit into the buffers between.
            wait_until(lambda: [node for node in self.cluster.nodes if node.query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND now() - state_change > '2 s'")],
                       "the server to wait for its client")
            client.take_reply()
        slow = self.event("slow_statement", statement="SELECT repeat(?, ?) FROM generate_series(?, ?) CROSS JOIN "
                                                      "(SELECT count(*) FROM users WHERE user_id = ?) AS n")
        self.assertGreater(float(slow["client_s"]), float(slow["server_s"]))

    def test_timeouts_tell_which_statement(self):
        self.reload({}, {"query_timeout": 0.4}, {})
        cursor = self.connect().cursor()
        self.refused(cursor, "SELECT pg_sleep(60) FROM (SELECT count(*) FROM users WHERE user_id = 7) AS n")
        event = self.event("query_timeout")
        self.assertEqual(event["statement"], "SELECT pg_sleep(?) FROM (SELECT count(*) FROM users WHERE user_id = ?) AS n")
        self.assertEqual((event["shard"], event["node"]),
                         (str(self.cluster.shard_of(7)), self.cluster.node_of(7).name))
        self.assertGreaterEqual(float(event["elapsed_s"]), 0.4)
        self.assertEqual(self.event("client_left", client=event["client"])["reason"], "query timeout")

    def test_idle_clients_that_are_closed(self):
        self.reload({}, {"idle_transaction_timeout": 0.3, "client_idle_timeout": 0.6}, {})
        cursor = self.connect().cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT name FROM users WHERE user_id = 7")
        event = self.event("idle_transaction_timeout")
        self.assertEqual((event["user"], event["statement"]), ("app", "SELECT name FROM users WHERE user_id = ?"))
        self.connect()
        self.event("client_idle_timeout")

    def test_waiting_too_long_and_too_many_waiting(self):
        self.reload({}, {}, {"default_pool_size": 1, "query_wait_timeout": 1, "max_waiting_clients": 1})
        node = self.cluster.nodes[1]  # not that of logins
        user = self.cluster.users_on(node, 1)[0]
        holder = self.connect().cursor()
        holder.execute("BEGIN")
        holder.execute("SELECT count(*) FROM users WHERE user_id = %s", (user,))
        with contextlib.ExitStack() as stack:
            for _ in range(6):
                client = stack.enter_context(WireClient(self.cluster.port))
                client.login("app", "app", "photos")
                client.send(wire.query(f"SELECT name FROM users WHERE user_id = {user}"))
            late = self.event("query_wait_timeout")
            self.assertEqual((late["on"], late["statement"]),
                             (node.name, "SELECT name FROM users WHERE user_id = ?"))
            self.assertGreaterEqual(float(late["waited_s"]), 1)
            self.event("too_many_waiting")

    def test_login_that_takes_too_long(self):
        self.reload({}, {"client_login_timeout": 0.3}, {})
        with WireClient(self.cluster.port) as client:
            self.event("client_login_timeout")
            with self.assertRaises((ServerError, ConnectionClosed)):
                client.take_reply()

    def test_too_many_clients(self):
        self.reload({}, {"max_client_conn": 1}, {})
        self.connect()
        with self.assertRaises(psycopg2.OperationalError):
            self.connect()
        event = self.event("client_refused")
        self.assertEqual((event["reason"], event["limit"], event["user"]), ("max_client_conn", "1", "app"))

    def test_servers_come_and_go_with_a_reason(self):
        self.reload({}, {}, {"server_idle_timeout": 0.3})
        cursor = self.connect().cursor()
        cursor.execute("SELECT name FROM users WHERE user_id = 1")
        node = self.cluster.node_of(1).name
        left = self.event("server_left", reason="server_idle_timeout", node=node)
        self.assertRegex(self.cluster.mosaic.log_text(),
                         rf"event=server_connected node={node} user=app server={left['server']} "
                         rf"remote_pid={left['remote_pid']} local_port=\d+")

    def test_a_server_that_is_terminated(self):
        cursor = self.connect().cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_backend_pid(), count(*) FROM users WHERE user_id = 3")
        pid = cursor.fetchone()[0]
        self.cluster.node_of(3).query(f"SELECT pg_terminate_backend({pid})")
        lost = self.event("server_lost", remote_pid=str(pid))
        self.assertIn("administrator command", lost["message"])
        self.assertEqual(lost["node"], self.cluster.node_of(3).name)
        self.assertIn("lost", self.event("server_left", remote_pid=str(pid))["reason"])

    def test_reload_tells_what_changed_and_why_not(self):
        self.reload({}, {}, {"default_pool_size": 7})
        self.assertIn("pool.default_pool_size: 20 -> 7", self.event("reloaded")["changes"])
        self.cluster.sections["pool"]["no_such_key"] = 1
        self.cluster.write_files()
        with self.assertRaises(psycopg2.Error):
            self.cluster.console("RELOAD")
        self.assertIn("no_such_key", self.event("reload_refused")["reason"])
        self.assertEqual(self.event("console_command", command="RELOAD")["user"], "operator")

    def test_json(self):
        self.reload({"log_format": "json"}, {}, {})
        self.begin = len(self.cluster.log_so_far())
        self.refused_login("the \"json\"\n one")
        failed = wait_until(lambda: next((record for record in map(json.loads, self.lines())
                                          if record["event"] == "login_failed"), None), "the record")
        self.assertEqual((failed["user"], failed["level"]), ("the \"json\"\n one", "warning"))
        self.assertIsInstance(failed["port"], int)

    def test_floods_are_counted(self):
        self.reload({"log_rate_limit": 2}, {}, {})
        self.begin = len(self.cluster.log_so_far())
        for _ in range(30):
            self.refused_login("flood")
        told = wait_until(lambda: self.events("events_left_out", of="login_failed"), "the count of what was left out")
        self.cluster.log_so_far()
        written = len(self.events("login_failed"))
        self.assertLess(written, 30)
        self.assertGreater(sum(int(event["count"]) for event in told), 0)
        wait_until(lambda: len(self.events("login_failed")) + sum(
            int(event["count"]) for event in self.events("events_left_out", of="login_failed")) == 30,
                   "written and left out to be all")

    def test_a_reader_that_does_not_read_holds_nobody_up(self):
        unread = self.cluster.another_mosaic("unread", log_buffer="1KiB", log_rate_limit=0)
        port, log_path = unread.port, unread.log_path
        os.mkfifo(log_path)
        unread.log_text = lambda: "(not read)"
        reader = os.open(log_path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.addCleanup(unread.kill)
        unread.start()

        def lost():
            connection = psycopg2.connect(**dict(self.cluster.address("operator", "mosaic"), port=port))
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SHOW LIMITS WHERE name = 'log_buffer'")
                row = cursor.fetchone()
                hits = row[[column.name for column in cursor.description].index("hits")]
            connection.close()
            return int(hits)
        for number in range(600):  # far more than a pipe holds, two lines each
            with WireClient(port, timeout_s=30) as client:
                self.assertEqual(client.login().query(f"SELECT {number}"), [(str(number),)])
        text = b""

        def read_on():
            nonlocal text
            with contextlib.suppress(BlockingIOError):
                while True:
                    text += os.read(reader, 1 << 16)
            return b"event=log_lines_lost" in text
        wait_until(read_on, "the log to tell how many lines are lost")
        self.assertGreater(lost(), 0)
        lines = text[:text.rfind(b"\n")].decode().split("\n")
        self.assertEqual([line for line in lines if not LINE.match(line)], [])
        unread.clean_stop()

    def test_the_console_shows_the_last_events(self):
        self.refused_login("shown in EVENTS")
        self.event("login_failed", user="shown in EVENTS")
        rows = self.cluster.console("SHOW EVENTS WHERE event = login_failed")
        self.assertTrue([row for row in rows if 'user="shown in EVENTS"' in row["text"] and row["level"] == "warning"])
        self.reload({"event_history": 2}, {}, {})
        self.assertLessEqual(len(self.cluster.console("SHOW EVENTS")), 2)


if __name__ == "__main__":
    import unittest
    unittest.main()
