"""How mosaic leaves: open transactions finish, everybody else is told, and nothing stays behind."""

import signal
import socket
import unittest

from harness import wire_client as wire
from harness.cluster import Cluster, is_plain
from harness.processes import wait_until
from harness.wire_client import ConnectionClosed, ServerError, WireClient


class Shutdown(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if is_plain():
            raise RuntimeError("Shutdown tests Mosaic itself")
        cls.cluster = Cluster(node_count=2, shards=4)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start_nodes()
        cls.cluster.initialise()

    def setUp(self):
        self.mosaic = self.cluster.mosaic
        self.mosaic.start()
        self.addCleanup(self.mosaic.kill)

    def client(self):
        client = WireClient(self.cluster.port, timeout_s=20)
        self.addCleanup(client.close)
        return client.login()

    def wait_until_refusing(self):
        def refused():
            try:
                with WireClient(self.cluster.port, timeout_s=5) as client:
                    client.login()
                return False
            except (ServerError, ConnectionClosed, ConnectionRefusedError, OSError):
                return True
        wait_until(refused, "new clients to be refused")

    def assert_told_and_closed(self, client):
        """What an idle client sees: nothing, or FATAL 57P01, and then the end."""
        rest = client.take_close()
        if rest:
            self.assertEqual(rest[:1], b"E")
            self.assertIn(b"C57P01\0", rest)

    def check_transaction_finishes(self, user, begin_shutdown):
        idle, busy, held = self.client(), self.client(), self.client()
        idle.query(f"SELECT count(*) FROM users WHERE user_id = {user}")
        busy.query("BEGIN")
        busy.query(f"INSERT INTO users (user_id, name) VALUES ({user}, 'in time')")
        held.query("BEGIN")
        begin_shutdown()
        self.wait_until_refusing()
        self.assert_told_and_closed(idle)
        self.assertTrue(self.mosaic.is_running())
        self.assertEqual(busy.query(f"UPDATE users SET edit_count = 1 WHERE user_id = {user} RETURNING name"), [("in time",)])
        busy.send(wire.query("COMMIT"))
        self.assertIn(("C", b"COMMIT\0"), busy.take_until("Z"))
        self.assert_told_and_closed(busy)
        try:
            held.query("COMMIT")
        except (ServerError, ConnectionClosed):
            pass  # a BEGIN that no server has seen is nothing to wait for
        self.mosaic.assert_clean_exit()
        self.assertEqual([row[2:] for row in self.cluster.stored("users", "user_id, edit_count") if row[2] == user], [(user, 1)])
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.cluster.port), timeout=5)
        for node in self.cluster.nodes:
            wait_until(lambda: not node.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'app'"),
                       f"{node.name} to have no session of the application")

    def test_interrupt_lets_transactions_finish(self):
        self.check_transaction_finishes(1, lambda: self.mosaic.send_signal(signal.SIGINT))

    def test_console_shutdown_lets_transactions_finish(self):
        self.check_transaction_finishes(2, lambda: self.cluster.console("SHUTDOWN WAIT_FOR_SERVERS"))

    def test_running_statement_finishes(self):
        client = self.client()
        with self.cluster.held_back(3, self.cluster.node_of(3)):
            client.send(wire.query("/* mosaic user_id=3 */ SELECT pg_advisory_xact_lock(3), 'finished'"))
            self.cluster.wait_for_active("'finished'")
            self.mosaic.send_signal(signal.SIGINT)
            self.wait_until_refusing()
            self.assertTrue(self.mosaic.is_running())
        self.assertEqual(client.rows(client.take_reply()), [("", "finished")])
        self.mosaic.assert_clean_exit()

    def test_second_interrupt_does_not_wait(self):
        busy = self.client()
        busy.query("BEGIN")
        busy.query("INSERT INTO users (user_id) VALUES (4)")
        self.mosaic.send_signal(signal.SIGINT)
        self.wait_until_refusing()
        self.mosaic.send_signal(signal.SIGINT)
        self.assert_told_and_closed(busy)
        self.mosaic.assert_clean_exit()
        self.assertEqual([row for row in self.cluster.stored("users", "user_id") if row[2] == 4], [])

    def test_terminate_tells_how_many_clients_are_left(self):
        clients = [self.client() for _ in range(3)]
        self.mosaic.send_signal(signal.SIGTERM)
        wait_until(lambda: "3 clients left, waiting for them to leave" in self.mosaic.log_text(), "the count in the log")
        clients[0].close()
        clients[1].close()
        wait_until(lambda: "1 client left" in self.mosaic.log_text(), "the smaller count in the log")
        clients[2].close()
        self.mosaic.assert_clean_exit()

    def test_terminate_with_no_clients_leaves_at_once(self):
        self.mosaic.send_signal(signal.SIGTERM)
        self.mosaic.assert_clean_exit()

    def test_quit_leaves_at_once(self):
        busy = self.client()
        busy.query("BEGIN")
        busy.query("INSERT INTO users (user_id) VALUES (5)")
        self.mosaic.send_signal(signal.SIGQUIT)
        self.mosaic.assert_clean_exit()
        self.assertEqual([row for row in self.cluster.stored("users", "user_id") if row[2] == 5], [])

    def test_leaves_cleanly_with_many_clients_in_every_state(self):
        for number in range(40):
            client = WireClient(self.cluster.port, timeout_s=20)
            self.addCleanup(client.close)
            if number % 4 == 0:
                continue  # has not said a word
            if number % 4 == 1:
                client.send(wire.startup_packet(user="app", database="photos")[:9])
                continue
            client.login()
            if number % 4 == 2:
                client.send(wire.parse("s", "SELECT 1"), wire.FLUSH)
        self.mosaic.send_signal(signal.SIGINT)
        self.mosaic.assert_clean_exit()


if __name__ == "__main__":
    unittest.main()
