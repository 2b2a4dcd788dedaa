"""A node dies, hangs or comes back while clients are at work: its shards answer with a clear error in time, all others
go on as if nothing had happened, and after the restart it serves again without anybody touching Mosaic."""

import os
import threading
import time
import unittest

from harness.cluster import EndToEndTest
from harness.processes import wait_until
from harness.wire_client import ServerError, WireClient

CONNECT_TIMEOUT_S = 2
WAIT_TIMEOUT_S = 3
HELD_MOST_S = 60  # far more than the two, for a busy machine, and far less than TCP takes to give up
LOST = ("MZ020", "08006")


class Worker(threading.Thread):
    """One client of one user: inserts and reads over and over on one connection, and remembers what it was told."""

    def __init__(self, port, user):
        super().__init__()
        self.port, self.user = port, user
        self.stop_asked = threading.Event()
        self.stored = []           # followee ids whose INSERT was acknowledged
        self.errors = []           # (seconds it took, sqlstate, message)
        self.successes = 0
        self.broken = None         # whatever else went wrong: the connection must survive its server's death
        self._next = 1_000_000

    def run(self):
        try:
            with WireClient(self.port, timeout_s=90) as client:
                client.login()
                while not self.stop_asked.is_set():
                    self._turn(client)
        except Exception as error:  # shown by the test
            self.broken = error

    def _turn(self, client):
        self._next += 1
        start = time.monotonic()
        try:
            client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({self.user}, {self._next})")
            self.stored.append(self._next)
            rows = client.query(f"SELECT count(*) FROM follows WHERE user_id = {self.user} AND followee_id = {self._next}")
            assert rows == [("1",)], rows
            self.successes += 1
        except ServerError as error:
            self.errors.append((time.monotonic() - start, error.sqlstate,
                                error.message + error.fields.get("D", "")))
            self.stop_asked.wait(0.02)  # do not turn the error into a busy loop
        else:
            self.stop_asked.wait(0.002)


