"""Messages without a Sync behind them are one transaction, whoever answers which of them: what fails takes all back, what a
client leaves unsaid is not committed, names and portals are what they would be. And what a statement's constants meant
when it was parsed they mean for good. Frame by frame beside a plain PostgreSQL."""

import unittest

from harness.dialogue import B, C, D, E, H, P, Q, S, run
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
        self.check(run("CREATE FUNCTION adds(int, int) RETURNS int LANGUAGE SQL RETURN $1 + $2") + [S], "SELECT adds(2, 3)",
                   "DROP FUNCTION adds")

    def test_an_error_within_copy_ends_the_connection(self):
        for kind in (E(), D("P", ""), P("", "SELECT 1")):
            self.check([*run("COPY samples (user_id, name) FROM STDIN"), H], [kind])


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
