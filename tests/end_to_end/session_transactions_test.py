"""Transactions are PostgreSQL's: what is atomic stays so, a failed one refuses until it is rolled back, whatever comes first
after BEGIN runs inside it, and nothing that one PostgreSQL allows is refused. Frame by frame beside a plain PostgreSQL."""

import unittest

from harness.dialogue import B, C, D, E, H, P, Q, S, run
from harness.oracle import OracleTest, by_another

ROWS = "SELECT name, number FROM samples WHERE user_id = {u} ORDER BY 1"
INSERT = "INSERT INTO samples (user_id, name, number) VALUES ({u}, 'new', 9)"
TABLELESS_ERRORS = {"division": "SELECT 1 / 0", "a cast": "SELECT 'x'::int", "no such function": "SELECT sin('x'::text)",
                    "no such table": "SELECT * FROM pg_catalog.nowhere",
                    "a syntax error": "SELEC 1", "no such setting": "SHOW nothing",
                    "a wrong setting": "SET timezone = 'No/Where'",
                    "no such savepoint": "ROLLBACK TO nowhere", "no such cursor": "FETCH 1 FROM nowhere",
                    "RELEASE": "RELEASE nowhere"}
# What a driver may say first in a transaction, before any statement that names a key.
FIRST = {
    "a constant": "SELECT 1", "SHOW": "SHOW transaction_isolation", "now": "SELECT now() IS NOT NULL",
    "a setting": "SELECT set_config('app.uid', '3', true)",
    "SET LOCAL": "SET LOCAL app.uid = '3'", "SET": "SET app.uid = '3'", "SET CONSTRAINTS": "SET CONSTRAINTS ALL DEFERRED",
    "a reference table": "SELECT count(*) FROM countries",
    "SET TRANSACTION": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "the catalog": "SELECT typname FROM pg_type WHERE oid = 23",
    "generate_series": "SELECT count(*) FROM generate_series(1, 3)",
    "current_setting": "SELECT current_setting('timezone')", "SAVEPOINT": "SAVEPOINT first",
    "version": "SELECT version() IS NOT NULL", "VALUES": "VALUES (1), (2)",
    "an advisory lock": "/* mosaic user_id={u} */ SELECT pg_advisory_xact_lock(42)",
    "a harmless function": "/* mosaic user_id={u} */ SELECT harmless(1)", "nothing": "",
    "a catalog view": "SELECT count(*) > 0 FROM pg_settings",
}


