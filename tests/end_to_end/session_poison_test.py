"""One client never spoils a pooled server connection for others: a name that needs quotes, a role that may not undo what it
did, our own prepared statements dropped by SQL. Each case does its harm, goes, and every session of the pool is looked at;
then a client works in each as on a plain PostgreSQL."""

import unittest

from harness.dialogue import B, E, P, Q, S, Speaker
from harness.oracle import OracleTest, is_plain

WORK = ["SELECT name FROM samples WHERE user_id = {u} ORDER BY 1", "SET statement_timeout = '50s'", "SHOW statement_timeout",
        "SELECT number FROM samples WHERE user_id = {u} AND name = 'n2'", "RESET ALL", "DISCARD ALL", "SELECT 1"]
KEYED = "SELECT number FROM samples WHERE user_id = $1 AND name = $2"


class Poison(OracleTest):
    config = {"pool": {"prepare_threshold": 1}}

    def use_the_pool(self, user="app", **parameters):
        """As many conversations as there are sessions, and one more, each from a new client."""
        for _ in range(self.pool + 1):
            self.check(*WORK, user=user, **parameters)

    def spoil(self, *steps, user="app", politely=True, **parameters):
        keys = self.fresh_keys()
        try:
            speaker = Speaker(self.address(user), keys, **parameters)
        except Exception as refused:  # what the first client is refused, the others must not suffer from
            print(f"refused at login with {parameters}: {refused}")
            return
        for step in steps:
            speaker.say([Q(step)] if isinstance(step, str) else step)
        speaker.leave(politely)

    def check_poison(self, cases, user="app"):
        for number, (about, steps) in enumerate(cases.items()):
            with self.case(about):
                for _ in range(self.pool):
                    self.spoil(*steps, user=user, politely=number % 2 == 0)
                self.use_the_pool(user)
                self.assert_nothing_is_left(user)

    def test_settings_whose_names_are_keywords_or_need_quotes(self):
        self.check_poison({
            "set_config of a keyword": ["SELECT set_config('app.user', '42', false)"],
            "SET of a quoted keyword": ["SET app.\"user\" = '42'"],
            "a prefix that is a keyword": ["SET \"order\".x = '1'"],
            "both parts are keywords": ["SET \"user\".\"select\" = '1'"],
            "current_user": ["SELECT set_config('app.current_user', 'me', false)"],
            "upper case": ["SET \"App\".\"Tenant Id\" = '1'", "SELECT 1 FROM samples WHERE user_id = {u}"],
            "by a parameter": [[P("", "SELECT set_config($1, $2, false)"), B("", "", ["app.default", "7"]), E(), S]],
            "in a sharded statement": ["SELECT set_config('app.user', name, false) FROM samples WHERE user_id = {u}"],
            "within a transaction": ["BEGIN", "SELECT 1 FROM samples WHERE user_id = {u}", "SET app.\"user\" = '1'",
                                     "COMMIT"],
            "with a value that needs quotes": ["SET app.\"end\" = 'it''s \\ \"quoted\"'"],
            "an invalid name": ["SELECT set_config('app.a-b', '1', false)"],
            "no name": ["SELECT set_config('', '1', false)"],
            "two dots": ["SET a.b.\"user\" = '1'"],
        })

    def test_start_up_parameters_whose_names_are_keywords(self):
        for parameters in ({"some.var": "1"}, {"app.user": "42"}, {"options": "-c app.user=42"},
                           {"options": "-c app.order=1 -c user.select=2"},
                           {"options": "-c app.current_user='x'"}, {"app.default": "it's"}):
            with self.case(parameters):
                for _ in range(self.pool):
                    self.spoil("SELECT 1 FROM samples WHERE user_id = {u}", **parameters)
                self.use_the_pool()
                self.assert_nothing_is_left()
                self.check("SELECT 1", "SHOW search_path", "RESET ALL", "DISCARD ALL",
                           "SELECT 1 FROM samples WHERE user_id = {u}", **parameters)

    def test_settings_that_only_their_maker_may_undo(self):
        self.check_poison({
            "session authorization given up": ["SET lo_compat_privileges = on; SET SESSION AUTHORIZATION low"],
            "the other way round": ["SET SESSION AUTHORIZATION low", "SET lo_compat_privileges = on"],
            "role given up": ["SET lo_compat_privileges = on", "SET ROLE low"],
            "in a transaction": ["BEGIN", "SET zero_damaged_pages = on", "SET SESSION AUTHORIZATION high", "COMMIT"],
            "by set_config": ["SELECT set_config('log_statement', 'all', false), set_config('session_authorization', 'low', false)"],
            "with a keyed statement between": ["SET deadlock_timeout = '2s'", "SELECT 1 FROM samples WHERE user_id = {u}",
                                               "SET SESSION AUTHORIZATION low",
                                              "SELECT 1 FROM samples WHERE user_id = {u}"],
            "session_replication_role": ["SET session_replication_role = replica", "SET ROLE high"],
        }, user="boss")

    def statements_dropped(self, drop, user="app"):
        """A client with statements of its own goes on after another dropped everything, in every session."""
        keys = self.fresh_keys()
        with_statements = Speaker(self.address(user), keys)
        self.addCleanup(with_statements.leave)
        told = with_statements.say([P("mine", KEYED), S])
        self.assertEqual([part[0] for part in told], ["1", "Z", "parameters"])
        for number in range(3 * self.pool):
            used = with_statements.say([B("", "mine", ["{u}", "n1"]), E(), S])
            self.assertEqual([part[0] for part in used if part[0] != "D"][:2], ["2", "C"], f"{used} before use {number}")
            self.spoil(*drop, user=user)
        self.check([P("mine", KEYED), S], *[[B("", "mine", ["{u}", "n1"]), E(), S]] * 4, user=user)
        self.use_the_pool(user)

    def test_our_own_statements_dropped_by_sql(self):
        for about, drop in {
            "among several statements": ["SELECT 1 FROM samples WHERE user_id = {u}; DEALLOCATE ALL"],
            "first among several": ["DEALLOCATE ALL; SELECT 1"],
            "DISCARD ALL in DO": ["DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"],
            "with a hint": ["/* mosaic user_id={u} */ DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"],
            "by a function": ["/* mosaic user_id={u} */ SELECT run_text('DEALLOCATE ALL')"],
            "by a trigger": ["INSERT INTO hooks VALUES ({u}, 'DEALLOCATE ALL')"],
            "by CALL": ["/* mosaic user_id={u} */ CALL act('DEALLOCATE ALL')"],
            "in a transaction that is rolled back": ["BEGIN", "SELECT 1 FROM samples WHERE user_id = {u}", "DEALLOCATE ALL",
                                                     "ROLLBACK"],
            "by the extended protocol": [[P("", "DEALLOCATE ALL"), B("", ""), E(), S]],
            "plans alone": ["SELECT 1; DISCARD PLANS"],
        }.items():
            with self.case(about):
                self.statements_dropped(drop)

    def test_one_of_our_statements_dropped_by_its_name(self):
        """Whoever looks into pg_prepared_statements can name what is not his."""
        keys = self.fresh_keys()
        self.statements_dropped(["/* mosaic user_id={u} */ DO $$ DECLARE s text; BEGIN FOR s IN SELECT name FROM pg_prepared_statements LOOP "
                                 "EXECUTE 'DEALLOCATE ' || quote_ident(s); END LOOP; END $$"])
        self.check("SELECT 1 FROM samples WHERE user_id = {u}", keys=keys)

    def test_a_server_that_can_not_be_brought_to_rest_is_not_given_on(self):
        """Every kind of end that leaves a session in a state that one message does not undo."""
        self.check_poison({
            "a failed transaction": ["BEGIN", "SELECT 1 / 0 FROM samples WHERE user_id = {u}"],
            "an unfinished COPY": [[Q("COPY samples (user_id, name) FROM STDIN")], "SELECT 1"],
            "an unfinished segment": [[P("", "SELECT 1 FROM samples WHERE user_id = {u}"), B("", ""), E()]],
            "read only for good": ["SET default_transaction_read_only = on", "SELECT 1 FROM samples WHERE user_id = {u}"],
            "row security off": ["SET row_security = off; SET search_path = ''",
                                 "SELECT 1 FROM samples WHERE user_id = {u}"],
            "a tiny time limit": ["SET statement_timeout = 1", "SELECT count(*) FROM samples WHERE user_id = {u}"],
        })

    def test_the_pool_is_as_small_as_these_tests_believe(self):
        if is_plain():
            return
        self.use_the_pool()
        for node in self.cluster.nodes:
            sessions, = node.query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = 'photos'")[0]
            self.assertLessEqual(sessions, self.pool)


if __name__ == "__main__":
    unittest.main()
