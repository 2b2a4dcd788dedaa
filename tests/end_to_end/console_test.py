"""The console: SHOW views, EXPLAIN ROUTE, RELOAD, and who may do what."""

import unittest

import psycopg2

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.processes import wait_until
from harness.wire_client import ServerError, WireClient

# PgBouncer 1.25's columns, in its order: exporters and operators' scripts depend on them.
POOLS = ("database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel "
         "sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts").split()
STATS_PARTS = ("server_assignment_count xact_count query_count {} sent xact_time query_time wait_time "
               "client_parse_count server_parse_count bind_count")
STATS = (["database"] + ["total_" + part for part in STATS_PARTS.format("received").split()] +
         ["avg_" + part for part in STATS_PARTS.format("recv").split()])
CLIENTS = ("type user database replication state addr port local_addr local_port connect_time request_time wait wait_us "
           "close_needed ptr link remote_pid tls application_name prepared_statements id").split()


class Console(EndToEndTest):
    shards = 8
    needs_mosaic = True

    def console(self, command, **options):
        return self.cluster.console(command, **options)

    def app(self):
        connection = psycopg2.connect(**self.cluster.address())
        self.addCleanup(connection.close)
        connection.autocommit = True
        return connection.cursor()

    def refused(self, command, **options):
        with self.assertRaises(psycopg2.Error) as caught:
            self.console(command, **options)
        return caught.exception

    def test_answers_under_both_names(self):
        for database in ("mosaic", "pgbouncer"):
            rows = self.console("SHOW VERSION", database=database)
            self.assertEqual(len(rows), 1)
            self.assertRegex(list(rows[0].values())[0], r"(?i)mosaic \d+\.\d+")

    def test_commands_ignore_case_spaces_and_the_semicolon(self):
        for command in ("show version", "SHOW VERSION;", "  Show\n Version ; "):
            self.assertEqual(len(self.console(command)), 1)

    def test_every_view_answers(self):
        for view in ("VERSION", "POOLS", "STATS", "CLIENTS", "SERVERS", "NODES", "SHARDS", "TABLES", "SHAPES", "SHAPE_CACHE",
                     "CONFIG"):
            with self.subTest(view=view):
                self.app().execute("SELECT count(*) FROM users WHERE user_id = 1")
                self.assertTrue(self.console(f"SHOW {view}"))

    def test_views_of_pgbouncer_have_its_columns(self):
        self.app().execute("SELECT count(*) FROM users WHERE user_id = 1")
        for view, columns in (("POOLS", POOLS), ("STATS", STATS), ("CLIENTS", CLIENTS), ("SERVERS", CLIENTS)):
            with self.subTest(view=view):
                self.assertEqual(list(self.console(f"SHOW {view}")[0])[:len(columns)], columns)

    def test_clients_lists_each_client_once(self):
        cursor = self.app()
        cursor.execute("SET application_name = 'find me'")
        rows = [row for row in self.console("SHOW CLIENTS") if row["application_name"] == "find me"]
        self.assertEqual(len(rows), 1)
        self.assertEqual((rows[0]["user"], rows[0]["database"]), ("app", "photos"))
        cursor.connection.close()
        wait_until(lambda: not [row for row in self.console("SHOW CLIENTS") if row["application_name"] == "find me"],
                   "the closed client to leave SHOW CLIENTS")

    def test_statistics_count_statements_and_transactions(self):
        names = ("total_query_count", "total_xact_count", "total_server_assignment_count", "total_query_time", "total_xact_time")

        def counted():
            rows = [row for row in self.console("SHOW STATS") if row["database"] == "photos"]
            self.assertEqual(len(rows), 1)
            return [int(rows[0][name]) - start for name, start in zip(names, started)]
        cursor = self.app()
        cursor.execute("SELECT count(*) FROM users WHERE user_id = 1")
        started = [0] * len(names)
        started = counted()
        for user in range(25):
            cursor.execute("SELECT count(*) FROM users WHERE user_id = %s", (user,))
        cursor.execute("BEGIN")
        for _ in range(10):
            cursor.execute("SELECT count(*) FROM users WHERE user_id = 1")
        cursor.execute("COMMIT")
        wait_until(lambda: counted()[1] >= 26, lambda: f"26 transactions to be counted: {counted()}")
        queries, transactions, leases, query_us, transaction_us = counted()
        self.assertEqual((transactions, leases), (26, 26))
        self.assertIn(queries, (36, 37))  # BEGIN goes out with the statement behind it, and may count as one with that
        self.assertGreater(query_us, 0)
        self.assertGreaterEqual(transaction_us, query_us)

    def test_shards_and_nodes_tell_the_truth(self):
        shards = self.console("SHOW SHARDS")
        self.assertEqual(len(shards), 8)
        for row in shards:
            node = next(node for node in self.cluster.nodes if node.name == row["node"])
            self.assertIn(int(row["shard"]), self.cluster.shards_on(node))
        nodes = {row["name"]: row for row in self.console("SHOW NODES")}
        self.assertEqual({name: int(row["port"]) for name, row in nodes.items()},
                         {node.name: node.port for node in self.cluster.nodes})

    def test_tables_tell_their_rules(self):
        rows = {row["name"]: row for row in self.console("SHOW TABLES")}
        self.assertLessEqual({"users", "media", "countries", "app_settings", "samples"}, set(rows))
        self.assertIn("user_id", [str(value) for value in rows["media"].values()])

    def test_explain_route_says_where_and_why(self):
        for user in range(1, 9):
            text = str(self.console(f"EXPLAIN ROUTE SELECT * FROM media WHERE user_id = {user}"))
            self.assertIn(f"shard_{self.cluster.shard_of(user):04}", text)
            self.assertIn(self.cluster.node_of(user).name, text)
            self.assertIn("user_id", text)
        self.assertIn(self.cluster.sections["tables.app_settings"]["node"],
                      str(self.console("EXPLAIN ROUTE SELECT * FROM app_settings")))
        self.assertEqual(self.refused("EXPLAIN ROUTE SELECT * FROM media").pgcode, "MZ010")

    def test_explain_route_says_what_is_no_sql(self):
        for text, words, character in (("SELEC", 'syntax error at or near "SELEC"', 1),
                                       ("SELECT * FROM media WHERE", "syntax error at end of input", 26),
                                       ("INSERT media VALUES (1)", 'syntax error at or near "media"', 8),
                                       ("SELECT 'x", "unterminated quoted string", 8),
                                       ("SELECT 1 FROM media WHERE user_id = = 3", 'syntax error at or near "="', 37)):
            error = self.refused(f"EXPLAIN ROUTE {text}")
            self.assertEqual(error.pgcode, "42601", text)
            self.assertIn(words, error.diag.message_primary)
            self.assertEqual(error.diag.message_detail, f"At character {character}.", text)

    def test_shapes_fold_literals(self):
        cursor = self.app()
        for user in range(30):
            cursor.execute("SELECT name, 'folded shape' FROM users WHERE user_id = %s", (user,))
        rows = [row for row in self.console("SHOW SHAPES") if "SELECT name, ? FROM users" in str(row)]
        self.assertEqual([(row["shape"], row["calls"]) for row in rows], [("SELECT name, ? FROM users WHERE user_id = ?", 30)])

    def test_shape_cache_tells_hits_parse_time_and_bytes(self):
        cursor = self.app()
        for user in range(30):
            cursor.execute("SELECT bio, 'counted' FROM users WHERE user_id = %s", (user,))
        rows = self.console("SHOW SHAPE_CACHE")
        self.assertEqual([row["worker"] for row in rows], [0, 1])
        used = max(rows, key=lambda row: row["hits"])
        self.assertGreaterEqual(used["hits"], 29)
        self.assertGreater(used["misses"], 0)
        self.assertGreater(used["parse_us"], 0)
        self.assertAlmostEqual(float(used["hit_rate"]), used["hits"] / (used["hits"] + used["misses"]), places=5)
        self.assertLess(used["bytes"], used["bytes_max"])
        self.assertGreater(max(row["parse_us"] for row in self.console("SHOW SHAPE_TEXTS") if "bio, ?" in row["shape"]), 0)

    def test_statement_cache_tells_what_is_prepared_for_simple_queries(self):
        def bound():
            return sum(row["bound_queries"] for row in self.console("SHOW STATEMENT_CACHE"))

        def read_often():
            before = bound()
            for user in range(30):
                cursor.execute("SELECT bio FROM users WHERE user_id = %s", (user,))  # psycopg2 writes it into the text
            return bound() - before

        cursor = self.app()
        self.addCleanup(lambda: (self.cluster.sections["pool"].pop("prepare_simple_queries", None),
                                 self.cluster.write_files(), self.console("RELOAD")))
        self.assertGreaterEqual(read_often(), 20)
        rows = self.console("SHOW STATEMENT_CACHE")
        self.assertEqual([row["worker"] for row in rows], [0, 1])
        used = max(rows, key=lambda row: row["bound_queries"])
        self.assertGreater(used["statements"], 0)
        self.assertLess(used["bytes"], used["bytes_max"])
        self.assertEqual(used["unbound_queries"], 0)
        self.cluster.sections.setdefault("pool", {})["prepare_simple_queries"] = False
        self.cluster.write_files()
        self.console("RELOAD")
        wait_until(lambda: read_often() == 0, "simple queries to go as they come")

    def test_reload_resizes_the_shape_cache(self):
        self.addCleanup(lambda: (self.cluster.sections["limits"].clear(), self.cluster.write_files(),
                                 self.console("RELOAD")))
        cursor = self.app()
        for width in range(1, 200):
            cursor.execute(f"SELECT {', '.join(['name'] * width)} FROM users WHERE user_id = 1")
        self.assertGreater(max(row["bytes"] for row in self.console("SHOW SHAPE_CACHE")), 1 << 16)
        self.cluster.sections.setdefault("limits", {})["shape_cache_bytes"] = "64KiB"
        self.cluster.write_files()
        self.console("RELOAD")
        wait_until(lambda: all(row["bytes"] <= row["bytes_max"] == 1 << 16 for row in self.console("SHOW SHAPE_CACHE")),
                   "the caches to shrink")
        cursor.execute("SELECT name FROM users WHERE user_id = 1")

    def test_unknown_command_is_refused_and_the_console_goes_on(self):
        with WireClient(self.cluster.port) as client:
            client.login("operator", "operator", "mosaic")
            for command in ("SHOW NOTHING", "SELECT 1 FROM media", "DROP TABLE media", "EXPLAIN ROUTE"):
                with self.subTest(command=command), self.assertRaises(ServerError):
                    client.query(command)
            self.assertEqual(len(client.query("SHOW VERSION")), 1)

    def test_settings_that_drivers_send_at_connect_are_accepted(self):
        with WireClient(self.cluster.port) as client:
            client.login("operator", "operator", "mosaic", extra_float_digits="2", client_encoding="UTF8")
            for command in ("SET client_encoding TO 'UTF8'", "SET datestyle = 'ISO'", "SET extra_float_digits = 3"):
                client.query(command)

    def test_extended_protocol_is_refused_politely(self):
        with WireClient(self.cluster.port) as client:
            client.login("operator", "operator", "mosaic")
            client.send(wire.parse("", "SHOW VERSION"), wire.bind("", ""), wire.execute(), wire.SYNC)
            frames = client.take_reply()
            self.assertEqual(frames[-1].type, "Z")
            self.assertTrue(any(frame.type in "ED" for frame in frames))
            self.assertEqual(len(client.query("SHOW VERSION")), 1)

    def test_users_without_the_right_are_kept_out(self):
        with self.assertRaises(psycopg2.OperationalError):
            self.console("SHOW VERSION", user="app")
        self.assertTrue(self.console("SHOW POOLS", user="watcher"))
        for command in ("RELOAD", "SHUTDOWN"):
            self.assertEqual(self.refused(command, user="watcher").pgcode, "42501")
        self.cluster.mosaic.assert_alive()

    def test_reload_takes_what_may_change(self):
        self.assertEqual(self.pool_size(), "20")
        self.cluster.sections["pool"]["default_pool_size"] = 7
        self.cluster.write_files()
        self.console("RELOAD")
        wait_until(lambda: self.pool_size() == "7", "the new pool size")
        self.cluster.sections["pool"]["default_pool_size"] = 20
        self.cluster.write_files()
        self.console("RELOAD")
        wait_until(lambda: self.pool_size() == "20", "the old pool size")

    def pool_size(self):
        return next(str(row["value"]) for row in self.console("SHOW CONFIG") if row["key"] == "default_pool_size")

    def test_reload_of_a_bad_file_changes_nothing_and_says_why(self):
        with open(self.cluster.config_path) as file:
            good = file.read()
        self.addCleanup(self.cluster.write_files)
        with open(self.cluster.config_path, "w") as file:
            file.write(good.replace("default_pool_size = 20", 'default_pool_size = 5\nno_such_key = "x"'))
        error = self.refused("RELOAD")
        self.assertIn("no_such_key", str(error))
        self.assertEqual(self.pool_size(), "20")
        self.app().execute("SELECT 1")

    def test_reload_reads_new_users(self):
        self.addCleanup(lambda: (self.cluster.write_files(), self.console("RELOAD")))
        with open(self.cluster.users_path, "w") as file:
            file.write('"app" "app"\n"operator" "operator"\n"watcher" "changed"\n')
        self.console("RELOAD")
        with WireClient(self.cluster.port) as client:
            client.login("watcher", "changed", "mosaic")
        with WireClient(self.cluster.port) as client, self.assertRaises(ServerError):
            client.login("watcher", "watcher", "mosaic")


if __name__ == "__main__":
    unittest.main()