class Transactions(OracleTest):
    pool = 4

    def after_each(self, *steps):
        """The steps, and then what the transaction has left for everybody."""
        self.check(*steps, "ROLLBACK", ROWS)

    def test_an_error_in_a_pipeline_ends_the_transaction_that_it_began(self):
        for about, wrong in TABLELESS_ERRORS.items():
            with self.case(about):
                self.after_each([*run("BEGIN"), *run(wrong), *run(INSERT), S], INSERT)
                self.after_each([*run("BEGIN"), *run(wrong), S], [*run(INSERT), S], [*run("COMMIT"), S])
                self.after_each([*run("BEGIN"), *run(INSERT), *run(wrong), S], INSERT)
                self.after_each([*run("BEGIN"), *run("SAVEPOINT a"), *run(wrong), *run("ROLLBACK TO a"), S],
                                [*run("ROLLBACK TO a"), *run(INSERT), *run("COMMIT"), S])
                self.after_each([*run("BEGIN"), H], [*run(wrong), H], [*run(INSERT), S], INSERT)
                self.after_each([*run("START TRANSACTION READ ONLY"), *run(wrong), *run("SELECT 1"), S], "SELECT 1",
                                "COMMIT")

    def test_an_error_in_several_statements_ends_the_transaction_that_they_began(self):
        for about, wrong in TABLELESS_ERRORS.items():
            with self.case(about):
                self.after_each(f"BEGIN; {wrong}", INSERT)
                self.after_each(f"BEGIN; {wrong}; {INSERT}", INSERT)
                self.after_each(f"BEGIN; {INSERT}; {wrong}; COMMIT", INSERT)
                self.after_each(f"{INSERT}; {wrong}")
                self.after_each("BEGIN", wrong, INSERT, "COMMIT", INSERT)
                self.after_each(f"BEGIN; SAVEPOINT a; {wrong}", "ROLLBACK TO a", INSERT, "COMMIT")

    def test_a_failed_transaction_goes_on_behind_its_rollback_in_one_batch(self):
        for about, begin in {"failed by a constant": ["BEGIN", "SAVEPOINT s", "SELECT 1 / 0"],
                             "failed on the shard": ["BEGIN", INSERT, "SAVEPOINT s",
                                                     "SELECT number / 0 FROM samples WHERE user_id = {u} AND name = 'n1'"],
                             "failed twice": ["BEGIN", "SAVEPOINT s", "SELECT 1 / 0", "SELECT 1"]}.items():
            with self.case(about):
                self.after_each(*begin, [*run("ROLLBACK TO s"), *run(INSERT.replace("new", "newer")), *run("COMMIT"), S])
                self.after_each(*begin, [*run("ROLLBACK"), *run("SELECT 1"), S])
                self.after_each(*begin, [*run("ROLLBACK"), *run("BEGIN"), *run(INSERT.replace("new", "newer")),
                                         *run("COMMIT"), S])
                self.after_each(*begin, "ROLLBACK TO s; SELECT 1", "SELECT 2", "COMMIT")
                self.after_each(*begin, "ROLLBACK; SELECT 1; " + INSERT.replace("new", "newest"))
                self.after_each(*begin, "COMMIT; SELECT 1")
                self.after_each(*begin, [*run("SELECT 1"), *run("ROLLBACK"), S], "SELECT 1")
                self.after_each(*begin, [*run("ROLLBACK TO s"), H], [*run("SELECT 1"), H], [*run("SELECT 1 / 0"), H],
                                [*run("ROLLBACK TO s"), S],
                                [*run("ROLLBACK TO s"), *run("RELEASE s"), *run("COMMIT"), S])
                self.after_each(*begin, [*run("COMMIT"), *run("SELECT 2"), S])
                self.after_each(*begin, [P("", "SELECT 1"), S], [P("", "ROLLBACK"), B("", ""), D("P", ""), E(), S])

    def test_what_comes_first_in_a_transaction_runs_inside_it(self):
        options = ["BEGIN READ ONLY", "BEGIN ISOLATION LEVEL READ UNCOMMITTED", "BEGIN ISOLATION LEVEL REPEATABLE READ",
                   "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
                   "BEGIN READ WRITE"]
        see = "SELECT current_setting('transaction_read_only'), current_setting('transaction_isolation'), current_setting('transaction_deferrable')"
        for begin in options:
            with self.case(begin):
                self.check(begin, "SHOW transaction_read_only", "SHOW transaction_isolation", see, ROWS, see, "COMMIT", see)
                self.check(begin, see, "SAVEPOINT a", see, "ROLLBACK TO a", INSERT, "ROLLBACK", see)
                self.check([*run(begin), *run(see), S], [*run(ROWS), S], [*run("COMMIT"), *run(see), S])
                self.check(f"{begin}; {see}; COMMIT; {see}")
        with self.case("now() stands still"):
            self.check("BEGIN", "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT now() AS at", "SELECT now() = at FROM t",
                       "SELECT pg_sleep(0.01) IS NULL", "SELECT now() = at FROM t", "COMMIT")
            self.check("BEGIN", self.remember_now, "SELECT pg_sleep(0.01)", self.now_is_what_it_was, ROWS, "COMMIT")
        with self.case("the process stays"):
            self.check("BEGIN", self.same_process, "SELECT 1", "SHOW timezone", self.same_process, ROWS, "COMMIT")
        with self.case("xmin stays"):
            self.check("BEGIN", "SELECT pg_current_xact_id_if_assigned() IS NULL", "SELECT pg_current_xact_id() IS NULL",
                       "SELECT pg_current_xact_id_if_assigned() IS NULL", "COMMIT")

    @staticmethod
    def ask(speaker, sql):
        heard = speaker.say([Q(sql)])
        return next((part[1] for part in heard if part[0] == "D"), heard)

    def remember_now(self, speaker):
        speaker.keys["remembered"] = self.ask(speaker, "SELECT now()")

    def now_is_what_it_was(self, speaker):
        return [("the same", self.ask(speaker, "SELECT now()") == speaker.keys["remembered"])]

    def same_process(self, speaker):
        """Within a transaction pg_backend_pid() may be anything, but it stays."""
        process = self.ask(speaker, "SELECT pg_backend_pid()")
        before = speaker.keys.setdefault("process " + str(id(speaker)), process)
        return [("the same", before == process)]

    def test_what_is_bound_and_not_executed_ends_and_begins_nothing(self):
        """Another node's statement behind it: the transaction is still open, and must not be begun again elsewhere."""
        for bound in ("COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK TO s", "RELEASE s", "PREPARE TRANSACTION 'never{u}'"):
            for portal in ("", "p"):
                with self.case(f"{bound}, {portal}"):
                    idle = [P("c", bound), B(portal, "c")]
                    self.check("BEGIN", "SAVEPOINT s", INSERT, [*idle, P("", ROWS), B("", ""), E(), S], "COMMIT", ROWS)
                    self.check("BEGIN", "SAVEPOINT s", INSERT, [*idle, S], ROWS, "ROLLBACK", ROWS)
                    self.check("BEGIN", "SAVEPOINT s", INSERT, [*idle, *run("SELECT 1 / 0"), S], "COMMIT", ROWS)

                    def go_elsewhere(speaker):  # which is refused where that is another node; else all is as it was
                        heard = speaker.say([*idle, P("", ROWS.replace("{u}", "{w}")), B("", ""), E(), S])
                        is_refused = any(part[0] == "E" and dict(part[1:])["C"] == "MZ014" for part in heard)
                        return [("kept", is_refused or any(part[0] == "D" and b"new" in part[1] for part in speaker.say([Q(ROWS)])))]
                    self.check("BEGIN", "SAVEPOINT s", INSERT, go_elsewhere, "ROLLBACK", ROWS)
        for portal in ("", "p"):
            self.check([P("b", "BEGIN"), B(portal, "b"), *run(INSERT), S], ROWS, "ROLLBACK", ROWS)

    def test_portals_of_no_table_live_until_the_transaction_ends(self):
        for about, sql in {"generate_series": "SELECT n FROM generate_series(1, 5) n", "values": "VALUES (1), (2), (3), (4)",
                           "a reference table": "SELECT 1 FROM generate_series(1, 4) LEFT JOIN countries ON false",
                           "the catalog": "SELECT oid FROM pg_type WHERE oid IN (16, 17, 18, 19) ORDER BY 1",
                           "a key's rows": ROWS}.items():
            begin = [P("", sql), B("part", ""), E("part", 2), S]
            with self.case(about):
                self.check("BEGIN", begin, [E("part", 1), S], [E("part", 0), S], "COMMIT")
                self.check("BEGIN", begin, ROWS, [E("part", 1), S], [C("P", "part"), S], [E("part", 1), S], "ROLLBACK")
                self.check([*run("BEGIN"), *begin], [E("part", 1), H], [D("P", "part"), S], "COMMIT", [E("part", 1), S])
                self.check("BEGIN", begin, "SAVEPOINT a", [E("part", 1), S], "SELECT 1 / 0", "ROLLBACK TO a",
                           [E("part", 1), S], "COMMIT")
                self.check(begin, [E("part", 1), S])
                self.check("BEGIN", "DECLARE c CURSOR FOR " + sql, "FETCH 2 FROM c", [E("c", 1), S], "MOVE 1 IN c",
                           "FETCH ALL FROM c", "CLOSE c", "COMMIT", "FETCH 1 FROM c")

    def test_a_keyed_statement_may_follow_whatever_came_first(self):
        for about, sql in FIRST.items():
            with self.case(about):
                self.after_each("BEGIN", sql, ROWS, INSERT, "COMMIT", ROWS)
                self.after_each("BEGIN", sql, sql, INSERT, "SELECT coalesce(current_setting('app.uid', true), '')",
                                "ROLLBACK")
                self.after_each("BEGIN", [*run(sql), S], [*run(ROWS), S], [*run("COMMIT"), S])
                self.after_each([*run("BEGIN"), *run(sql), *run(ROWS), *run(INSERT), *run("COMMIT"), S])
                if "BEGIN" not in sql:
                    self.after_each([*run(sql), *run(ROWS), *run(INSERT), S],
                                    "SELECT coalesce(current_setting('app.uid', true), '')")
                    self.after_each([*run(sql), H], [*run(ROWS), H], [*run(INSERT), S])
        with self.case("an isolation level"):
            self.after_each("BEGIN ISOLATION LEVEL REPEATABLE READ", "SHOW transaction_isolation", ROWS, INSERT, "COMMIT")
            self.after_each("BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SHOW transaction_isolation", ROWS,
                            "SET TRANSACTION READ ONLY", INSERT, "COMMIT")
            self.after_each("BEGIN", "SELECT 1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", ROWS, "COMMIT")
            self.after_each("BEGIN", "SET TRANSACTION READ ONLY", "SELECT 1", INSERT, "COMMIT")
        with self.case("row level security"):
            self.after_each("BEGIN", "SELECT set_config('app.uid', '3', true)", "SELECT current_setting('app.uid')", ROWS,
                            "SELECT current_setting('app.uid') FROM samples WHERE user_id = {u} AND name = 'n1'", "COMMIT",
                            "SELECT coalesce(current_setting('app.uid', true), '')")

    def test_constraints_deferred_to_the_end(self):
        twice = ["INSERT INTO slots VALUES ({u}, 1, 'a')", "INSERT INTO slots VALUES ({u}, 1, 'b')"]
        see = "SELECT slot, who FROM slots WHERE user_id = {u} ORDER BY 1, 2"
        self.check_each({
            "broken at COMMIT": ["BEGIN", *twice, "COMMIT", see],
            "mended": ["BEGIN", *twice, "DELETE FROM slots WHERE user_id = {u} AND who = 'a'", "COMMIT", see],
            "broken at Sync": [[*run(twice[0]), *run(twice[1]), S], see],
            "at the end of several statements": ["; ".join(twice), see],
            "set immediate": ["BEGIN", "SET CONSTRAINTS ALL IMMEDIATE", *twice, "COMMIT", see],
            "set immediate later": ["BEGIN", *twice, "SET CONSTRAINTS ALL IMMEDIATE", "COMMIT", see],
            "COMMIT in a pipeline": [[*run("BEGIN"), *run(twice[0]), *run(twice[1]), *run("COMMIT"), *run("SELECT 1"), S],
                                     "SELECT 1", see],
            "COMMIT AND CHAIN": ["BEGIN", *twice, "COMMIT AND CHAIN", "SELECT 1", see],
            "behind SET, with Sync": [[*run("SET app.user = 'x'"), *run(twice[0]), *run(twice[1]), S],
                                      "SELECT coalesce(current_setting('app.user', true), '')"],
            "DDL-like PREPARE": ["BEGIN", *twice, "PREPARE TRANSACTION 'broken'", see],
        }, prepare=False)

    def test_chains_and_repeated_begins(self):
        self.check_each({
            "COMMIT AND CHAIN": ["BEGIN ISOLATION LEVEL REPEATABLE READ", INSERT, "COMMIT AND CHAIN",
                                 "SHOW transaction_isolation", "ROLLBACK", ROWS],
            "ROLLBACK AND CHAIN": ["BEGIN READ ONLY", "SELECT 1", "ROLLBACK AND CHAIN", "SHOW transaction_read_only", INSERT,
                                   "COMMIT"],
            "chain of nothing": ["COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "SELECT 1"],
            "chain while held": ["BEGIN", "COMMIT AND CHAIN", INSERT, "ROLLBACK", ROWS],
            "chain of a failed one": ["BEGIN", "SELECT 1 / 0", "COMMIT AND CHAIN", INSERT, "COMMIT", ROWS],
            "BEGIN twice": ["BEGIN", "BEGIN", INSERT, "COMMIT", ROWS],
            "BEGIN twice, with options": ["BEGIN", "BEGIN READ ONLY", "SHOW transaction_read_only", INSERT, "COMMIT"],
            "COMMIT of nothing": ["COMMIT", "ROLLBACK", "END", "ABORT"],
            "SAVEPOINT outside": ["SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"],
            "implicit block": ["SELECT 1; SAVEPOINT a; SELECT 2"],
            "BEGIN within several": ["SELECT 1; BEGIN; SELECT 2", INSERT, "ROLLBACK", ROWS],
            "COMMIT within several": [f"BEGIN; {INSERT}; COMMIT; SELECT 1 / 0", ROWS],
            "SET LOCAL outside": ["SET LOCAL timezone = 'Asia/Tokyo'", "SHOW timezone"],
            "several with a savepoint": [f"BEGIN; SAVEPOINT a; {INSERT}; ROLLBACK TO a; COMMIT", ROWS],
        })

    def test_settings_of_a_transaction_are_told_when_it_ends(self):
        for about, setting in {"time zone": "SET TIME ZONE 'Asia/Tokyo'", "date style": "SET datestyle = 'German'",
                               "application name": "SET application_name = 'inside'",
                               "interval style": "SET intervalstyle = 'iso_8601'",
                               "local": "SET LOCAL TIME ZONE 'Asia/Tokyo'",
                               "set_config": "SELECT set_config('timezone', 'Asia/Tokyo', false)",
                               "local set_config": "SELECT set_config('timezone', 'Asia/Tokyo', true)",
                               "encoding": "SET client_encoding = 'LATIN1'"}.items():
            for end in ("ROLLBACK", "COMMIT"):
                with self.case(f"{about}, {end}"):
                    self.check("BEGIN", setting, end, "SELECT 1")
                    self.check("BEGIN", setting, ROWS, end, "SELECT 1")
                    self.check("BEGIN", "SAVEPOINT a", setting, "ROLLBACK TO a", end, "SELECT 1")
                    self.check("BEGIN", setting, "SELECT 1 / 0", end, "SELECT 1")
                    self.check([*run("BEGIN"), *run(setting), *run(end), S], "SELECT 1")
                    self.check(f"BEGIN; {setting}; {end}")

    def test_pins_end_when_their_reason_does(self):
        """After each, the client reaches a user on the other node."""
        far = "SELECT count(*) FROM samples WHERE user_id = {w}"
        self.check_each({about: [*steps, far, ROWS, far] for about, steps in {
            "setReadOnly": ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", ROWS, "SHOW transaction_read_only"],
            "setReadOnly off": ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                                "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", INSERT],
            "an isolation level": ["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                                   "SHOW transaction_isolation", ROWS],
            "pgAdmin": ["SET DateStyle=ISO; SET client_min_messages=notice; SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='UTF8';"],
            "set_config over a table": ["SELECT set_config('app.user', name, false) FROM samples WHERE user_id = {u} AND name = 'n1'"],
            "RESET ALL": ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "RESET ALL", INSERT],
            "UNLISTEN": ["LISTEN gossip", "UNLISTEN gossip"], "UNLISTEN *": ["LISTEN a", "LISTEN b", "UNLISTEN *"],
            "LISTEN rolled back": ["BEGIN", ROWS, "/* mosaic user_id={u} */ LISTEN a", "ROLLBACK"],
            "unlock": ["SELECT pg_advisory_lock(81)", "SELECT pg_advisory_unlock(81)"],
            "unlock all": ["SELECT pg_advisory_lock(81), pg_advisory_lock_shared(82)", "SELECT pg_advisory_unlock_all()"],
            "unlock twice": ["SELECT pg_advisory_lock(81)", "SELECT pg_advisory_lock(81)", "SELECT pg_advisory_unlock(81)",
                             "SELECT pg_advisory_unlock(81)"],
            "DROP": ["CREATE TEMP TABLE aside (a int)", "DROP TABLE aside"],
            "ON COMMIT DROP": ["BEGIN", ROWS, "CREATE TEMP TABLE aside (a int) ON COMMIT DROP", "COMMIT"],
            "DISCARD TEMP": ["CREATE TEMP TABLE aside (a int)", "DISCARD TEMP"],
            "a table rolled back": ["BEGIN", ROWS, "CREATE TEMP TABLE aside (a int)", "ROLLBACK"],
            "CLOSE": ["BEGIN", ROWS, "DECLARE kept CURSOR WITH HOLD FOR SELECT 1", "COMMIT", "FETCH 1 FROM kept",
                      "CLOSE kept"],
            "CLOSE ALL": ["BEGIN", ROWS, "DECLARE kept CURSOR WITH HOLD FOR SELECT 1", "COMMIT", "CLOSE ALL"],
            "a cursor rolled back": ["BEGIN", ROWS, "DECLARE kept CURSOR WITH HOLD FOR SELECT 1", "ROLLBACK"],
            "DISCARD ALL": ["LISTEN a", "SELECT pg_advisory_lock(81)", "CREATE TEMP TABLE aside (a int)", "DISCARD ALL"],
            "PREPARE, DEALLOCATE": ["PREPARE one AS SELECT 1", "EXECUTE one", "DEALLOCATE one"],
            "chained, then a key": ["BEGIN READ ONLY", "COMMIT AND CHAIN", ROWS, "SHOW transaction_read_only", "ROLLBACK AND CHAIN",
                                    "SHOW transaction_read_only", "COMMIT"],
            "chained behind a failure": ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1 / 0", "ROLLBACK AND CHAIN", ROWS,
                                         "SHOW transaction_isolation", "COMMIT"],
            "modes of a transaction outside of one": ["SET transaction_isolation = 'serializable'", "SHOW transaction_isolation",
                                                      "SET transaction_read_only = on", ROWS, "SHOW transaction_read_only"],

            "two, one by one": ["LISTEN a", "SELECT pg_advisory_lock(81)", "UNLISTEN a", "SELECT pg_advisory_unlock(81)"],
        }.items()})

    def test_transactions_in_two_phases(self):
        gid = "{u}-gid"
        off = [node.query("SHOW max_prepared_transactions")[0][0] for node in self.cluster.nodes]
        self.assertEqual(set(off), {"0"}, "these nodes can not prepare transactions: the errors are what is compared")
        self.check_each({
            "off": ["BEGIN", INSERT, f"PREPARE TRANSACTION '{gid}'", ROWS, f"COMMIT PREPARED '{gid}'"],
            "nothing began": [f"PREPARE TRANSACTION '{gid}'", "SELECT 1"],
            "nothing done": ["BEGIN", f"PREPARE TRANSACTION '{gid}'", "SELECT 1"],
            "no such name": [f"COMMIT PREPARED '{gid}'", f"ROLLBACK PREPARED '{gid}'"],
            "in a transaction": ["BEGIN", f"COMMIT PREPARED '{gid}'", "ROLLBACK"],
            "a failed one": ["BEGIN", "SELECT 1 / 0", f"PREPARE TRANSACTION '{gid}'", "SELECT 1"],
            "with a temporary table": ["BEGIN", "CREATE TEMP TABLE aside (a int)", f"PREPARE TRANSACTION '{gid}'",
                                       "SELECT 1"],
        })


