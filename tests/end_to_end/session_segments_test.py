"""Messages without a Sync behind them are one transaction, whoever answers which of them: what fails takes all back, what a
client leaves unsaid is not committed, names and portals are what they would be. And what a statement's constants meant
when it was parsed they mean for good. Frame by frame beside a plain PostgreSQL."""

import unittest

from harness.dialogue import B, C, D, DONE, E, H, P, Q, S, run
from harness.oracle import OracleTest
from harness.processes import wait_until

ROWS = "SELECT name, number FROM samples WHERE user_id = {u} ORDER BY 1"
CHANGE = "UPDATE samples SET number = number + 7 WHERE user_id = {u}"
# Answered by Mosaic itself: with what has been said before they are one transaction all the same.
FAILS_HERE = {"DEALLOCATE": 'DEALLOCATE "no such"', "DISCARD ALL": "DISCARD ALL",
              "EXECUTE": "EXECUTE nothing"}


class Segments(OracleTest):
    pool = 4

    def test_a_failure_takes_back_all_since_the_sync(self):
        for about, wrong in FAILS_HERE.items():
            with self.case(about):
                self.check([*run(CHANGE), Q(wrong)], ROWS)
                self.check([*run(CHANGE), H, Q(wrong)], ROWS)
                self.check([*run("SELECT set_config('datestyle', 'ISO, MDY', true)"), *run(CHANGE), Q(wrong)], ROWS)
                self.check("BEGIN", [*run(CHANGE), Q(wrong)], "COMMIT", ROWS)

    def test_what_was_not_synced_is_not_committed_when_its_client_leaves(self):
        for about, step in {"unanswered": run(CHANGE), "answered": [*run(CHANGE), H], "prepared": [
                P("s", CHANGE), B("", "s"), E(), H], "in a transaction": [Q("BEGIN"), *run(CHANGE), H],
                "behind another": [*run("SELECT 1"), S, *run(CHANGE), H],
                "bound only": [P("", CHANGE), B("", ""), H]}.items():
            for politely in (True, False):
                with self.case(f"{about}, {'politely' if politely else 'without a word'}"):
                    def leave(speaker):
                        other = speaker.another()
                        heard = speaker.say(step)
                        speaker.leave(politely=politely)
                        # Who has to be rolled back lets go of the row first.
                        heard += other.say([Q("UPDATE samples SET number = number + 100 WHERE user_id = {u}"), Q(ROWS)])
                        other.leave()
                        return heard
                    self.check(leave)

    def test_what_was_sent_whole_is_committed_when_its_client_leaves(self):
        def leave(speaker):
            other = speaker.another()
            speaker.say([*run(CHANGE), S])
            speaker.leave()
            heard = other.say([Q(ROWS)])
            other.leave()
            return heard
        self.check(leave)

    def test_names_and_portals_of_skipped_messages_are_as_before(self):
        keyed = "SELECT name, number FROM samples WHERE user_id = $1 ORDER BY name"
        for about, wrong in {"at Bind": [P("", "SELECT $1::int"), B("", "", ("x",))], "at Execute": run("SELECT 1 / 0"),
                             "of a setting": run("SET timezone = 'No/Where'")}.items():
            with self.case(about):
                again = [C("S", "s2"), P("s2", keyed), B("", "s2", ("{u}",)), S]
                self.check([P("s2", "SET TIME ZONE LOCAL")], [*wrong, *again], [P("s2", "SELECT 2"), S])
                self.check([P("s2", "SET TIME ZONE LOCAL"), S], [*wrong, *again], [B("", "s2"), E(), S])
                self.check("BEGIN", [*wrong, P("p", "PREPARE q AS SELECT 1"), B("p8", "p"), S], [D("P", "p8"), H], [S])
                self.check("BEGIN", [E("nowhere"), P("p", "PREPARE q AS SELECT 1"), B("p8", "p"), S], [E("p8"), S])
        self.check([P("", "BEGIN"), B("p7", ""), E("p7")], [P("", "SELECT currval('nothing')"), S], [E("p7"), S], "ROLLBACK")

    def test_what_is_answered_here_comes_behind_the_end_of_a_failed_transaction(self):
        for end in ("ROLLBACK", "ABORT", "COMMIT"):
            with self.case(end):
                fail = ("BEGIN", "SELECT 1 / 0")
                self.check(*fail, [*run(end), P("d", "DEALLOCATE ALL"), B("", "d"), E(), P("again", end), B("", "again"), S])
                self.check(*fail, [*run(end), P("p", "PREPARE q1 AS SELECT 1"), B("", "p"), E(), S],
                           [B("", "p"), E(), S], "EXECUTE q1")
                self.check([P("s3", "SELECT 1"), S], *fail, [*run(end), P("s3", "DEALLOCATE s1"), S])
        self.check("BEGIN READ ONLY", "SELECT 1 / 0", "ROLLBACK AND CHAIN", CHANGE, "COMMIT", ROWS)
        self.check("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT 1 / 0", [*run("COMMIT AND CHAIN"), S],
                   "SHOW transaction_isolation", "COMMIT")

    def test_a_snapshot_is_taken_where_it_was_said(self):
        for here in ("DISCARD TEMP", "DEALLOCATE ALL", "PREPARE q9 AS SELECT 1"):
            for level in ("BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"):
                with self.case(f"{here}, {level}"):
                    self.check([*run(here), Q(level)], "ROLLBACK", [*run(here), *run(level), S], "ROLLBACK")
            self.check([*run(here), Q("BEGIN")], "COMMIT", [*run(here), *run("SET TRANSACTION READ ONLY"), S])

    def test_statements_that_want_no_transaction_find_none(self):
        self.check([*run("DEALLOCATE ALL"), Q("DISCARD ALL")], "DISCARD ALL", [*run("DEALLOCATE ALL"), S], "DISCARD ALL")

    def test_a_definition_and_what_reads_it_in_one_segment(self):
        columns = [P("n", "SELECT * FROM changing"), S]
        for begin, end in (([], []), (run("BEGIN"), run("COMMIT"))):
            self.check("CREATE TABLE changing (a int)", columns,
                       [*begin, *run("ALTER TABLE changing ADD b int"), P("m", "SELECT * FROM changing"), B("", "m"),
                        D("P", ""), E(), *end, S], [B("", "m"), D("P", ""), E(), S], "DROP TABLE changing")
        for end in ("ROLLBACK", "COMMIT"):  # what was described in between is nobody else's
            look = [P("d", "SELECT * FROM changing"), D("S", "d"), B("", "d"), E(), C("S", "d"), S]
            self.check("CREATE TABLE changing (a int)", look, "BEGIN", "ALTER TABLE changing ADD b int", look, end, look,
                       lambda speaker: speaker.another().say(look), "DROP TABLE changing")
        self.check(run("CREATE FUNCTION adds(int, int) RETURNS int LANGUAGE SQL RETURN $1 + $2") + [S], "SELECT adds(2, 3)",
                   "DROP FUNCTION adds")

    def test_an_error_within_copy_ends_the_connection(self):
        for kind in (E(), D("P", ""), P("", "SELECT 1")):
            self.check([*run("COPY samples (user_id, name) FROM STDIN"), H], [kind])


