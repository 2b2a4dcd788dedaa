"""Nodes, addresses, passwords and pool sizes change by RELOAD, ADD NODE and REMOVE NODE while clients work: none of them
notices."""

import contextlib
import itertools
import os
import signal
import threading
import unittest

import psycopg2

from harness.cluster import EndToEndTest
from harness.mosaic_process import run_mosaic
from harness.postgres_node import APP_USER, PostgresNode
from harness.processes import start_relay, wait_until
from harness.wire_client import ServerError, WireClient, query

COUNTRIES = [("ch", "Switzerland"), ("de", "Germany"), ("fr", "France")]


class Traffic:
    """Clients that read and write, by user and anywhere; what goes wrong, and every count of countries that is another,
    is kept."""

    _clients = itertools.count()  # of all tests: each has users of its own

    def __init__(self, cluster, count=6):
        self.cluster = cluster
        self.wrong = []
        self.rounds = [0] * count
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number, next(self._clients)))
                         for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def turn(self):
        """Waits until every client has done a whole round from now on."""
        before = list(self.rounds)
        wait_until(lambda: self.wrong or all(now > then + 1 for now, then in zip(self.rounds, before)), "every client's turn")

    def _work(self, number, client_number):
        try:
            with WireClient(self.cluster.port, timeout_s=30) as client:
                client.login()
                while not self._is_over.is_set():
                    self._round(client, 1000 * client_number + self.rounds[number] % 500, self.rounds[number])
                    self.rounds[number] += 1
        except Exception as error:  # pylint: disable=broad-except
            self.wrong.append(repr(error))

    def _round(self, client, user, number):
        client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({user}, {-1 - number})")
        client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}")
        client.query("SELECT 1")
        countries = client.query("SELECT code, name FROM countries ORDER BY code")
        if countries != COUNTRIES:
            self.wrong.append(f"countries are {countries}")
        client.query("BEGIN")
        client.query("SELECT count(*) FROM countries")
        client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}")
        client.query("COMMIT")


