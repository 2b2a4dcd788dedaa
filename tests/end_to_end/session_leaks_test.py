"""What one client leaves in a server session, the next never sees: whatever function, DO, CALL, trigger or default did it,
and whatever Mosaic believed meanwhile. Each case leaves its trace in every session of the pool, and every session is looked at."""

import unittest

from harness.dialogue import B, C, D, E, H, P, Q, S, Speaker, run
from harness.oracle import OracleTest
from harness.processes import wait_until
from harness.traces import TRACES

HELD = "DECLARE kept CURSOR WITH HOLD FOR SELECT 'secret'"
HINT = "/* mosaic user_id={u} */ "


class Leaks(OracleTest):
    def leave_traces(self, *steps, politely=True, user="app", **parameters):
        """In as many sessions as there are: each leaves a transaction's time for another to take the other session."""
        keys = self.fresh_keys()
        # n: what each must have for itself, such as a lock
        speakers = [Speaker(self.address(user), dict(keys, n=number), **parameters) for number in range(self.pool)]
        for speaker in speakers:
            for step in steps:
                speaker.say([Q(step)] if isinstance(step, str) else step)
        for speaker in speakers:
            speaker.leave(politely)
        return keys

    def check_leaks(self, cases, **parameters):
        for number, (about, steps) in enumerate(cases.items()):
            with self.case(about):
                self.leave_traces(*steps, politely=number % 2 == 0, **parameters)
                self.assert_nothing_is_left()

    def test_what_do_does(self):
        self.check_leaks({about: [f"DO $$ BEGIN EXECUTE $x${sql}$x$; END $$"] for about, sql in TRACES.items()})

    def test_what_do_does_on_a_node_of_a_shard(self):
        self.check_leaks({about: [f"{HINT}DO $$ BEGIN EXECUTE $x${sql}$x$; END $$"] for about, sql in TRACES.items()})

    def test_what_do_does_without_dynamic_sql(self):
        self.check_leaks({about: [f"{HINT}DO $$ BEGIN {body}; END $$"] for about, body in {
            "SET": "SET statement_timeout = '77s'", "PERFORM": "PERFORM set_config('app.user', 'x', false)",
            "a lock": "PERFORM pg_advisory_lock(3{n})", "LISTEN": "LISTEN gossip",
            "a table": "CREATE TEMP TABLE aside (a int)",
            "in a branch": "IF true THEN SET ROLE low; END IF",
            "behind an exception": "BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero "
            "THEN SET TIME ZONE 'Asia/Tokyo'; END"}.items()})

    def test_what_functions_do(self):
        self.check_leaks({about: [HINT + sql] for about, sql in {
            "become": "SELECT become('A')", "become_role": "SELECT become_role('low')", "hold": "SELECT hold(5{n})",
            "listen_to": "SELECT listen_to('gossip')",
            "put_aside": "SELECT put_aside()", "count_on": "SELECT count_on()", "in FROM": "SELECT * FROM become('A')",
            "in WHERE": "SELECT 1 WHERE become('A') = 'A'", "in a sub-select": "SELECT (SELECT become('A'))",
            "in ORDER BY": "SELECT 1 ORDER BY become('A')",
            "nested": "SELECT harmless(length(become('A')))", "in VALUES": "VALUES (become('A'))",
            "by its schema": "SELECT public.become('A')",
            "quoted": 'SELECT "become"(\'A\')', "in CASE": "SELECT CASE WHEN true THEN become('A') END",
            **{f"run_text: {about}": f"SELECT run_text($x${sql}$x$)" for about, sql in TRACES.items()}}.items()})

    def test_what_functions_do_on_any_node(self):
        self.check_leaks({about: [sql] for about, sql in {
            "become": "SELECT become('A')", "hold": "SELECT hold(5{n})",
            "EXPLAIN ANALYZE": "EXPLAIN ANALYZE SELECT become('A')",
            "COPY TO": "COPY (SELECT become('A')) TO STDOUT", "CREATE TABLE AS": "CREATE TEMP TABLE x AS SELECT become('A')",
            "several": "SELECT 1; SELECT become('A'); SELECT 2"}.items()})

    def test_what_functions_do_in_statements_on_shards(self):
        self.check_leaks({about: [sql] for about, sql in {
            "SELECT": "SELECT become(name) FROM samples WHERE user_id = {u}",
            "WHERE": "SELECT 1 FROM samples WHERE user_id = {u} AND become('A') = 'A'",
            "INSERT": "INSERT INTO samples (user_id, name) VALUES ({u}, become('A'))",
            "UPDATE": "UPDATE samples SET name = become('B') WHERE user_id = {u}",
            "DELETE": "DELETE FROM samples WHERE user_id = {u} AND become('B') = 'B'",
            "RETURNING": "INSERT INTO samples (user_id, name) VALUES ({u}, 'r') RETURNING become(name)",
            "an operator's argument": "SELECT 1 FROM samples WHERE user_id = {u} AND name || become('A') <> ''",
            "a lock": "SELECT pg_advisory_lock(user_id * 10 + {n}) FROM samples WHERE user_id = {u}",
            "set_config": "SELECT set_config('app.user', name, false) FROM samples WHERE user_id = {u}",
            "nextval": "SELECT nextval('public.counted') FROM (SELECT count(*) FROM samples WHERE user_id = {u}) x",
        }.items()}, )

    def test_what_triggers_and_defaults_do(self):
        self.check_leaks({about: [f"INSERT INTO hooks VALUES ({{u}}, $x${sql}$x$)"] for about, sql in TRACES.items()})
        self.check_leaks({"a default": ["INSERT INTO stamped (user_id) VALUES ({u})"],
                          "a default named": ["INSERT INTO stamped VALUES ({u}, DEFAULT)"],
                          "COPY": [[Q("/* mosaic user_id={u} */ COPY hooks (user_id, what) FROM STDIN")],
                                   *_copy("{u}\tSET app.tenant = 'copied'\n")],
                          "COPY of a default": [[Q("/* mosaic user_id={u} */ COPY stamped (user_id) FROM STDIN")],
                                                *_copy("{u}\n")],
                          "an upsert": ["INSERT INTO hooks VALUES ({u}, 'SELECT 1')",
                                        "UPDATE hooks SET what = 'SET ROLE low' WHERE user_id = {u}"]})

    def test_what_call_does(self):
        self.check_leaks({f"act: {about}": [f"{HINT}CALL act($x${sql}$x$)"] for about, sql in TRACES.items()})
        self.check_leaks({"one that commits": [HINT + "CALL act_and_commit('SET statement_timeout = 77')"],
                          "a lock, committed": ["CALL act_and_commit('SELECT pg_advisory_lock(9{n})')"],
                          "in a transaction": ["BEGIN", HINT + "CALL act('LISTEN gossip')", "COMMIT"]})

    def test_traces_within_a_transaction(self):
        for ending in ("COMMIT", "ROLLBACK", "SELECT 1 / 0", "PREPARE TRANSACTION 'never'"):
            self.check_leaks({f"{about}, {ending}": ["BEGIN", "SELECT count(*) FROM samples WHERE user_id = {u}",
                                                     f"SELECT run_text($x${sql}$x$)", ending]
                              for about, sql in TRACES.items()})

    def test_traces_by_their_own_statements(self):
        self.check_leaks({about: [sql] for about, sql in TRACES.items()})
        self.check_leaks({f"{about}, prepared": [run(HINT + sql) + [S]] for about, sql in TRACES.items()})
        self.check_leaks({"with hold": ["BEGIN", HINT + HELD, "COMMIT"],
                          "with hold, read in part": ["BEGIN", HINT + HELD, "FETCH 1 FROM kept", "COMMIT"],
                          "with hold, alone": [HINT + HELD],
                          "with hold, behind a statement": ["BEGIN", "SELECT 1 FROM samples WHERE user_id = {u}", HELD,
                                                            "COMMIT"],
                          "in several statements": [f"{HINT}SELECT 1; SET ROLE low; SET statement_timeout = 9"],
                          "a sequence's number": ["SELECT nextval('counted')"],
                          "DISCARD SEQUENCES": ["SELECT nextval('counted')", "DISCARD SEQUENCES"]})

    def test_discard_sequences_forgets(self):
        self.check_each({
            "lastval": ["SELECT nextval('counted') > 0", "DISCARD SEQUENCES", "SELECT lastval()"],
            "currval": ["SELECT nextval('counted') > 0", "DISCARD SEQUENCES", "SELECT currval('counted')"],
            "DISCARD ALL": ["SELECT nextval('counted') > 0", "DISCARD ALL", "SELECT lastval()"],
            "never called": ["SELECT lastval()"], "never called here": ["SELECT currval('counted')"],
            "in a transaction": ["BEGIN", "SELECT nextval('counted') > 0", "SELECT currval('counted') > 0",
                                 "DISCARD SEQUENCES", "SELECT currval('counted')", "ROLLBACK"],
            "prepared": [run("SELECT nextval('counted') > 0") + [S], run("DISCARD SEQUENCES") + [S],
                         run("SELECT lastval()") + [S]]})

    def test_effects_behind_a_suspended_portal(self):
        """A portal that was suspended completes nothing; what follows it in its segment must be known all the same."""
        part = [P("", "SELECT number FROM samples WHERE user_id = {u} ORDER BY 1"), B("part", ""), E("part", 1)]
        ends = {"SET": "SET search_path = audit", "SET ROLE": "SET ROLE low", "LISTEN": "/* mosaic user_id={u} */ LISTEN gossip",
                "a lock": "/* mosaic user_id={u} */ SELECT pg_advisory_lock(71{n})",
                "SET of a custom name": "SET app.user = '1'", "set_config": "SELECT set_config('app.tenant', 'x', false)",
                "SET TIME ZONE": "SET TIME ZONE 'Asia/Tokyo'", "RESET": "RESET ALL",
                "a table": "CREATE TEMP TABLE aside (a int)"}
        self.check_leaks({about: [[*part, *run(sql), S]] for about, sql in ends.items()})
        self.check_leaks({f"{about}, two suspended": [[*part, E("part", 1), *run(sql), S]] for about, sql in ends.items()})
        self.check_leaks({f"{about}, then closed": [[*part, *run(sql), C("P", "part"), S]] for about, sql in ends.items()})
        self.check_leaks({f"{about}, flushed": [[*part, H], [*run(sql), H], [S]] for about, sql in ends.items()})
        self.check_leaks({f"{about}, then an error": [[*part, *run(sql), *run("SELECT 1 / 0"), S]] for about,
                          sql in ends.items()})
        for about, sql in ends.items():
            with self.case(about):
                self.check([*part, *run(sql.replace("{n}", "")), S], "SHOW search_path", "SHOW timezone",
                           "SELECT current_user", "DISCARD ALL")

    def test_locks_of_a_statement_that_was_cancelled(self):
        holder = Speaker(self.address())
        self.addCleanup(holder.leave)
        for about, sql in {"unnest": "SELECT pg_advisory_lock(k) FROM unnest('{1,2}'::int[]) k",
                           "twice": "SELECT pg_advisory_lock(1), pg_advisory_lock(2)",
                           "shared": "SELECT pg_advisory_lock_shared(1) UNION ALL SELECT pg_advisory_lock(2)",
                           "by a function": "SELECT hold(1), hold(2)",
                           "several statements": "SELECT pg_advisory_lock(1); SELECT pg_advisory_lock(2)"}.items():
            with self.case(about):
                node = self.cluster.nodes[0] if self.node_count == 1 else self.cluster.nodes[-1]
                blocker = node.connect()
                blocker.cursor().execute("SELECT pg_advisory_lock(2)")
                keys = self.fresh_keys()
                waiting = Speaker(self.address(), keys, silence_s=30)
                message = Q(HINT + sql)
                waiting.owed.said([message])
                waiting.wire.send(message.encoded(keys))
                wait_until(lambda: node.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
                           "the client to wait for lock 2")
                waiting.wire.cancel()
                self.assertIn("57014", str(waiting.say([])))
                waiting.leave()
                blocker.close()
                self.assert_nothing_is_left()

    def test_savepoints_released_and_repeated(self):
        """What a setting is after any nesting of savepoints, on this server and on the next."""
        see = ["SHOW statement_timeout",
               "SELECT current_setting('statement_timeout'), count(*) FROM samples WHERE user_id = {u}"]
        conversations = {
            "released, then rolled back to the outer": ["SAVEPOINT a", "SET statement_timeout = 1000", "SAVEPOINT a",
                                                        "RELEASE a", "ROLLBACK TO a", "COMMIT"],
            "inner of the same name": ["SAVEPOINT a", "SET statement_timeout = 1000", "SAVEPOINT a",
                                       "SET statement_timeout = 2000", "ROLLBACK TO a", "COMMIT"],
            "rolled back twice": ["SAVEPOINT a", "SET statement_timeout = 1000", "ROLLBACK TO a",
                                  "SET statement_timeout = 2000", "ROLLBACK TO a", "COMMIT"],
            "released with those inside": ["SAVEPOINT a", "SAVEPOINT b", "SET statement_timeout = 1000", "RELEASE a",
                                           "ROLLBACK TO b", "ROLLBACK"],
            "released, kept": ["SAVEPOINT a", "SET statement_timeout = 1000", "RELEASE a", "COMMIT"],
            "outer rollback undoes a release": ["SAVEPOINT a", "SAVEPOINT b", "SET statement_timeout = 1000", "RELEASE b",
                                                "ROLLBACK TO a", "COMMIT"],
            "quoted names": ["SAVEPOINT \"A\"", "SET statement_timeout = 1000", "SAVEPOINT a", "ROLLBACK TO \"A\"",
                             "COMMIT"],
            "no such savepoint": ["SAVEPOINT a", "SET statement_timeout = 1000", "RELEASE b", "ROLLBACK TO a", "COMMIT"],
            "local in a released one": ["SAVEPOINT a", "SET LOCAL statement_timeout = 1000", "RELEASE a", *see, "COMMIT"],
        }
        for about, steps in conversations.items():
            for first in ([], ["SELECT 1"], ["SELECT count(*) FROM samples WHERE user_id = {u}"]):
                with self.case(f"{about} behind {first}"):
                    self.check("BEGIN", *first, *steps, *see, "RESET ALL", *see)
        with self.case("many, released"):
            self.check("BEGIN", *["SAVEPOINT a", "SET LOCAL statement_timeout = 1000", "RELEASE a"] * 300, *see, "COMMIT",
                       *see)
        self.assert_nothing_is_left()

    def test_date_styles_of_which_one_half_is_set(self):
        see = ["SHOW datestyle", "SELECT '2024-05-06'::date",
               "SELECT '2024-05-06'::date FROM samples WHERE user_id = {u} AND name = 'n1'"]
        for about, steps in {
            "output, then order": ["SET datestyle = 'German'", "SET datestyle = 'YMD'"],
            "order, then output": ["SET datestyle = 'DMY'", "SET datestyle = 'SQL'"],
            "order alone": ["SET datestyle = 'DMY'"], "output alone": ["SET datestyle = 'Postgres'"],
            "both, turned": ["SET datestyle = 'MDY, German'"],
            "euro": ["SET datestyle = 'SQL'", "SET datestyle = 'European'"],
            "DEFAULT": ["SET datestyle = 'German'", "SET datestyle = DEFAULT"],
            "set_config": ["SELECT set_config('datestyle', 'German', false)",
                           "SELECT set_config('DateStyle', 'YMD', false)"],
            "two parts in one": ["SET datestyle TO 'SQL', 'YMD'"],
            "wrong": ["SET datestyle = 'German'", "SET datestyle = 'ISO, German'"],
            "rolled back": ["SET datestyle = 'German'", "BEGIN", "SELECT 1 FROM samples WHERE user_id = {u}",
                            "SET datestyle = 'YMD'", "ROLLBACK"],
            "local": ["SET datestyle = 'German'", "BEGIN", "SET LOCAL datestyle = 'YMD'", *see, "COMMIT"]}.items():
            with self.case(about):
                self.check(*steps, *see)
                # Others use the sessions in between: the client's next statement meets one that was told otherwise.
                self.check(*steps, self.others_use_every_session, *see, self.others_use_every_session, *see)

    def others_use_every_session(self, speaker):
        others = [Speaker(self.address(), speaker.keys) for _ in range(self.pool)]
        for other in others:
            other.say([Q("BEGIN; SELECT 1 FROM samples WHERE user_id = {u}")])
        for other in others:
            other.say([Q("COMMIT")])
            other.leave()

    def test_settings_are_the_clients_on_every_server(self):
        """The other side of the coin: what a client sets goes with it."""
        see = ["SHOW timezone",
               "SELECT current_setting('timezone'), current_setting('search_path'), current_user FROM samples WHERE user_id = {u} AND name = 'n1'",
               "SELECT coalesce(current_setting('app.user', true), '') FROM samples WHERE user_id = {u} AND name = 'n2'"]
        self.check_each({about: [*steps, *see, self.others_use_every_session, *see] for about, steps in {
            "SET": ["SET timezone = 'Asia/Tokyo'"], "set_config": ["SELECT set_config('app.user', '42', false)"],
            "a role": ["SET ROLE low"],
            "a quoted name": ["SET app.\"user\" = 'x'"], "search_path": ["SET search_path = public, pg_catalog"],
            "an interval": ["SET TIME ZONE INTERVAL '-3:30' HOUR TO MINUTE"],
            "in a transaction": ["BEGIN", "SET timezone = 'Asia/Tokyo'", "SET app.user = 'y'", "COMMIT"],
            "rolled back": ["BEGIN", "SET timezone = 'Asia/Tokyo'", "SET app.user = 'y'", "ROLLBACK"],
            "reset": ["SET timezone = 'Asia/Tokyo'", "RESET timezone"],
            "reset in a transaction": ["SET timezone = 'Asia/Tokyo'", "BEGIN", "RESET ALL", "COMMIT"],
            "in a segment": [[*run("SET timezone = 'Asia/Tokyo'"), *run("SELECT 1 FROM samples WHERE user_id = {u}"), S]],
            "in a failed segment": [[*run("SET timezone = 'Asia/Tokyo'"), *run("SELECT 1 / 0"), S]],
            "in several statements": ["SET timezone = 'Asia/Tokyo'; SET app.user = 'z'"],
            "in several, failed": ["SET timezone = 'Asia/Tokyo'; SELECT 1 / 0"],
        }.items()})


def _copy(rows):
    from harness.dialogue import DONE, data
    return [[data(rows), DONE]]


if __name__ == "__main__":
    unittest.main()