class AnsweredHere(OracleTest):
    """What no server has seen counts for what a server is asked behind it."""

    pool = 4
    LEVELS = ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET LOCAL transaction_isolation = 'repeatable read'",
              "SELECT set_config('transaction_isolation', 'serializable', true)", "SET TRANSACTION READ ONLY")
    BEGINS = ("BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN DEFERRABLE", "START TRANSACTION READ WRITE", "BEGIN READ ONLY")
    HERE = ("DEALLOCATE ALL", "PREPARE q9 AS SELECT 1", "DISCARD TEMP")

    def test_no_mode_is_named_behind_a_snapshot(self):
        for here in self.HERE:
            for level in self.LEVELS:
                with self.case(f"{here}, {level}"):
                    self.check("BEGIN", here, level, "ROLLBACK", "BEGIN", [*run(here), *run(level), S], "ROLLBACK")
                    self.check([*run(here), *run(level), S], [*run("BEGIN"), *run(here), S], level, "COMMIT")
                    self.check("BEGIN", here, "COMMIT AND CHAIN", level, "ROLLBACK", "BEGIN", "COMMIT", "BEGIN", level, "ROLLBACK")

    def test_a_parse_takes_one_also_when_it_is_answered_from_memory(self):
        text = "SELECT name FROM samples WHERE user_id = $1"
        for begin in self.BEGINS:
            with self.case(begin):
                self.check([P("a", text), S], [P("b", text), Q(begin)], "ROLLBACK",
                           [P("c", text), *run(begin), S], "ROLLBACK", "BEGIN", [P("d", text), S], self.LEVELS[0], "ROLLBACK")
                self.check([P("a", "SHOW timezone"), S], [P("b", "SHOW timezone"), Q(begin)], "ROLLBACK")

    def test_an_empty_copy_takes_one(self):
        copy = [*run("COPY samples (user_id, name) FROM STDIN"), H]
        for begin in self.BEGINS:
            with self.case(begin):
                self.check(copy, [DONE], [*run(begin), S], "ROLLBACK", "BEGIN", copy, [DONE, S], self.LEVELS[0], "ROLLBACK")

    def test_commands_that_want_to_be_alone_are_not(self):
        for alone in ("VACUUM", "CREATE DATABASE nix", "DROP DATABASE nix", "COMMIT PREPARED 'never'", "REINDEX DATABASE nix"):
            with self.case(alone):
                for here in self.HERE:
                    self.check([*run(here), *run(alone), S])
                self.check([P("a", "SELECT 1"), *run("COMMIT PREPARED 'never'"), S],
                           [*run("BEGIN"), *run("COMMIT"), *run("COMMIT PREPARED 'never'"), S])

    def test_what_others_sequences_have_said_is_forgotten_before_them(self):
        # Few enough servers that each of them has been asked for a number.
        numbers = "SELECT nextval('counted') > 0"
        for first in ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT currval('counted')", "VACUUM (ANALYZE) pg_class",
                      "DO 'BEGIN PERFORM 1; END'", "BEGIN READ ONLY; SELECT lastval()", "CALL nothing_at_all()"):
            with self.case(first):
                self.check(*[numbers] * 4)
                self.check(first, "ROLLBACK")
                self.check(run(first.split(";")[0]) + [S], "ROLLBACK")
                self.check("CREATE TEMP TABLE mine (a int)", numbers)
                self.check("CREATE TEMP TABLE mine (a int)", first, "ROLLBACK", "DROP TABLE mine")

    def test_portals_end_with_a_transaction_that_is_chained(self):
        for end in ("COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "COMMIT", "SELECT 1; COMMIT AND CHAIN"):
            with self.case(end):
                bound = [P("b", "BEGIN"), B("p", "b"), E("p")]
                for late in (D("P", "p"), E("p"), C("P", "p")):
                    self.check(bound, CHANGE, end, [late, S], "ROLLBACK")
                    self.check(bound, end, [late, S], "ROLLBACK")

    def test_portals_end_with_close_all_and_discard_all(self):
        for close in ("CLOSE ALL", "DISCARD ALL"):
            for late in (D("P", "p"), E("p"), C("P", "p")):
                bound = [P("b", "BEGIN"), B("p", "b")]
                with self.case(f"{close}, {late}"):
                    self.check([*bound, *run(close), late, S], "ROLLBACK")
                    self.check([*bound, E("p")], close, [late, S], "ROLLBACK")

    def test_a_description_takes_no_snapshot(self):
        prepared = [P("d", "SELECT name FROM samples WHERE user_id = $1"), S]
        for begin in self.BEGINS:
            with self.case(begin):
                self.check(prepared, "BEGIN", "SAVEPOINT s", "ROLLBACK", [D("S", "d"), *run(begin), S], "COMMIT")
                self.check(prepared, [D("S", "d"), Q(begin + "; " + CHANGE)], "ROLLBACK", ROWS)
                self.check(prepared, [D("S", "d"), H], [*run(begin), S], "ROLLBACK", [D("S", "d"), H], begin, "COMMIT")
                self.check(prepared, [D("S", "d"), *run("SELECT 1"), *run(begin), S], "ROLLBACK")
                self.check(prepared, [D("S", "no"), *run(begin), S], "ROLLBACK")

    def test_modes_outlive_what_fails_behind_a_chain(self):
        for modes in ("BEGIN READ ONLY", "BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            shown = ("SHOW transaction_read_only", "SHOW transaction_isolation")
            with self.case(modes):
                self.check(modes, "COMMIT AND CHAIN", "SELECT 1 / 0", "ROLLBACK AND CHAIN", *shown, "COMMIT AND CHAIN", *shown, "COMMIT")
                self.check(modes, [*run("COMMIT AND CHAIN"), D("P", "no"), S], "COMMIT AND CHAIN", *shown, "ROLLBACK", *shown)
                self.check(modes, "SELECT 1 / 0", "ROLLBACK AND CHAIN", *shown, "COMMIT")
                self.check(modes, "COMMIT AND CHAIN", "SELECT name FROM samples WHERE user_id = {w}", "COMMIT AND CHAIN", *shown,
                           "SELECT 1 / 0", "COMMIT AND CHAIN", *shown, "COMMIT")

    def test_copy_is_refused_where_it_may_not_write(self):
        copy = "COPY samples (user_id, name) FROM STDIN"
        self.check("BEGIN READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", copy, "ROLLBACK")
        self.check("BEGIN", "SELECT set_config('transaction_read_only', 'on', false)", copy, "ROLLBACK")
        self.check("BEGIN", "SELECT set_config('transaction_read_only', 'off', true)", copy, [DONE], "ROLLBACK")
        self.check("SELECT 1; SELECT set_config('default_transaction_read_only', 'on', false); BEGIN", copy, [DONE], "COMMIT", copy)
        self.check("BEGIN", "SET default_transaction_read_only TO on", copy, [DONE], "COMMIT", copy)
        self.check("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", copy, "BEGIN READ WRITE", copy, [DONE], "ROLLBACK")

    def test_names_go_as_they_are_dropped(self):
        late = [P("s", "SELECT 2"), B("", "s"), E(), S]
        for drop in ("DISCARD ALL", "DEALLOCATE ALL"):
            with self.case(drop):
                self.check([P("s", "ROLLBACK"), B("p", "s"), *run(drop), *late], [B("", "s"), E(), S])
                self.check([P("s", "SELECT 1"), S], [*run(CHANGE), *run("COMMIT"), *run(drop), *late], [B("", "s"), E(), S], ROWS)
                self.check([P("s", "SELECT 1"), S], [P("t", ROWS), Q(drop)], late, [B("", "t"), E(), S])
                self.check([P("s", "SELECT 1"), S], "BEGIN", [*run("SELECT 1 / 0"), *run(drop), S], "ROLLBACK", [B("", "s"), E(), S])

    def test_discard_all_on_a_server_leaves_what_the_client_came_with(self):
        parse = [P("x", ROWS)]
        for step in ([*parse, Q("DISCARD ALL")], [*parse, H, Q("DISCARD ALL")], [*parse, *run("DISCARD ALL"), S]):
            self.check("SET timezone TO 'UTC'", 'SET "app"."user" TO 7', step, "SHOW timezone", "SHOW application_name",
                       "SELECT current_setting('app.user', true) = '7'", ROWS, application_name="mine",
                       options="-c timezone=Asia/Tokyo")

    def test_what_ran_on_the_node_before_counts_on_the_next(self):
        self.check([*run("SELECT current_setting('timezone')"), *run("COMMIT PREPARED 'never'"), S],
                   [*run("SHOW timezone"), *run("COMMIT PREPARED 'never'"), S])
        for free in ("SELECT 1", "SHOW timezone", "SET timezone TO 'UTC'", "SELECT set_config('app.x', '1', true)"):
            for behind in (self.LEVELS[0], ROWS.replace("{u}", "{w}")):
                with self.case(f"{free}, {behind}"):
                    self.check(ROWS, "BEGIN", free, behind, "ROLLBACK", ROWS, "BEGIN", [*run(free), *run(behind), S], "ROLLBACK")
        self.check(ROWS, "BEGIN", "SELECT 1", "SELECT name FROM samples WHERE user_id = {w}", self.LEVELS[0], "ROLLBACK")

    def test_a_failed_transaction_ends_within_a_segment_also_by_prepare_transaction(self):
        copy = [P("c", "COPY samples (user_id, name) FROM STDIN"), B("", "c")]
        for end in ("ROLLBACK", "COMMIT", "PREPARE TRANSACTION 'never{u}'"):
            with self.case(end):
                fail = ("BEGIN", CHANGE, "SELECT 1 / 0")
                self.check(*fail, [*run(end), P("r", ROWS), S], [B("", "r"), E(), S])
                self.check(*fail, [*run(end), P("r", ROWS), B("", "r"), E(), S])
                self.check(*fail, [*run(end), *copy, S], ROWS)
                self.check(*fail, [*run(end), *copy, E(), H], [DONE, S], ROWS)

    def test_an_unnamed_statement_is_as_it_was_where_the_next_is_skipped(self):
        for wrong in ([D("P", "no")], run("SELECT 1 / 0"), [B("", "", ("x", "y"))]):
            for skipped in ("/* mosaic user_id={w} */ DROP TABLE IF EXISTS nix", "SELECT 1",
                            "SELECT name FROM samples WHERE user_id = {w}", "SELECT name FROM samples", "UNLISTEN *"):
                with self.case(f"{wrong}, {skipped}"):
                    text = "SELECT name FROM samples WHERE user_id = $1 AND name = $2"
                    self.check([P("", text), P("s", ROWS), B("", "s"), *wrong, P("", skipped), S], [B("p2", ""), S])


class Settings(OracleTest):
    """They follow a transaction to another node, and nobody else."""

    pool = 1
    STARTED = {"options": "-c timezone=Asia/Tokyo -c app.user=7", "application_name": "mine"}

    def test_what_is_reset_is_as_the_client_gave_it_on_every_node(self):
        seen = "SELECT current_setting('timezone'), current_setting('app.user'), count(*) FROM samples WHERE user_id = {%s}"
        for reset in ("RESET ALL", "RESET timezone", "SET TIME ZONE LOCAL", "SET timezone TO DEFAULT", 'RESET "app"."user"'):
            for user in "uw":
                with self.case(f"{reset}, {user}"):
                    begin = ("BEGIN", "SET timezone TO 'UTC'", 'SET "app"."user" TO 8')
                    self.check(*begin, reset, seen % user, "ROLLBACK", seen % user, **self.STARTED)
                    self.check(*begin, [*run(reset), S], seen % user, "COMMIT", seen % user, "SHOW timezone", **self.STARTED)
                    self.check(*begin, reset, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", seen % user, "COMMIT", **self.STARTED)

    def test_what_a_suspended_portal_has_set_stays_with_its_client(self):
        for text in ("SELECT set_config('app.current_user', 'me', false)", "SELECT set_config('timezone', 'Asia/Tokyo', false)",
                     "SELECT set_config('app.current_user', 'me', false) WHERE $1::int > 0"):
            values = ("1",) if "$1" in text else ()
            with self.case(text):
                def look(speaker):
                    heard, other = [], speaker.another()
                    for user in "uvw":
                        heard += other.say([Q("SELECT current_setting('timezone'), coalesce(current_setting('app.current_user', true), ''), "
                                              f"count(*) FROM samples WHERE user_id = {{{user}}}")])
                    other.leave()
                    return heard
                suspended = [P("", f"/* mosaic user_id={{u}} */ {text}"), B("", "", values), E("", 1), H]
                self.check("BEGIN", suspended, [P("", ROWS), B("", ""), E(), S], "ROLLBACK", look)
                self.check("BEGIN", suspended, CHANGE, "COMMIT", look)
                self.check(suspended, [P("", ROWS), B("", ""), E(), S], look)
                self.check(ROWS, suspended, CHANGE, look)

                def go_elsewhere(speaker):  # which may be refused
                    speaker.say([*suspended, P("", "SELECT name FROM samples WHERE user_id = {w}"), B("", ""), E(), S])
                self.check(ROWS, go_elsewhere, look)


class Constants(OracleTest):
    """PostgreSQL reads constants once, when a statement is parsed."""

    pool = 4

    def test_mean_what_they_meant_when_they_were_parsed(self):
        text = "SELECT '01/02/2000'::date::text, $1::int"
        late = [B("", "n", ("4",)), E(), S]
        for first, then in (("SET datestyle = 'ISO, MDY'", "SET datestyle = 'ISO, DMY'"), ("SELECT 1", "SET datestyle = 'DMY'"),
                            ("SET datestyle = 'ISO, DMY'", "RESET datestyle"), ("SELECT 1", "BEGIN; SET datestyle = 'DMY'")):
            for between in ((), ("BEGIN", CHANGE.replace("{u}", "{w}"), "COMMIT")):  # another server, perhaps
                with self.case(f"{first}, {then}, {len(between)}"):
                    self.check(first, [P("n", text), *late], f"PREPARE q AS SELECT '01/02/2000'::date::text",
                               *between, then, late, "EXECUTE q", [P("m", text), B("", "m", ("4",)), E(), S], late,
                               "ROLLBACK", late, "EXECUTE q", "SHOW datestyle")
        zone = "PREPARE z AS SELECT '2000-01-01 00:00'::timestamptz = '2000-01-01 00:00+00'::timestamptz"
        self.check("SET timezone = 'UTC'", zone, "SET timezone = 'Asia/Tokyo'", "EXECUTE z", "RESET timezone", "EXECUTE z",
                   "SHOW timezone")
        self.check([*run("SET timezone = 'Asia/Tokyo'"), *run("PREPARE p1 AS SELECT 1"), *run("EXECUTE p1"), S], "EXECUTE p1")

    def test_roles_end_with_their_user(self):
        for end in ("RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT", "RESET session_authorization",
                    "SET session_authorization TO DEFAULT"):
            with self.case(end):
                elsewhere = ("SELECT pg_advisory_lock({u})", "SELECT pg_advisory_unlock({u})")
                self.check("SET ROLE low", end, *elsewhere, "SELECT current_user")
                self.check("SET ROLE low", "BEGIN", end, "ROLLBACK", *elsewhere, "SELECT current_user")

    def test_sequences_are_known_while_the_server_is_kept(self):
        self.check("LISTEN kept{u}", "SELECT nextval('counted') > 0", "SELECT currval('counted') > 0, lastval() > 0",
                   "UNLISTEN *")

    def test_a_text_means_each_clients_own_temporary_table(self):
        text = "SELECT * FROM mine_alone"

        def look(speaker, columns):
            return speaker.say([Q(f"CREATE TEMP TABLE mine_alone ({columns})"), P("n", text), D("S", "n"), B("", "n"), E(), S,
                                P("", text), B("", ""), D("P", ""), E(), S, Q(text)])

        def beside(speaker):
            other = speaker.another()
            heard = look(other, "b text, c int")
            other.leave()
            return heard
        for columns in ("a int", "a int, b int", "b text"):
            with self.case(columns):
                self.check(lambda speaker: look(speaker, columns), beside, [P("m", text), D("S", "m"), B("", "m"), E(), S],
                           [B("", "n"), E(), S], "ALTER TABLE mine_alone ADD later int", [P("l", text), D("S", "l"), S],
                           [B("", "n"), E(), S], "DROP TABLE mine_alone")
        prepared = [P("p", "SELECT * FROM plain_two"), D("S", "p"), B("", "p"), E(), S]
        self.check("CREATE TABLE plain_two (a int, b int)", prepared, "BEGIN", "ALTER TABLE plain_two DROP COLUMN b",
                   [B("", "p", (), (), (1, 1)), E(), S], "ROLLBACK", [B("", "p"), E(), S], "DROP TABLE plain_two")

    def test_objects_of_the_temporary_schema_stay(self):
        self.check("CREATE TABLE plain_one (a int, b int)", "CREATE STATISTICS pg_temp.st ON a, b FROM plain_one",
                   "SELECT count(*) FROM pg_statistic_ext WHERE stxname = 'st'", "DROP TABLE plain_one")


class Definitions(OracleTest):
    """What Mosaic reads of definitions gives way to those who change them."""

    needs_mosaic = True

    def test_its_reader_waits_for_no_lock(self):
        node = self.cluster.nodes[0]
        node.query("CREATE TABLE locked_one (a int); CREATE VIEW of_locked AS SELECT a FROM locked_one")
        blocker = node.connect()
        blocker.autocommit = False
        blocker.cursor().execute("LOCK TABLE locked_one IN ACCESS EXCLUSIVE MODE")
        self.cluster.psql("-c", "CREATE TABLE another_one (a int)", "-c", "ALTER TABLE another_one ADD b int")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND now() - query_start > '1 second'"
        self.assertEqual(node.query(waiting)[0][0], 0)
        blocker.rollback()
        blocker.close()
        node.query("DROP VIEW of_locked; DROP TABLE locked_one")
        wait_until(lambda: self.cluster.psql("-Atc", "SELECT count(*) FROM another_one").stdout.strip() == "0",
                   "the table to be read")


if __name__ == "__main__":
    unittest.main()