class NodeChanges(EndToEndTest):
    node_count = 2
    shards = 8
    needs_mosaic = True
    config = {"pool": {"default_pool_size": 8, "query_wait_timeout": 20}, "database": {"default_node": "pg1"}}

    def setUp(self):
        super().setUp()
        for node in self.cluster.nodes:
            node.query("TRUNCATE countries")
            self.fill(node)

    def fill(self, node):
        for country in COUNTRIES:
            node.query("INSERT INTO countries VALUES (%s, %s)", country)

    def spare(self, name):
        """A node that runs and that nobody knows yet."""
        node = PostgresNode(name, self.cluster.folder, {"max_prepared_transactions": 2})
        self.addCleanup(node.stop)
        node.start()
        return node

    def relay_to(self, node):
        """A process between Mosaic and the node, and the port at which it listens."""
        relay, port = start_relay(node.port, os.path.join(self.cluster.folder, "relay.log"))
        self.addCleanup(relay.kill)
        return relay, port

    def lists(self, node):
        """The file lists it from now on, before the others."""
        entry = {"host": "127.0.0.1", "port": node.port, "dbname": "photos", "admin_user": "postgres"}
        self.cluster.sections = {f"nodes.{node.name}": entry, **self.cluster.sections}
        self.cluster.write_files()
        self.addCleanup(self.forget, node.name)

    def forget(self, name):
        if self.cluster.sections.pop(f"nodes.{name}", None) is not None:
            self.cluster.write_files()
            self.cluster.console("RELOAD")

    def told(self, command):
        """What the console says while it does it."""
        connection = psycopg2.connect(**self.cluster.address("operator", "mosaic"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(command)
            return [notice.removeprefix("NOTICE:").strip() for notice in connection.notices]
        finally:
            connection.close()

    def refusal(self, command):
        with self.assertRaises(psycopg2.Error) as caught:
            self.told(command)
        return str(caught.exception)

    def node_row(self, name):
        return next((row for row in self.cluster.console("SHOW NODES") if row["name"] == name), None)

    def test_a_node_is_added_and_removed_under_load(self):
        node = self.spare("pg3")
        with Traffic(self.cluster) as traffic:
            traffic.turn()
            self.assertIn("does not list node \"pg3\"", self.refusal("ADD NODE pg3"))
            self.lists(node)
            dry = self.told("ADD NODE pg3 DRY RUN")
            self.assertEqual(dry[0], "node pg3: would create 0 shards, 6 twins, 1 reference tables, "
                                     "copy the rows of countries from the default node")
            self.assertIsNone(self.node_row("pg3"))
            self.assertEqual(node.query("SELECT to_regclass('countries')"), [(None,)])
            self.cluster.console("RELOAD")
            self.assertEqual(self.node_row("pg3")["state"], "not in use")
            self.assertIn("nodes.pg3: not in use", run_mosaic("check", self.cluster.config_path).stderr)
            traffic.turn()
            self.assertEqual(self.node_row("pg3")["query_count"], 0)

            self.assertIn("node pg3 is in use", self.told("ADD NODE pg3")[-1])
            self.assertEqual(self.node_row("pg3")["state"], "up")
            self.assertEqual(node.query("SELECT * FROM countries ORDER BY code"), COUNTRIES)
            wait_until(lambda: int(self.node_row("pg3")["query_count"]) > 20, "the new node to be given statements")
            traffic.turn()

            self.assertIn('node "pg1" holds the catalog', self.refusal("REMOVE NODE pg1"))
            self.assertIn('node "pg2" has 4 shards, table app_settings', self.refusal("REMOVE NODE pg2"))
            self.assertIn('node "pg9" is not in use', self.refusal("REMOVE NODE pg9"))
            self.assertIn("would be taken out of use", self.told("REMOVE NODE pg3 DRY RUN")[-1])
            self.assertEqual(self.node_row("pg3")["state"], "up")
            self.assertIn("node pg3 is out of use", self.told("REMOVE NODE pg3")[-1])
            wait_until(lambda: int(self.node_row("pg3")["connections"]) == 0, "the connections to go")
            traffic.turn()
            self.forget("pg3")
            self.assertIsNone(self.node_row("pg3"))
            traffic.turn()
        self.assertEqual(traffic.wrong, [])
        self.cluster.mosaic.clean_stop()
        self.cluster.mosaic.start()

    def test_init_prepares_a_node_that_runs_already_know(self):
        node = self.spare("pg4")
        self.lists(node)
        self.cluster.console("RELOAD")
        self.assertEqual(self.node_row("pg4")["state"], "not in use")
        run_mosaic("init", self.cluster.config_path)
        wait_until(lambda: self.node_row("pg4")["state"] == "up", "the node to be taken without another RELOAD")
        self.assertIn("nothing to do", run_mosaic("init", self.cluster.config_path).stdout)
        self.assertEqual(node.query("SELECT * FROM countries ORDER BY code"), COUNTRIES)
        self.told("REMOVE NODE pg4")
        self.assertIn("is not in use", self.refusal("REMOVE NODE pg4"))
        # What it has is older now.
        self.cluster.nodes[0].query("INSERT INTO countries VALUES ('it', 'Italy')")
        refusal = self.refusal("ADD NODE pg4")
        self.assertIn('reference table "countries" has other rows than the default node', refusal)
        self.assertIn("TRUNCATE public.\"countries\"", refusal)
        node.query("TRUNCATE countries")
        self.told("ADD NODE pg4")
        self.assertEqual(len(node.query("SELECT * FROM countries")), 4)
        self.told("REMOVE NODE pg4")

    def test_all_proxies_take_what_one_is_told(self):
        node = self.spare("pg7")
        self.lists(node)
        second = self.cluster.another_mosaic("second")
        self.addCleanup(second.kill)
        second.start()

        def state_there():
            connection = psycopg2.connect(**dict(self.cluster.address("operator", "mosaic"), port=second.port))
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SHOW NODES WHERE name = pg7")
                row = cursor.fetchone()
                state = row[[column.name for column in cursor.description].index("state")]
            connection.close()
            return state
        self.assertEqual(state_there(), "not in use")
        self.told("ADD NODE pg7")
        wait_until(lambda: state_there() == "up", "the other process to take it")
        self.told("REMOVE NODE pg7")
        wait_until(lambda: state_there() == "not in use", "the other process to take that")
        second.clean_stop()

    def test_a_catalog_of_an_earlier_version_learns_of_nodes(self):
        catalog = self.cluster.nodes[0]
        catalog.query("DROP TABLE mosaic.nodes; DROP FUNCTION mosaic.assign_shard")
        self.cluster.mosaic.clean_stop()
        self.cluster.mosaic.start()
        self.assertEqual({row["state"] for row in self.cluster.console("SHOW NODES")}, {"up"})
        self.lists(self.spare("pg8"))
        self.told("ADD NODE pg8")
        self.assertEqual(catalog.query("SELECT name FROM mosaic.nodes ORDER BY 1"), [("pg1",), ("pg2",), ("pg8",)])
        self.told("REMOVE NODE pg8")
        with self.assertRaises(psycopg2.Error) as caught:
            catalog.query("SELECT mosaic.assign_shard(0, 'pg8')")
        self.assertIn('node "pg8" is not in use', str(caught.exception))

    def test_files_are_taken_while_the_catalog_is_down(self):
        catalog = self.cluster.nodes[0]
        user = self.cluster.users_on(self.cluster.nodes[1], 1, first=800_000)[0]
        catalog.stop()
        try:
            wait_until(lambda: self.node_row("pg1")["state"] == "down", "the node to be found down")
            self.cluster.sections["pool"]["default_pool_size"] = 7
            self.cluster.write_files()
            self.cluster.console("RELOAD")
            self.assertIn("cannot connect", self.refusal("REMOVE NODE pg2"))
            with WireClient(self.cluster.port) as client:
                client.login()
                self.assertEqual(client.query(f"SELECT count(*) FROM follows WHERE user_id = {user}"), [("0",)])
                self.assertEqual(client.query("SELECT 1"), [("1",)])
            self.cluster.mosaic.clean_stop()
            self.cluster.mosaic.start()
            self.assertEqual({row["name"]: row["state"] for row in self.cluster.console("SHOW NODES")}["pg2"], "up")
        finally:
            catalog.start()
        wait_until(lambda: self.node_row("pg1")["state"] == "up", "the node to be found up again")

    def test_reference_tables_with_keys_counts_and_triggers_come_whole(self):
        schema = self.cluster.schema_path
        with open(schema) as file:
            kept = file.read()
        tables = ("regions", "kinds", "unmade")
        for table in tables:
            self.cluster.sections[f"tables.{table}"] = {"reference": True}
        del self.cluster.sections["tables.unmade"]
        self.cluster.write_files()
        grown = kept + """
CREATE TABLE kinds (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
  upper_name text GENERATED ALWAYS AS (upper(name)) STORED, parent integer REFERENCES kinds);
CREATE TABLE regions (code text PRIMARY KEY, kind integer NOT NULL REFERENCES kinds, note text);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note = NEW.note || '!'; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT ON regions FOR EACH ROW EXECUTE FUNCTION stamp();
"""
        with open(schema, "w") as file:
            file.write(grown)
        run_mosaic("init", self.cluster.config_path, "--schema", schema)
        for node in self.cluster.nodes:
            node.query("INSERT INTO kinds (name, parent) VALUES ('a', NULL), ('b', 1), (E'with\ttab, \"quotes\" and \\\\', 2)")
            node.query("INSERT INTO regions VALUES ('x', 2, 'once'), ('y', 3, NULL)")
        self.cluster.sections["tables.unmade"] = {"reference": True}
        node = self.spare("pg11")
        self.lists(node)
        self.told("ADD NODE pg11")
        for table in ("kinds", "regions"):
            rows = f"SELECT * FROM {table} ORDER BY 1"
            self.assertEqual(node.query(rows), self.cluster.nodes[0].query(rows))
        self.assertEqual(node.query("INSERT INTO kinds (name) VALUES ('next') RETURNING id"), [(4,)])
        node.query("INSERT INTO regions VALUES ('z', 1, 'twice')")
        self.assertEqual(node.query("SELECT note FROM regions WHERE code = 'z'"), [("twice!",)], "triggers are on again")
        self.told("REMOVE NODE pg11")
        # What the schema gains while the node is away comes with it, rows and all.
        self.forget("pg11")
        node.query("DELETE FROM kinds WHERE name = 'next'; DELETE FROM regions WHERE code = 'z'")
        self.cluster.sections.pop("tables.unmade")
        self.cluster.sections["tables.later"] = {"reference": True}
        self.cluster.write_files()
        with open(schema, "w") as file:
            file.write(grown + "CREATE TABLE later (n integer PRIMARY KEY);\n")
        run_mosaic("init", self.cluster.config_path, "--schema", schema)
        for there in self.cluster.nodes:
            there.query("INSERT INTO later VALUES (1), (2)")
        self.lists(node)
        self.told("ADD NODE pg11")
        self.assertEqual(node.query("SELECT n FROM later ORDER BY n"), [(1,), (2,)])
        self.told("REMOVE NODE pg11")

    def test_nothing_is_removed_that_a_client_still_needs(self):
        node = self.spare("pg5")
        self.lists(node)
        self.told("ADD NODE pg5")
        with node.connect() as connection:
            connection.autocommit = True
            connection.cursor().execute("BEGIN; CREATE TABLE of_mine (); PREPARE TRANSACTION 'kept'")
        self.assertIn('node "pg5" has 1 prepared transaction', self.refusal("REMOVE NODE pg5"))
        node.query("ROLLBACK PREPARED 'kept'")
        self.told("REMOVE NODE pg5")

    def test_a_node_that_cannot_be_added(self):
        node = self.spare("pg6")
        self.lists(node)
        node.stop()
        self.assertIn("node pg6: cannot connect", self.refusal("ADD NODE pg6 DRY RUN"))
        self.assertIn("node pg6: cannot connect", self.refusal("ADD NODE pg6"))
        self.assertEqual(self.node_row("pg6")["state"], "not in use")
        for command in ("ADD NODE", "ADD NODES pg6", "REMOVE pg6", "ADD NODE pg6 DRY", "ADD NODE pg6 now"):
            self.assertIn("expected", self.refusal(command), command)
        with self.assertRaises(psycopg2.Error) as caught:
            self.cluster.console("ADD NODE pg6", user="watcher")
        self.assertIn("for admin_users only", str(caught.exception))

    def test_a_node_that_does_not_let_the_users_in(self):
        node = self.spare("pg9")
        self.lists(node)
        node.query("ALTER ROLE app PASSWORD 'forgotten'")
        for command in ("ADD NODE pg9 DRY RUN", "ADD NODE pg9"):
            refusal = self.refusal(command)
            self.assertIn('node pg9: it does not let user "app" in', refusal)
            self.assertIn("password authentication failed", refusal)
        self.assertEqual(node.query("SELECT to_regclass('countries')"), [(None,)])
        node.query("ALTER ROLE app PASSWORD 'app'")
        self.told("ADD NODE pg9")
        self.told("REMOVE NODE pg9")

    def test_what_is_different_on_a_new_node_is_told(self):
        node = self.spare("pg10")
        node.query("ALTER DATABASE photos SET TimeZone = 'Asia/Tokyo'; ALTER ROLE app SET search_path = elsewhere, public")
        node.query("CREATE EXTENSION pg_trgm")
        self.lists(node)
        told = "\n".join(self.told("ADD NODE pg10 DRY RUN"))
        for line in ("TimeZone of the database is Asia/Tokyo, on the default node not there",
                     "search_path of role app is elsewhere, public, on the default node not there",
                     "extension pg_trgm is ", "max_prepared_transactions is 2, on the default node 0"):
            self.assertIn("node pg10: note that " + line, told)

    def test_a_file_without_a_node_that_has_something(self):
        entry = self.cluster.sections.pop("nodes.pg2")
        pinned = self.cluster.sections.pop("tables.app_settings")  # or the file itself would be wrong
        self.cluster.write_files()
        try:
            self.assertIn('node "pg2" has 4 shards, table app_settings', self.refusal("RELOAD"))
            self.assertEqual(self.node_row("pg2")["state"], "up")
        finally:
            self.cluster.sections["nodes.pg2"] = entry
            self.cluster.sections["tables.app_settings"] = pinned
            self.cluster.write_files()
        self.cluster.console("RELOAD")

    def test_an_address_changes_under_load(self):
        _, port = self.relay_to(self.cluster.nodes[1])
        section = self.cluster.sections["nodes.pg2"]
        own = section["port"]
        self.addCleanup(section.update, host="127.0.0.1", port=own)

        def move_to(new):
            section["port"] = new
            self.cluster.write_files()
            self.cluster.console("RELOAD")
        with Traffic(self.cluster) as traffic:
            traffic.turn()
            section.update(host="localhost", port=self.cluster.nodes[0].port)
            self.cluster.write_files()
            self.assertIn('is that of node "pg1"', self.refusal("RELOAD"))
            self.assertIn('is that of node "pg1"', run_mosaic("check", self.cluster.config_path, check=False).stderr)
            section["host"] = "127.0.0.1"
            traffic.turn()
            move_to(port)
            traffic.turn()
            self.assertEqual(int(self.node_row("pg2")["port"]), port)
            ports = {int(row["port"]) for row in self.cluster.console("SHOW SERVERS") if row["node"] == "pg2"}
            self.assertEqual(ports, {port})
            move_to(own)
            traffic.turn()
        self.assertEqual(traffic.wrong, [])

    def test_a_node_that_is_cut_off_is_reached_at_its_new_address(self):
        relay, port = self.relay_to(self.cluster.nodes[1])
        section = self.cluster.sections["nodes.pg2"]
        own = section["port"]
        section["port"] = port
        self.cluster.write_files()
        self.cluster.console("RELOAD")
        user = self.cluster.users_on(self.cluster.nodes[1], 1, first=900_000)[0]
        count = f"SELECT count(*) FROM follows WHERE user_id = {user}"
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(WireClient(self.cluster.port, timeout_s=30)).login() for _ in range(12)]
            clients[0].query(count)
            relay.send_signal(signal.SIGSTOP)
            for client in clients:  # more than there may be connections
                client.send(query(count))
            wait_until(lambda: self.node_row("pg2")["state"] == "slow", "the node to be found silent")
            section["port"] = own
            self.cluster.write_files()
            self.cluster.console("RELOAD")
            # But the first, whose statement is on its way to the old address and obeys its own time-out.
            for client in clients[1:]:
                self.assertEqual(client.rows(client.take_reply()), [("0",)])
            self.assertEqual(self.node_row("pg2")["state"], "up")

    def test_a_password_and_a_pool_size_change_under_load(self):
        def rotate(password):
            for node in self.cluster.nodes:
                node.query(f"ALTER ROLE {APP_USER} PASSWORD '{password}'")
            with open(self.cluster.users_path) as users:
                lines = users.read()
            with open(self.cluster.users_path, "w") as users:
                users.write(lines.replace(f'"{APP_USER}" "app"', f'"{APP_USER}" "{password}"'))
            self.cluster.console("RELOAD")
        self.addCleanup(rotate, "app")
        with Traffic(self.cluster) as traffic:
            traffic.turn()
            rotate("another")
            traffic.turn()
            for size in (1, 12, 3):
                self.cluster.sections["pool"]["default_pool_size"] = size
                with open(self.cluster.users_path) as users:
                    kept = users.read()
                self.cluster.write_files()
                with open(self.cluster.users_path, "w") as users:
                    users.write(kept)
                self.cluster.console("RELOAD")
                traffic.turn()
        self.assertEqual(traffic.wrong, [])
        with self.assertRaises(ServerError):
            WireClient(self.cluster.port).login()
        WireClient(self.cluster.port).login(password="another").close()


if __name__ == "__main__":
    unittest.main()