class NodeFailure(EndToEndTest):
    node_count = 3
    shards = 12
    needs_mosaic = True
    config = {"pool": {"default_pool_size": 4, "query_wait_timeout": WAIT_TIMEOUT_S,
                       "server_connect_timeout": CONNECT_TIMEOUT_S, "server_login_retry": 0.2}}

    def workers(self):
        """Four busy clients per node, each of which has succeeded already."""
        crew = {node.name: [Worker(self.cluster.port, user) for user in self.cluster.users_on(node, 4)]
                for node in self.cluster.nodes}
        everybody = [worker for workers in crew.values() for worker in workers]

        def stop():
            for worker in everybody:
                worker.stop_asked.set()
            for worker in everybody:
                worker.join(60)
        for worker in everybody:
            worker.start()
        self.addCleanup(stop)
        wait_until(lambda: all(worker.successes for worker in everybody), "every client to begin")
        return crew, everybody, stop

    def check_node_dies_and_returns(self, victim):
        crew, everybody, stop = self.workers()
        victim.kill()
        try:
            wait_until(lambda: all(worker.errors for worker in crew[victim.name]), "every client of the dead node to be told")
            marks = {worker: worker.successes for worker in everybody}
            wait_until(lambda: all(worker.successes > marks[worker] + 20 for worker in everybody
                                   if worker not in crew[victim.name]), "the other nodes' clients to go on")
            with WireClient(self.cluster.port) as fresh:  # new clients get in meanwhile
                fresh.login()
                self.assertEqual(fresh.query("SELECT 1"), [("1",)])
        finally:
            victim.start()
        marks = {worker: worker.successes for worker in everybody}
        wait_until(lambda: all(worker.successes > marks[worker] + 20 for worker in everybody), "the node to serve again")
        stop()
        for worker in everybody:
            self.assertIsNone(worker.broken)
        for name, workers in crew.items():
            for worker in workers:
                if name != victim.name:
                    self.assertEqual(worker.errors, [])
                for seconds, sqlstate, message in worker.errors:
                    self.assertIn(sqlstate, (*LOST, "57P01"))
                    self.assertIn(victim.name, message)
                    self.assertLess(seconds, HELD_MOST_S)
        stored = {row[2:] for row in self.cluster.stored("follows", "user_id, followee_id")}
        lost = [(worker.user, followee) for worker in everybody for followee in worker.stored
                if (worker.user, followee) not in stored]
        self.assertEqual(lost, [], "acknowledged rows are gone")

    def tearDown(self):
        for node in self.cluster.nodes:
            node.query("SELECT 1")
            for shard in self.cluster.shards_on(node):
                node.query(f"TRUNCATE shard_{shard:04}.follows")

    def test_node_is_killed_and_returns(self):
        self.check_node_dies_and_returns(self.cluster.nodes[1])

    def test_node_of_the_catalog_is_killed_and_returns(self):
        self.check_node_dies_and_returns(self.cluster.nodes[0])

    def test_transaction_on_a_killed_node_ends_with_an_error_and_the_client_stays(self):
        node = self.cluster.nodes[2]
        user = self.cluster.users_on(node, 1)[0]
        with WireClient(self.cluster.port, timeout_s=20) as client:
            client.login()
            client.query("BEGIN")
            client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({user}, 1)")
            node.kill()
            try:
                with self.assertRaises(ServerError) as caught:
                    client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({user}, 2)")
                # Killed: either nothing more comes from it, or what its processes say when their parent is gone.
                self.assertIn(caught.exception.sqlstate, (*LOST, "57P01"))
                self.assertIn(node.name, caught.exception.message + caught.exception.fields.get("D", ""))
                # The transaction is lost; the client must not go on as if it were not.
                with self.assertRaises(ServerError) as caught:
                    client.query(f"SELECT count(*) FROM follows WHERE user_id = {self.cluster.users_on(self.cluster.nodes[1], 1)[0]}")
                self.assertEqual(caught.exception.sqlstate, "25P02")
                client.query("ROLLBACK")
                self.assertEqual(client.query("SELECT 1"), [("1",)])
            finally:
                node.start()
            wait_until(lambda: self.answers(client, user), "the node to serve again")
            self.assertEqual(client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}"), [("0",)])

    @staticmethod
    def answers(client, user):
        try:
            client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}")
            return True
        except ServerError:
            return False

    def test_hanging_node_holds_nobody_longer_than_the_timeouts(self):
        node, other = self.cluster.nodes[1], self.cluster.nodes[2]
        user, bystander = self.cluster.users_on(node, 1)[0], self.cluster.users_on(other, 1)[0]
        clients = [WireClient(self.cluster.port, timeout_s=60).login() for _ in range(12)]
        outcomes = {}

        def ask(number, client):
            start = time.monotonic()
            try:
                outcomes[number] = ("rows", client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}"))
            except ServerError as error:
                outcomes[number] = (error.sqlstate, error.message, time.monotonic() - start)
        for client in clients[:4]:  # all four server connections exist
            client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}")
        threads = [threading.Thread(target=ask, args=part) for part in enumerate(clients)]
        node.suspend()
        try:
            for thread in threads:
                thread.start()
            with WireClient(self.cluster.port, timeout_s=10) as quick:
                quick.login()
                for _ in range(50):
                    quick.query(f"SELECT count(*) FROM follows WHERE user_id = {bystander}")
            # At most pool-size statements can be inside the hanging server; all others are told in time.
            wait_until(lambda: len(outcomes) >= len(clients) - 4, lambda: f"the waiting clients to be told: {outcomes}",
                       HELD_MOST_S)
            for kind, message, seconds in list(outcomes.values()):
                self.assertIn(kind, ("MZ020", "MZ021"))
                self.assertIn(node.name, message)
                self.assertLess(seconds, HELD_MOST_S)
        finally:
            node.resume()
            for thread in threads:
                thread.join(30)
        self.assertEqual(len(outcomes), len(clients))
        wait_until(lambda: self.answers(clients[-1], user), "the node to serve again")
        for client in clients:
            self.assertEqual(client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}"), [("0",)])
            client.terminate()

    def test_starts_from_the_last_map_when_the_catalog_is_down(self):
        mosaic, catalog = self.cluster.mosaic, self.cluster.nodes[0]
        mosaic.clean_stop()
        before = len(mosaic.log_text())
        catalog.kill()
        try:
            mosaic.start()
            with WireClient(self.cluster.port, timeout_s=20) as client:
                client.login()
                for node in self.cluster.nodes[1:]:
                    user = self.cluster.users_on(node, 1)[0]
                    self.assertEqual(client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}"), [("0",)])
                wait_until(lambda: "catalog" in mosaic.log_text()[before:].lower(), "mosaic to say that the catalog is down")
                self.assertRegex(self.cluster.log_so_far()[before:], r"(?i)map.*disk|disk.*map|saved.*map|last.*map")
        finally:
            catalog.start()
        user = self.cluster.users_on(catalog, 1)[0]
        with WireClient(self.cluster.port, timeout_s=20) as client:
            client.login()
            wait_until(lambda: self.answers(client, user), "the catalog's node to serve again")

    def test_does_not_start_from_a_damaged_map(self):
        mosaic, catalog = self.cluster.mosaic, self.cluster.nodes[0]
        wait_until(lambda: "last_map.json" in os.listdir(self.cluster.state_folder), "the map to be kept on disk")
        mosaic.clean_stop()
        saved = {}
        for folder, _, names in os.walk(self.cluster.state_folder):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    saved[path] = file.read()
        self.assertTrue(saved, "no map was kept on disk")
        catalog.kill()
        try:
            for path, content in saved.items():
                with open(path, "wb") as file:
                    middle = len(content) // 2
                    file.write(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:])
            with self.assertRaises(AssertionError):
                mosaic.start(deadline_s=20)
            self.assertFalse(mosaic.is_running())
            self.assertRegex(mosaic.log_tail(), r"(?i)checksum|damaged|corrupt")
        finally:
            mosaic.kill()
            for path, content in saved.items():
                with open(path, "wb") as file:
                    file.write(content)
            catalog.start()
            mosaic.start()


if __name__ == "__main__":
    unittest.main()
