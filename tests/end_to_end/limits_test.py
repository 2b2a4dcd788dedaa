"""What there is not enough of: descriptors, places for clients, connections of a node. Whoever gets none is told so at once,
everybody else goes on, and the console answers."""

import resource
import threading
import unittest

from harness.cluster import EndToEndTest
from harness.processes import free_descriptors, wait_until
from harness.wire_client import ConnectionClosed, ServerError, WireClient, query


class Limits(EndToEndTest):
    node_count = 2
    shards = 8
    needs_mosaic = True
    config = {"mosaic": {"workers": 2}, "pool": {"default_pool_size": 5, "query_wait_timeout": 20}}

    def setUp(self):
        super().setUp()
        self.clients = []
        self.addCleanup(self.close_clients)

    def close_clients(self):
        while self.clients:
            self.clients.pop().close()

    def open_client(self, **login):
        """The error of a client that is not let in, else None."""
        client = WireClient(self.cluster.port, timeout_s=20)
        try:
            client.login(**login)
        except ServerError as error:
            client.close()
            return error
        except (ConnectionClosed, ConnectionError) as error:  # a reset may overtake the message
            client.close()
            return error
        self.clients.append(client)
        return None

    def reload(self):
        self.cluster.write_files()
        self.cluster.console("RELOAD")

    def restart(self):
        self.cluster.mosaic.clean_stop()
        self.cluster.mosaic.start()

    def test_descriptors(self):
        free_descriptors(1200)
        pid = self.cluster.mosaic.pid
        self.addCleanup(self.restart)  # a hard limit is lowered for good
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (256, 256))
        self.cluster.console("RELOAD")
        wait_until(lambda: "the limit of open files, 256, is too low" in self.cluster.mosaic.log_text(), "the log to say so")
        errors = [error for error in (self.open_client() for _ in range(1000)) if error]
        self.assertGreater(len(self.clients), 100)
        self.assertEqual(len(errors) + len(self.clients), 1000)
        told = [error for error in errors if isinstance(error, ServerError)]
        self.assertGreater(len(told), len(errors) * 9 // 10)
        self.assertEqual({error.sqlstate for error in told}, {"53300"})
        self.assertIn("limit of open files", told[0].fields["D"])
        self.assertEqual([row["state"] for row in self.cluster.console("SHOW NODES")], ["up", "up"])
        # Servers of both nodes are reached, by all of them.
        for number, client in enumerate(self.clients):
            self.assertEqual(client.query(f"SELECT count(*) FROM follows WHERE user_id = {number}"), [("0",)])
        self.close_clients()
        wait_until(lambda: self.open_client() is None, "a place for the next client")

    def test_max_client_conn(self):
        self.cluster.sections.setdefault("limits", {})["max_client_conn"] = 3
        self.reload()

        def restore():
            self.close_clients()
            del self.cluster.sections["limits"]["max_client_conn"]
            self.reload()
        self.addCleanup(restore)
        wait_until(lambda: self.open_client() is not None, "the limit to be reached")
        self.assertEqual(len(self.clients), 3)
        error = self.open_client()
        self.assertEqual((error.sqlstate, error.fields["D"]), ("53300", "max_client_conn = 3"))
        self.assertEqual(len(self.cluster.console("SHOW NODES")), 2)

    def test_a_user_without_a_connection_gets_one_of_anothers_idle_ones(self):
        self.cluster.sections["pool"]["max_db_connections"] = 3
        self.reload()

        def restore():
            del self.cluster.sections["pool"]["max_db_connections"]
            self.reload()
        self.addCleanup(restore)
        node = self.cluster.nodes[1]
        user = self.cluster.users_on(node, 1)[0]
        for role in ("second", "third"):
            node.query(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{role}'")
            self.addCleanup(node.query, f"DROP ROLE {role}")
        with open(self.cluster.users_path, "a") as users:
            users.write('"second" "second"\n"third" "third"\n')
        self.cluster.console("RELOAD")
        busy = [WireClient(self.cluster.port, timeout_s=30).login() for _ in range(3)]
        self.clients += busy
        barrier = threading.Barrier(3)

        def hold(client):
            barrier.wait(20)
            client.query(f"/* mosaic user_id={user} */ SELECT pg_sleep(0.5)")
        threads = [threading.Thread(target=hold, args=(client,)) for client in busy]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        wait_until(lambda: self.servers_of(node) == {"app": 3}, lambda: f"three idle connections: {self.servers_of(node)}")
        for role in ("second", "third"):
            self.assertIsNone(self.open_client(user=role, password=role))
            self.assertEqual(self.clients[-1].query(f"SELECT count(*) FROM follows WHERE user_id = {user}"), [("0",)])
        self.assertEqual(self.servers_of(node), {"app": 1, "second": 1, "third": 1})

    def servers_of(self, node):
        rows = node.query("SELECT usename, count(*) FROM pg_stat_activity WHERE usename IN ('app', 'second', 'third') GROUP BY 1")
        return dict(rows)


class RaisedLimits(EndToEndTest):
    node_count = 1
    shards = 4
    needs_mosaic = True
    config = {"limits": {"max_client_conn": 2}}

    def test_clients_beyond_the_limit_of_the_start_are_clients_like_others(self):
        self.cluster.sections["limits"]["max_client_conn"] = 6
        self.cluster.write_files()
        self.cluster.console("RELOAD")
        clients = [WireClient(self.cluster.port, timeout_s=30).login() for _ in range(5)]
        for client in clients:
            self.addCleanup(client.close)
        client = clients[-1]
        with self.cluster.held_back(11):
            client.send(query("SELECT pg_advisory_xact_lock(11)"))
            self.cluster.wait_for_active("pg_advisory_xact_lock(11)")
            client.cancel()
            with self.assertRaises(ServerError) as caught:
                client.rows(client.take_reply())
        self.assertEqual(caught.exception.sqlstate, "57014")

    def test_a_key_that_is_taken_out_of_the_file_has_its_default_again(self):
        pool = self.cluster.sections["pool"]
        kept = dict(pool)
        pool.update(default_pool_size=3, min_pool_size=2)
        self.cluster.write_files()
        self.cluster.console("RELOAD")
        with WireClient(self.cluster.port, timeout_s=30) as client:
            client.login().query("SELECT 1")
            self.wait_for_servers(lambda count: count == 2)
            del pool["default_pool_size"], pool["min_pool_size"]
            self.cluster.write_files()
            self.cluster.console("RELOAD")
            rows = self.cluster.console("SHOW CONFIG")
            values = {row["key"]: row["value"] for row in rows}
            self.assertEqual(len(rows), len(values), "each key once")
            self.assertEqual((values["default_pool_size"], values["min_pool_size"]), ("20", "0"))
            pool.update(kept, min_pool_size=4)
            self.cluster.write_files()
            self.cluster.console("RELOAD")
            self.wait_for_servers(lambda count: count == 4)
        pool.pop("min_pool_size")
        pool.update(kept)
        self.cluster.write_files()
        self.cluster.console("RELOAD")

    def wait_for_servers(self, is_right):
        wait_until(lambda: is_right(len(self.cluster.console("SHOW SERVERS"))), "the connections that are kept")


if __name__ == "__main__":
    unittest.main()
