"""Shards move between nodes while clients work through two proxies: no error, nothing lost, nothing twice."""

import contextlib
import os
import signal
import time
import unittest

import psycopg2

from harness.mosaic_process import run_mosaic
from harness.move_checker import MoveChecker
from harness.moves import MovesTest, is_stopped
from harness.processes import wait_until
from harness.wire_client import WireClient


class Moves(MovesTest):
    # --- the way there

    def test_to_and_fro_under_load(self):
        with self.checker(0, 1, 4) as checker:
            for node in (self.pg2, self.pg1):
                move = self.move(0, node.name)
                self.console(f"WAIT MOVE {move}")
                checker.wait_for_turns(10)
                row = self.wait_for_state(move, "complete")
                self.assertGreater(float(row["write_pause_ms"]), 0)
                self.assertGreater(row["rows"], 0)
                self.assert_tidy(0, node)
        self.assertEqual(checker.findings(), [])

    def test_several_at_once(self):
        with self.checker(0, 1, 5) as checker:
            _, notices = self.console("MOVE SHARDS 0-1,3 TO pg2 WITH (soak = 0, parallel = 1)")
            moves = [int(line.split("move ")[1].split(":")[0]) for line in notices if "move " in line and "shard" in line]
            self.assertEqual(len(moves), 3, notices)
            for move in moves:
                self.wait_for_state(move, "complete")
            checker.wait_for_turns(5)
        self.assertEqual(checker.findings(), [])
        for shard in (0, 1, 3):
            self.assert_tidy(shard, self.pg2)
        self.bring_back(0, 1, 3)

    def test_a_node_is_drained_and_all_is_even_again(self):
        counts = lambda: {node.name: len(self.cluster.shards_on(node)) for node in self.cluster.nodes}  # noqa: E731
        self.assertEqual(self.console("REBALANCE")[1], ["NOTICE:  the nodes are even: nothing is to be moved"])
        _, plan = self.console("DRAIN NODE pg2 DRY RUN")
        self.assertRegex(" ".join(plan), r"pg1 +4 shards +-> +8 shards.* pg2 +4 shards +-> +0 shards.*shard 7 from pg2 to pg1")
        self.assertEqual(counts(), {"pg1": 4, "pg2": 4})
        with self.checker(0, 5) as checker:
            _, begun = self.console("DRAIN NODE pg2 WITH (soak = 0)")
            _, told = self.console("WAIT MOVES")
            self.assertIn("4 of 4 moves are through", told[-1], begun)
            self.assertEqual(counts(), {"pg1": 8, "pg2": 0})
            self.assertRegex(" ".join(self.console("REBALANCE DRY RUN")[1]), r"pg1 +8 shards +-> +4 shards")
            self.console("REBALANCE WITH (soak = 0)")
            self.console("WAIT MOVES")
            checker.wait_for_turns(5)
        self.assertEqual(checker.findings(), [])
        self.assertEqual(counts(), {"pg1": 4, "pg2": 4})
        # By size: the nodes' own figures, and a plan that says what it would make of them.
        self.assertRegex(" ".join(self.console("REBALANCE DRY RUN BY size")[1]), r"pg1 +[\d.]+ .?B +-> |the nodes are even")
        self.assertRegex(" ".join(self.console("REBALANCE DRY RUN BY heat")[1]), r"of work +-> |the nodes are even")
        refused = run_mosaic("move", self.cluster.config_path, "REBALANCE DRY RUN BY heat", check=False)
        self.assertIn("ask on the console", refused.stderr)
        for shard in range(8):
            self.bring_back(shard, node="pg1" if shard < 4 else "pg2")

    def test_a_rehearsal_tells_the_pause_and_leaves_all_as_it_was(self):
        with self.checker(1, 4) as checker:
            _, notices = self.console("REHEARSE MOVE SHARD 1 TO pg2 WITH (parallel = 1)")
            move = int(notices[0].split("move ")[1].split(":")[0])
            _, told = self.console(f"WAIT MOVE {move}")
            self.assertRegex(told[-1], r"rehearsed: writes were paused for [\d.]+ ms")
            row = self.row(move)
            self.assertEqual(row["state"], "rehearsed")
            self.assertGreater(float(row["write_pause_ms"]), 0)
            checker.wait_for_turns(5)
        self.assertEqual(checker.findings(), [])
        self.assert_tidy(1, self.pg1)

    def test_what_a_move_costs_clients_is_kept_with_it(self):
        facts = lambda move: {row["name"]: row["value"] for row in self.console(f"SHOW MOVE {move}")[0]}  # noqa: E731
        used = "SELECT sum(heap_blks_hit + heap_blks_read) > 0 FROM pg_statio_all_tables WHERE schemaname = 'shard_0000'"
        with self.checker(0) as checker:
            wait_until(lambda: self.pg1.query(used) == [(True,)], "the node to tell what is read")
            move = self.move(0, "pg2")
            self.wait_for_state(move, "complete")
            checker.wait_for_turns(5)
        wait_until(lambda: int(facts(move)["statements_held"]) > 0, lambda: f"held statements to be told: {facts(move)}")
        wait_until(lambda: int(facts(move)["statements_prepared_ahead"]) > 0,
                   lambda: f"statements to be prepared on the target before their use: {facts(move)}")
        self.assertEqual(facts(move)["statements_refused"], "0")
        self.assertGreater(float(facts(move)["longest_hold_ms"]), 0)
        self.assertGreater(int(facts(move)["warmed_bytes"]), 0)
        self.bring_back(0)

    def test_views_tell_of_shards_and_proxies(self):
        shards, _ = self.console("SHOW SHARDS")
        self.assertTrue(all(row["bytes"] > 0 for row in shards), shards)
        self.assertEqual({row["move"] for row in shards}, {None})
        wait_until(lambda: len(self.console("SHOW PROXIES")[0]) == 2, "both proxies to be known")
        with self.checker(0):
            rows = lambda: self.console("SHOW PROXIES")[0]  # noqa: E731
            wait_until(lambda: sum(row["clients"] for row in rows()) > 0, lambda: f"clients to be told: {rows()}")
        self.assertTrue(all(row["silent_ms"] < 60_000 for row in rows()), rows())
        self.pg1.query("CREATE TABLE shard_0001.filler (id int PRIMARY KEY, v text); "
                       "INSERT INTO shard_0001.filler SELECT g, md5(g::text) FROM generate_series(1, 20000) g")
        self.addCleanup(self.pg1.query, "DROP TABLE shard_0001.filler")
        move = self.move(1, "pg2", rate="100kB/s")
        self.wait_for_state(move, "copying")
        shard = self.console("SHOW SHARDS WHERE shard = 1")[0][0]
        self.assertEqual((shard["move"], shard["move_state"]), (move, "copying"))
        self.console(f"CANCEL MOVE {move}")
        self.wait_for_state(move, "aborted")

    def test_privileges_that_change_meanwhile_come_along(self):
        self.pg1.query("CREATE ROLE reader; GRANT USAGE ON SCHEMA shard_0003 TO reader; CREATE TABLE shard_0003.filler AS "
                       "SELECT g AS id, repeat('x', 200) AS text FROM generate_series(1, 1000) g; "
                       "ALTER TABLE shard_0003.filler ADD PRIMARY KEY (id); ANALYZE shard_0003.filler")
        self.pg2.query("CREATE ROLE reader")
        move = self.move(3, "pg2", rate="100kB/s")
        self.wait_for_state(move, "copying")
        self.pg1.query("GRANT SELECT (text) ON shard_0003.filler TO reader; GRANT INSERT ON shard_0003.filler TO reader")
        self.console(f"WAIT MOVE {move}")
        self.assertEqual(self.pg2.query(
            "SELECT has_column_privilege('reader', 'shard_0003.filler', 'text', 'SELECT'), "
            "has_column_privilege('reader', 'shard_0003.filler', 'id', 'SELECT'), "
            "has_table_privilege('reader', 'shard_0003.filler', 'INSERT'), has_schema_privilege('reader', 'shard_0003', 'USAGE')"),
            [(True, False, True, True)])
        self.pg2.query("DROP TABLE shard_0003.filler")
        self.bring_back(3)

    def test_undo_keeps_what_was_written_there(self):
        with self.checker(0, 4) as checker:
            move = self.move(0, "pg2", soak="10 min")
            self.wait_for_state(move, "soaking")
            self.assertEqual(self.node_of_shard(0), "pg2")
            lane = f"mosaic_m{move}_r"
            enabled = lambda: self.pg1.query("SELECT subenabled FROM pg_subscription WHERE subname = %s", (lane,)) == [(True,)]  # noqa: E731
            wait_until(enabled, "the way back to run")
            self.pg1.query(f"ALTER SUBSCRIPTION {lane} DISABLE")  # as a passing error does
            checker.wait_for_turns(20)  # on the target
            wait_until(enabled, "the way back to run again")
            self.console(f"UNDO MOVE {move}")
            self.wait_for_state(move, "returned")
            checker.wait_for_turns(10)
        self.assertEqual(checker.findings(), [])
        self.assert_tidy(0, self.pg1)
        self.assertRegex(self.refusal(f"UNDO MOVE {move}"), "has ended: it is returned")

    def test_cancel_before_the_switch(self):
        with self.checker(0) as checker:
            for rate in ("1kB/s", "0"):
                move = self.move(0, "pg2", rate=rate)
                if rate != "0":
                    self.wait_for_state(move, "copying")
                with contextlib.suppress(psycopg2.Error):  # it may have been faster
                    self.console(f"CANCEL MOVE {move}")
                row = self.wait_for_state(move, "aborted", "complete")
                if row["state"] == "complete":
                    self.bring_back(0)
                checker.wait_for_turns(5)
                self.assert_tidy(0, self.pg1)
        self.assertEqual(checker.findings(), [])

    def test_a_long_transaction_keeps_it_waiting_and_is_named(self):
        [user] = self.new_users(0, 1)
        with WireClient(self.cluster.port) as client, self.checker(0) as checker:
            client.login()
            move = self.move(0, "pg2")
            self.wait_for_state(move, "copying", "indexing", "catching_up", "verifying", "ready", "cutover", "complete")
            if self.row(move)["state"] == "complete":
                self.skipTest("the move was faster than the transaction")
            client.query("BEGIN")
            client.query(f"INSERT INTO follows (user_id, followee_id) VALUES ({user}, -1)")
            row = self.wait_for_state(move, "cutover", "complete")
            if row["state"] == "cutover":
                wait_until(lambda: "pid" in self.row(move)["blockers"] or self.row(move)["state"] == "complete",
                           lambda: f"the blocker to be named: {self.row(move)}")
            client.query(f"UPDATE users SET edit_count = 0 WHERE user_id = {user}")
            client.query("COMMIT")
            self.wait_for_state(move, "complete")
            checker.wait_for_turns(5)
        self.assertEqual(checker.findings(), [])
        self.assertEqual(self.pg2.query(f"SELECT count(*) FROM shard_0000.follows WHERE user_id = {user}"), [(1,)])
        self.bring_back(0)

    # --- from the command line

    def test_command_line(self):
        path = self.cluster.config_path
        done = run_mosaic("move", path, "MOVE SHARD 1 TO pg2 WITH (soak = 0)", "--wait")
        self.assertRegex(done.stdout, r"move \d+: shard 1 to pg2\n(.*\n)*move \d+: \w+, writes paused for")
        self.assertEqual(self.node_of_shard(1), "pg2")
        for command, status, words in [("MOVE SHARD 1 TO pg2", 1, "shard 1 is on node pg2 already"),
                                       ("SHOW MOVES", 2, "is no command about moves"), ("MOVE SHARD", 2, "no list of shards")]:
            done = run_mosaic("move", path, command, check=False)
            self.assertEqual((done.returncode, done.stdout), (status, ""), command)
            self.assertIn(words, done.stderr)
        self.assertEqual(run_mosaic("move", path, "CHECK MOVE SHARD 1 TO pg1").stdout, "shard 1 can go from pg2 to pg1\n")
        self.bring_back(1)

    # --- the checker finds what it is there for

    def test_the_checker_finds_a_lost_row_and_one_written_twice(self):
        with self.checker(0) as checker:
            checker.wait_for_turns(20)
        self.assertEqual(checker.findings(), [])
        one, two = checker.clients[0], checker.clients[1]
        self.pg1.query(f"DELETE FROM shard_0000.follows WHERE user_id = {one.user} AND followee_id = {max(one.ledger.appended)}")
        self.pg1.query(f"UPDATE shard_0000.users SET edit_count = edit_count + 1 WHERE user_id = {two.user}")
        found = "\n".join(checker.findings())
        self.assertRegex(found, f"user {one.user}: 1 acknowledged rows are lost")
        self.assertRegex(found, f"user {two.user}: the counter is")

    def move_with_a_gap(self, shard, faults):
        """Between the last change that is waited for and the flip nothing follows any more. What the checker finds."""
        mosaic = self.cluster.mosaic
        mosaic.clean_stop()
        os.environ["MOSAIC_FAULT"] = ",".join(["cutover.marker:stop", *faults])
        try:
            mosaic.start()
        finally:
            del os.environ["MOSAIC_FAULT"]
        with MoveChecker(self.cluster, self.new_users(shard, 3), [self.other.port], pause_s=0) as checker:
            move = self.move(shard, "pg2", verify="off")
            # It has the last change that it waits for; now what is written through the other proxy has time.
            wait_until(lambda: is_stopped(mosaic.pid), "the proxy to stop", 60)
            self.pg2.query(f"ALTER SUBSCRIPTION mosaic_m{move}_f DISABLE")
            written = sum(len(client.ledger.appended) for client in checker.clients)
            began = time.monotonic()
            wait_until(lambda: sum(len(client.ledger.appended) for client in checker.clients) > written + 3
                       or time.monotonic() > began + 0.5, "rows to be written, or to be held")
            mosaic.send_signal(signal.SIGCONT)
            self.wait_for_state(move, "complete")
            checker.wait_for_turns(5)
        found = "\n".join(checker.findings())
        mosaic.clean_stop()
        mosaic.start()
        self.bring_back(shard)
        return found

    def test_the_checker_finds_a_fence_that_is_left_out(self):
        self.assertEqual(self.move_with_a_gap(1, []), "")
        self.assertRegex(self.move_with_a_gap(1, ["cutover.hold:skip", "cutover.fence:skip"]), "acknowledged rows are lost")

    # --- what a shard may hold

    def run_script(self, node, name, schema):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as script:
            text = script.read().replace("{s}", schema)
        address = {"host": "127.0.0.1", "port": node.port, "user": "postgres", "password": "", "dbname": "photos"}
        self.cluster.psql("-q", script=text, address=address)

    @staticmethod
    def contents(node, schema):
        """Rows, sequences and definitions of a schema, as texts."""
        found = {}
        for name, kind in node.query("SELECT relname::text, relkind::text FROM pg_class WHERE relnamespace = %s::regnamespace AND "
                                     "relkind IN ('r', 'S', 'v')", (schema,)):
            quoted = '"' + name.replace('"', '""') + '"'
            columns = "last_value, is_called" if kind == "S" else "t.*"
            pinned = "SET DateStyle = ISO; SET IntervalStyle = postgres; SET bytea_output = hex; SET statement_timeout = 0; "
            only = "ONLY " if kind == "r" else ""
            found[name] = sorted(row[0] for row in node.query(f"{pinned} SELECT ROW({columns})::text FROM {only}{schema}.{quoted} t"))
        for name, query in {
                "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = %s",
                "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, condeferred "
                               "FROM pg_constraint WHERE connamespace = %s::regnamespace",
                "triggers": "SELECT pg_get_triggerdef(t.oid), tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE "
                            "relnamespace = %s::regnamespace AND NOT tgisinternal AND tgname !~ '^mosaic_m'",
                "policies": "SELECT tablename, policyname, roles::text, qual FROM pg_policies WHERE schemaname = %s",
                "comments": "SELECT obj_description(oid) FROM pg_class WHERE relnamespace = %s::regnamespace",
                "statistics": "SELECT stxname FROM pg_statistic_ext WHERE stxnamespace = %s::regnamespace",
                "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace"}.items():
            found["the " + name] = sorted(str(row) for row in node.query(query, (schema,)))
        return found

    def test_all_kinds_of_things(self):
        schema = "shard_0002"  # no other test moves it: its 122 tables stay
        # What the two nodes prefer must not come between them.
        for node, settings in ((self.pg1, ["DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "statement_timeout = '2s'"]),
                               (self.pg2, ["DateStyle = 'Postgres, MDY'", "bytea_output = 'escape'"])):
            for setting in settings:
                node.query(f"ALTER DATABASE photos SET {setting}")
                self.addCleanup(node.query, f"ALTER DATABASE photos RESET {setting.split()[0]}")
        self.run_script(self.pg1, "move_kinds.sql", schema)
        grants = self.grants(self.pg1, schema)
        move = self.move(2, "pg2", rate="250kB/s", soak="10 min")
        self.wait_for_state(move, "copying")
        self.run_script(self.pg1, "move_kinds_changes.sql", schema)
        self.assertEqual(self.row(move)["state"], "copying", "too fast for this test")
        row = self.wait_for_state(move, "soaking")
        before, after = self.contents(self.pg1, schema), self.contents(self.pg2, schema)
        self.assertEqual(before.keys(), after.keys())
        for name in before:
            self.assertEqual(before[name], after[name], name)
        self.assertEqual(self.grants(self.pg2, schema), grants)
        self.assertGreater(len(before), 115)
        # New values follow the old ones; what was written there comes back.
        self.pg2.query(f"SET search_path = {schema}; INSERT INTO children (parent) VALUES (20); INSERT INTO kinds (note) VALUES ('there')")
        self.assertGreater(self.pg2.query(f"SELECT max(id) FROM {schema}.children")[0][0], 5000)
        self.console(f"UNDO MOVE {move}")
        self.wait_for_state(move, "returned")
        self.assertEqual(self.pg1.query(f"SELECT count(*) FROM {schema}.kinds WHERE note = 'there'"), [(1,)])
        self.assertEqual(self.grants(self.pg1, schema), grants)
        self.assert_tidy(2, self.pg1)
        print(f"\n122 tables: writes paused for {row['write_pause_ms']} ms")

    def test_a_definition_that_changes_meanwhile_comes_along(self):
        self.pg1.query("CREATE TABLE shard_0003.filler (id int PRIMARY KEY, v text); "
                       "INSERT INTO shard_0003.filler SELECT g, md5(g::text) FROM generate_series(1, 20000) g")
        self.addCleanup(self.pg1.query, "DROP TABLE IF EXISTS shard_0003.filler")
        move = self.move(3, "pg2", rate="500kB/s")
        self.wait_for_state(move, "copying")
        self.pg1.query("ALTER TABLE shard_0003.filler ALTER v SET DEFAULT 'changed'")
        self.wait_for_state(move, "complete")
        self.pg2.query("INSERT INTO shard_0003.filler (id) VALUES (0)")
        self.assertEqual(self.pg2.query("SELECT v FROM shard_0003.filler WHERE id = 0"), [("changed",)])
        self.assert_tidy(3, self.pg2)
        self.bring_back(3)

    # --- what is refused

    def test_refusals_say_what_to_type(self):
        for command, expected in [
                ("MOVE SHARD 99 TO pg2", r"there is no shard 99 \| SHOW SHARDS lists them"),
                ("MOVE SHARD 0 TO pg9", r'there is no node "pg9" \| SHOW NODES lists them'),
                ("MOVE SHARD 0 TO pg1", "shard 0 is on node pg1 already"),
                ("MOVE SHARDS 3-1 TO pg2", r'the range "3-1" is empty'),
                ("MOVE SHARDS 1,x TO pg2", r"expected numbers and ranges, such as 1-20,40"),
                ("MOVE SHARD 0 TO pg2 WITH (speed = 1)", "options are parallel, rate, soak and verify"),
                ("MOVE SHARD 0 TO pg2 WITH (parallel = 0)", "expected connections that copy, 1 to 64"),
                ("MOVE SHARD 0", "expected MOVE SHARD number TO node"),
                ("UNDO MOVE 12345", r"there is no move 12345 \| SHOW MOVES lists them"),
                ("CANCEL MOVE x", "expected CANCEL MOVE number"),
                ("DRAIN NODE", "expected DRAIN NODE name"),
                ("DRAIN NODE pg9", 'node "pg9" is not in use'),
                ("SHOW MOVE 12345", "there is no move 12345")]:
            with self.subTest(command):
                self.assertRegex(self.refusal(command), expected)
        self.assertEqual(self.pg1.query("SELECT count(*) FROM mosaic.moves WHERE finished_at IS NULL"), [(0,)])

    def test_a_check_tells_all_obstacles_at_once(self):
        self.pg1.query("CREATE TABLE shard_0003.keyless (a int); CREATE UNLOGGED TABLE shard_0003.light (a int PRIMARY KEY); "
                       "CREATE MATERIALIZED VIEW shard_0003.kept AS SELECT 1 AS one")
        self.addCleanup(self.pg1.query, "DROP MATERIALIZED VIEW shard_0003.kept; DROP TABLE shard_0003.keyless, shard_0003.light")
        connection = psycopg2.connect(**self.cluster.address("operator", "mosaic"))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            with self.assertRaises(psycopg2.Error):
                cursor.execute("CHECK MOVE SHARD 3 TO pg2")
            told = "\n".join(connection.notices)
        self.assertRegex(told, "shard_0003.keyless has no primary key.*ALTER TABLE shard_0003.keyless ADD PRIMARY KEY")
        self.assertRegex(told, "shard_0003.light is unlogged.*SET LOGGED")
        self.assertRegex(told, "shard_0003.kept is a materialized view")
        move = self.move(3, "pg2")
        self.assertRegex(self.wait_for_state(move, "aborted")["message"], "keyless|light|kept")
        self.pg1.query("ALTER TABLE shard_0003.keyless REPLICA IDENTITY FULL")
        self.assertEqual(self.cluster.shards_on(self.pg2), [4, 5, 6, 7])

    def test_one_move_of_a_shard_at_a_time(self):
        move = self.move(0, "pg2", rate="1kB/s", soak="10 min")
        self.assertRegex(self.refusal("MOVE SHARD 0 TO pg2"), "shard 0 is being moved already")
        self.assertRegex(self.refusal(f"UNDO MOVE {move}"), "no way back")
        self.assertRegex(self.refusal(f"FINISH MOVE {move}"), "only a move that is soaking")
        self.console(f"CANCEL MOVE {move}")
        self.wait_for_state(move, "aborted")
        self.assert_tidy(0, self.pg1)


if __name__ == "__main__":
    unittest.main()
