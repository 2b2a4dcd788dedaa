"""A node that is frozen, with its connections open and its kernel still answering, holds up nobody but its own clients:
not when one of them leaves with a full send buffer, not when they cancel, not when Mosaic stops."""

import socket
import struct
import threading
import unittest

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.processes import wait_until
from harness.wire_client import ServerError, WireClient

BLOCK = b"x" * 50_000


class Bystander(threading.Thread):
    """Works on another node all the time."""

    def __init__(self, port, user):
        super().__init__()
        self.port, self.user = port, user
        self.stop_asked = threading.Event()
        self.turns, self.problem = 0, None

    def run(self):
        try:
            with WireClient(self.port, timeout_s=20) as client:
                client.login()
                while not self.stop_asked.wait(0.002):
                    client.query(f"SELECT count(*) FROM follows WHERE user_id = {self.user}")
                    self.turns += 1
        except Exception as error:  # shown by the test
            self.problem = error


class FrozenNode(EndToEndTest):
    node_count = 2
    shards = 8
    needs_mosaic = True
    # One worker: whatever stops it stops everybody.
    config = {"mosaic": {"workers": 1}, "pool": {"default_pool_size": 12, "cancel_wait_timeout": 1}}

    def setUp(self):
        super().setUp()
        self.frozen, self.other = self.cluster.nodes[1], self.cluster.nodes[0]  # the catalog's node stays
        self.user = self.cluster.users_on(self.frozen, 1)[0]
        self.bystander = Bystander(self.cluster.port, self.cluster.users_on(self.other, 1)[0])
        self.bystander.start()
        self.addCleanup(self.stop_bystander)
        self.addCleanup(self.frozen.resume)
        self.assert_progress()

    def stop_bystander(self):
        self.bystander.stop_asked.set()
        self.bystander.join(30)

    def assert_progress(self):
        before = self.bystander.turns
        wait_until(lambda: self.bystander.problem or self.bystander.turns > before + 20, "the other node's client to go on")
        self.assertIsNone(self.bystander.problem)

    def servers_of_frozen(self):
        return [row for row in self.cluster.console("SHOW SERVERS") if row["node"] == self.frozen.name]

    def client(self):
        client = WireClient(self.cluster.port, timeout_s=20).login()
        self.addCleanup(client.close)
        return client

    def fill(self, client, message):
        """Sends `message` over and over until nothing more is taken: by the node, by Mosaic, by our own kernel."""
        client.socket.settimeout(1.0)
        sent = 0
        try:
            while sent < 1 << 30:
                sent += client.socket.send(message)
        except TimeoutError:
            pass
        self.assertGreater(sent, 1 << 20, "less than the buffers hold")

    def leave_with_full_buffers(self, begin, message):
        client = self.client()
        begin(client)
        self.frozen.suspend()
        self.fill(client, message)
        self.assert_progress()
        # With a reset: an orderly end would stand behind the bytes that Mosaic does not read any more.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait_until(lambda: not self.servers_of_frozen(), "Mosaic to be rid of the frozen node's connection")
        self.assert_progress()
        self.frozen.resume()
        fresh = self.client()
        wait_until(lambda: self.answers(fresh), "the node to serve again")

    def answers(self, client):
        try:
            return client.query(f"SELECT count(*) FROM follows WHERE user_id = {self.user}") == [("0",)]
        except ServerError:
            return False

    def test_client_leaves_in_the_middle_of_a_copy(self):
        def begin(client):
            client.send(wire.query(f"COPY follows (user_id, followee_id) FROM STDIN /* mosaic user_id={self.user} */"))
            client.take_until("G")
        row = f"{self.user}\t1\n".encode()
        self.leave_with_full_buffers(begin, wire.frame("d", row * (len(BLOCK) // len(row))))

    def test_client_leaves_in_the_middle_of_one_large_insert(self):
        def begin(client):
            client.query("BEGIN")
            client.query(f"SELECT count(*) FROM follows WHERE user_id = {self.user}")
        self.leave_with_full_buffers(begin, self.large_insert(8 << 20))

    def test_client_leaves_in_the_middle_of_a_pipeline_of_inserts(self):
        def begin(client):
            client.query(f"SELECT count(*) FROM follows WHERE user_id = {self.user}")
        self.leave_with_full_buffers(begin, self.large_insert(len(BLOCK)))

    def test_client_leaves_in_the_middle_of_bound_values(self):
        sql = f"SELECT length($1::text) FROM follows WHERE user_id = {self.user}"

        def begin(client):
            client.send(wire.parse("s", sql, [25]), wire.SYNC)
            client.take_reply()
        self.leave_with_full_buffers(begin, wire.bind("", "s", [BLOCK]) + wire.execute())

    def large_insert(self, size):
        return wire.query(f"INSERT INTO comments (user_id, media_id, body) VALUES ({self.user}, 1, '{'y' * size}')")

    def test_cancels_that_hang_hold_up_no_other_cancel(self):
        clients = [self.client() for _ in range(8)]  # more than a pool of threads would have
        for number, client in enumerate(clients):
            client.send(wire.query(f"/* mosaic user_id={self.user} */ SELECT pg_sleep(600), 'stuck'"))
        wait_until(lambda: self.frozen.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%stuck%' AND state = 'active' "
                                             "AND application_name <> 'e2e-direct'")[0][0] == len(clients), "eight statements to run")
        self.frozen.suspend()
        for client in clients:
            client.cancel()
        sleeper = self.client()
        sleeper.send(wire.query(f"/* mosaic user_id={self.bystander.user} */ SELECT pg_sleep(600), 'awake'"))
        wait_until(lambda: self.other.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%awake%' AND state = 'active' "
                                            "AND application_name <> 'e2e-direct'")[0][0], "the other node's statement to run")
        sleeper.cancel()
        with self.assertRaises(ServerError) as caught:
            sleeper.rows(sleeper.take_reply())
        self.assertEqual(caught.exception.sqlstate, "57014")
        self.assert_progress()

        def failures():
            return {row["name"]: (row["cancels"], row["cancel_failures"]) for row in self.cluster.console("SHOW NODES")}
        wait_until(lambda: failures()[self.frozen.name][1] >= len(clients), lambda: f"the cancels to be given up: {failures()}")
        self.assertEqual(failures()[self.other.name][1], 0)
        self.assertGreaterEqual(failures()[self.other.name][0], 1)
        # Nobody gets a connection that a late cancel may hit: the node sees the requests now.
        self.frozen.resume()
        for client in clients:
            with self.assertRaises(ServerError) as caught:
                client.rows(client.take_reply())
            self.assertEqual(caught.exception.sqlstate, "57014")
        wait_until(lambda: not self.servers_of_frozen(), "the connections in doubt to be closed")
        for client in clients:
            wait_until(lambda: self.answers(client), "the node to serve again")

    def test_shutdown_does_not_wait_for_it(self):
        client = self.client()
        client.send(wire.query(f"/* mosaic user_id={self.user} */ SELECT pg_sleep(600), 'never'"))
        self.cluster.wait_for_active("never")
        self.frozen.suspend()
        client.cancel()
        self.stop_bystander()
        self.cluster.mosaic.send_signal(3)  # SIGQUIT: at once
        self.cluster.mosaic.assert_clean_exit(10)
        self.frozen.resume()
        self.cluster.mosaic.start()


if __name__ == "__main__":
    unittest.main()