class TwoPhases(OracleTest):
    """Nodes that can prepare transactions."""

    pool = 3

    @classmethod
    def setUpClass(cls):
        from harness import postgres_node
        settings = dict(postgres_node._SETTINGS)
        postgres_node._SETTINGS["max_prepared_transactions"] = "20"
        try:
            super().setUpClass()
        finally:
            postgres_node._SETTINGS.clear()
            postgres_node._SETTINGS.update(settings)

    def renew_mosaic(self):
        for node in self.cluster.nodes:
            for gid, database in node.query("SELECT gid, database FROM pg_prepared_xacts"):
                node.query(f"ROLLBACK PREPARED '{gid}'", database=database)
        super().renew_mosaic()

    def test_prepared_by_one_client_ended_by_another(self):
        # The judge and Mosaic's first node are one server: one is done with a name before the other takes it.
        for end in ("COMMIT PREPARED 'g{u}'", "ROLLBACK PREPARED 'g{u}'"):
            for how, steps in {"simple": ["BEGIN", INSERT, "PREPARE TRANSACTION 'g{u}'"],
                               "one pipeline": [[*run("BEGIN"), *run(INSERT), *run("PREPARE TRANSACTION 'g{u}'"), S]],
                               "several statements": [f"BEGIN; {INSERT}; PREPARE TRANSACTION 'g{{u}}'"],
                               "a savepoint": ["BEGIN", "SAVEPOINT a", INSERT, "RELEASE a", "PREPARE TRANSACTION 'g{u}'"],
                               "behind SELECT 1": ["BEGIN", "SELECT 1", INSERT, "PREPARE TRANSACTION 'g{u}'"]}.items():
                with self.case(f"{how}, {end}"):
                    self.check(*steps, ROWS, by_another(end, ROWS), end, ROWS)
                    self.check(*steps, end, ROWS, "SELECT count(*) FROM samples WHERE user_id = {w}")
                    self.check(*steps, by_another("SELECT count(*) FROM samples WHERE user_id = {w}", [*run(end), S], end),
                               ROWS)
        for node in self.cluster.nodes:
            self.assertEqual(node.query("SELECT gid FROM pg_prepared_xacts"), [])

    def test_a_prepared_transaction_holds_its_locks_until_it_is_ended(self):
        update = "UPDATE samples SET number = 50 WHERE user_id = {u} AND name = 'n1'"
        for end in ("ROLLBACK PREPARED 'g{u}'", "COMMIT PREPARED 'g{u}'"):
            with self.case(end):
                self.check("BEGIN", update, "PREPARE TRANSACTION 'g{u}'", "SET lock_timeout = 50", update, end, update, ROWS)

    def test_a_name_is_taken_until_its_transaction_is_ended(self):
        with self.case("taken"):
            self.check("BEGIN", INSERT, "PREPARE TRANSACTION 'g{u}'", "BEGIN", INSERT.replace("new", "newer"),
                       "PREPARE TRANSACTION 'g{u}'", ROWS, "ROLLBACK PREPARED 'g{u}'", ROWS)
        with self.case("quoted"):
            self.check("BEGIN", INSERT, "PREPARE TRANSACTION 'it''s {u} \\ \"'", "COMMIT PREPARED 'it''s {u} \\ \"'", ROWS)
        with self.case("in a transaction"):
            self.check("BEGIN", INSERT, "PREPARE TRANSACTION 'g{u}'", "BEGIN", "COMMIT PREPARED 'g{u}'", "ROLLBACK",
                       "COMMIT PREPARED 'g{u}'", ROWS)


if __name__ == "__main__":
    unittest.main()
