"""The extended protocol as PostgreSQL speaks it: what is skipped behind an error has no effect, names of failed statements are
free, every answer comes, in its place and in its order; COPY with Sync and Flush in every place; SQL PREPARE; function calls;
a lost backend. Frame by frame beside a plain PostgreSQL."""

import unittest

from harness.dialogue import B, C, D, DONE, E, F, H, P, Q, S, X, data, failed, run
from harness.oracle import OracleTest, by_another

KEYED = "SELECT number FROM samples WHERE user_id = $1 AND name = $2"
ROWS = "SELECT name, number FROM samples WHERE user_id = {u} ORDER BY 1"
INSERT = "INSERT INTO samples (user_id, name, number) VALUES ({u}, 'new', 9)"
COPY_NOTES = "COPY notes (owner_id, body) FROM STDIN"
NOTES = "SELECT body FROM notes WHERE owner_id = {u} ORDER BY 1"
INT8, TEXT = 20, 25


class Evictions(OracleTest):
    """Servers that keep one statement: what they are made to forget does not mix with what clients give up themselves."""

    config = {"pool": {"max_prepared_statements": 1, "prepare_threshold": 1}}
    A, B, C = (f"SELECT {columns} FROM samples WHERE user_id = $1 ORDER BY name" for columns in ("name", "number", "name, number"))

    def bound(self, name):
        return [B("", name, ("{u}",)), E()]

    def test_parse_and_close_in_one_batch(self):
        parses = [P("a", self.A), P("b", self.B), P("c", self.C)]
        self.check([P("a", self.A), C("S", "a"), P("a", self.B), C("S", "a"), S],
                   [*parses, S], [*self.bound("a"), C("S", "a"), *self.bound("b"), C("S", "b"), C("S", "none"), *self.bound("c"),
                                  P("a", "SELECT 1"), C("S", "c"), C("S", "a"), S])
        self.check([*parses, *self.bound("c"), *self.bound("b"), *self.bound("a"), C("S", "b"), *self.bound("c"), S],
                   [*self.bound("a"), D("S", "c"), C("S", "a"), *self.bound("c"), S])
        self.check([P("a", self.A), *self.bound("a"), C("S", "a"), P("a", self.C), B("", "a", ("{u}",)), D("P", ""), E(), C("S", "a"), S] * 3)

    def test_a_failure_amid_them(self):
        parses = [P("a", self.A), P("b", self.B), S]
        for wrong in (run("SELECT 1 / 0"), [P("d", "SELECT nothing FROM samples")], [B("", "a", ("x",))], [C("S", "b"), B("", "b", ("1",))]):
            with self.case(str(wrong)):
                self.check(parses, [*self.bound("a"), *wrong, C("S", "a"), *self.bound("b"), S],
                           [*self.bound("b"), *self.bound("a"), S], [C("S", "a"), *self.bound("a"), S], [*self.bound("b"), S])

    def test_the_name_of_a_failed_parse_is_free(self):
        for wrong in ("SELECT nothing FROM samples", "SELEC", "SELECT name FROM samples WHERE user_id = $1 AND nothing = $2"):
            self.check([P("s", wrong), S], [C("S", "s"), S], [P("s", wrong), C("S", "s"), S], [P("s", self.A), *self.bound("s"), S])

    def test_portals_live_over_a_flush(self):
        rows = P("", "SELECT name FROM samples WHERE user_id = {u} ORDER BY 1")
        for portal in ("C_1", ""):
            self.check([rows, B(portal, ""), D("P", portal), H], [E(portal, 1), H], [E(portal, 1), C("P", portal), S])
            self.check([rows, B(portal, ""), D("P", portal), H], [E(portal), H], [S], ROWS)
        self.check([P("", f"COPY ({ROWS}) TO STDOUT"), B("", ""), E(), H, S, H], ROWS)


class Skipping(OracleTest):
    """E1: between an error and Sync nothing happens, whoever found the error."""

    errors = {
        "parse": [P("", "SELEC")], "no such table": [P("", "SELECT * FROM nowhere")],
        "bind without values": [P("", KEYED), B("", "", [])],
        "execution": run("SELECT 1 / 0"), "no such portal": [E("nowhere")], "no such statement": [B("", "nowhere")],
        "describe": [D("S", "nowhere")],
        "on the shard": run("SELECT number / 0 FROM samples WHERE user_id = {u} AND name = 'n1'"),
        "a bad value": [P("", "SELECT $1::int", [23]), B("", "", ["x"])],
        "a taken name": [P("kept", "SELECT 2")], "several commands": [P("", "SELECT 1; SELECT 2")],
        "a wrong setting": run("SET timezone = 'No/Where'"),
    }
    skipped = {
        "Parse": ([P("x", "SELECT 7")], [[P("x", "SELECT 8"), B("", "x"), E(), S]]),
        "keyed Parse": ([P("x", KEYED)], [[P("x", "SELECT 8"), B("", "x"), E(), S]]),
        "Close": ([C("S", "kept")], [[B("", "kept"), E(), S]]), "BEGIN": (run("BEGIN"), ["SELECT 1", "COMMIT"]),
        "DISCARD ALL": (run("DISCARD ALL"), [[B("", "kept"), E(), S]]),
        "DEALLOCATE": (run("DEALLOCATE kept"), [[B("", "kept"), E(), S]]),
        "DEALLOCATE ALL": (run("DEALLOCATE ALL"), [[B("", "kept"), E(), S]]),
        "SET": (run("SET timezone = 'Asia/Tokyo'"), ["SHOW timezone"]),
        "set_config": (run("SELECT set_config('app.user', 'x', false)"),
                       ["SELECT coalesce(current_setting('app.user', true), '')"]),
        "a write": (run(INSERT), [ROWS]), "Close of a portal": ([C("P", "part")], []),
        "Bind": ([B("p", "kept")], [[E("p"), S]]), "a query": ([Q("SELECT 7")], ["SELECT 8"]),
        "PREPARE": (run("PREPARE x AS SELECT 7"), ["EXECUTE x"]),
        "LISTEN": (run("LISTEN gossip"), ["SELECT pg_listening_channels()"]),
        "RESET ALL": (run("RESET ALL"), ["SHOW intervalstyle"]),
        "COPY": (run(COPY_NOTES) + [data("{u}\tnever\n"), DONE], [NOTES]), "SAVEPOINT": (run("SAVEPOINT a"), ["SELECT 1"]),
        "Flush": ([H, H], ["SELECT 1"]),
    }

    def test_what_is_skipped_has_no_effect(self):
        for error, wrong in self.errors.items():
            for about, (messages, after) in self.skipped.items():
                with self.case(f"{about} behind {error}"):
                    self.check("SET intervalstyle = 'iso_8601'", [P("kept", "SELECT 'kept'"), S], [*wrong, *messages, S],
                               *after, [B("", "kept"), E(), S])

    def test_what_is_skipped_in_a_transaction_has_no_effect(self):
        for about, (messages, after) in self.skipped.items():
            with self.case(about):
                self.check([P("kept", "SELECT 'kept'"), S], "BEGIN", "SAVEPOINT s", [*run("SELECT 1 / 0"), *messages, S],
                           "ROLLBACK TO s", *after, "ROLLBACK", [B("", "kept"), E(), S])
                self.check([P("kept", "SELECT 'kept'"), S], "BEGIN", ROWS, [*run("ROLLBACK TO nowhere"), *messages, S],
                           "ROLLBACK", *after, [B("", "kept"), E(), S])

    def test_what_is_skipped_over_several_writes(self):
        for about, (messages, after) in self.skipped.items():
            with self.case(about):
                self.check([P("kept", "SELECT 'kept'"), S], [P("", "SELEC"), H], [*messages, H], [S], *after,
                           [B("", "kept"), E(), S])

    def test_several_segments_in_one_write(self):
        self.check_each({
            "an error in the first": [[P("", "SELEC"), S, *run("SELECT 1"), S, *run(ROWS), S]],
            "an error in the second": [[*run(INSERT), S, P("", "SELEC"), P("x", "SELECT 1"), S, P("x", "SELECT 2"), S]],
            "a transaction over them": [[*run("BEGIN"), S, *run("SELECT 1 / 0"), *run(INSERT), S, *run("SELECT 1"), S,
                                         *run("ROLLBACK"), S, *run(ROWS), S]],
            "a query between": [[*run("SELECT 1"), S, Q("SELECT 2"), *run("SELECT 3"), S]],
            "a query in an unsynced group": [[*run("SELECT 1"), Q("SELECT 2"), S]],
            "a failed query in an unsynced group": [[P("", "SELECT 1"), B("", ""), Q("SELECT 1 / 0"), E(), S]],
            "Syncs alone": [[S, S, H, S]],
        })


class Names(OracleTest):
    """E2: which names are taken, and what is answered."""

    def test_names_of_failed_statements_are_free(self):
        for about, failing in {"a syntax error": [P("x", "SELEC"), S], "no such table": [P("x", "SELECT * FROM nowhere"), S],
                               "no such column": [P("x", "SELECT nothing FROM samples WHERE user_id = 1"), S],
                               "several commands": [P("x", "SELECT 1; SELECT 2"), S],
                               "a wrong type": [P("x", "SELECT $1", [999999]), S],
                               "an undecidable parameter": [P("x", "SELECT $2"), S],
                               "a failed transaction": None}.items():
            with self.case(about):
                if failing:
                    self.check(failing, [P("x", "SELECT 7"), S], [B("", "x"), E(), S])
                    self.check([P("", "SELECT 5"), S], [failing[0], H], [S], [P("x", KEYED), D("S", "x"), S],
                               [B("", "x", ["{u}", "n1"]), E(), S])
                    self.check("BEGIN", failing, "ROLLBACK", [P("x", ROWS), B("", "x"), E(), S])
                else:
                    self.check("BEGIN", "SELECT 1 / 0", [P("x", "SELECT 1"), S], "ROLLBACK",
                               [P("x", "SELECT 7"), B("", "x"), E(), S])

    def test_every_answer_comes_although_the_next_message_fails(self):
        for about, (sql, values) in {"no values": (KEYED, []), "one too few": (KEYED, ["{u}"]),
                                     "too many": (KEYED, ["{u}", "n1", "x"]), "not a number": (KEYED, ["x", "n1"]),
                                     "of no table": ("SELECT $1::int", []), "null as key": (KEYED, [None, "n1"])}.items():
            with self.case(about):
                self.check([P("s", sql), B("", "s", values), E(), S], [P("s", "SELECT 1"), S])
                self.check([P("s", sql), D("S", "s"), B("", "s", values), E(), S], [P("s", "SELECT 1"), S])
                self.check([P("s", sql), H], [B("", "s", values), H], [S],
                           [C("S", "s"), P("s", "SELECT 1"), B("", "s"), E(), S])
                self.check([P("", sql), B("p", "", values), E("p"), S], [D("S", ""), S])
                self.check("BEGIN", [P("s", sql), B("", "s", values), S], "ROLLBACK", [D("S", "s"), S])

    def test_statements_live_and_die(self):
        self.check_each({
            "parsed twice": [[P("s", KEYED), S], [P("s", KEYED), S], [B("", "s", ["{u}", "n1"]), E(), S]],
            "closed and parsed in one": [[P("s", KEYED), S], [C("S", "s"), P("s", "SELECT 3"), B("", "s"), E(), S]],
            "closed twice": [[P("s", "SELECT 1"), C("S", "s"), C("S", "s"), S], [B("", "s"), S]],
            "a portal outlives its statement": ["BEGIN", [P("s", ROWS), B("p", "s"), C("S", "s"), E("p", 1), S],
                                                [E("p", 1), S], "COMMIT"],
            "DEALLOCATE within": [[P("s", KEYED), B("", "s", ["{u}", "n1"]), E(), *run("DEALLOCATE s"),
                                   B("", "s", ["{u}", "n1"]), E(), S], [P("s", "SELECT 1"), S]],
            "DEALLOCATE ALL within": [[P("s", KEYED), S], [*run("DEALLOCATE ALL"), P("s", "SELECT 5"), B("", "s"), E(), S]],
            "DEALLOCATE by a query": [[P("s", "SELECT 1"), S], "DEALLOCATE s", [B("", "s"), S], "DEALLOCATE s"],
            "DEALLOCATE PREPARE, quoted": [[P("A b", "SELECT 1"), S], 'DEALLOCATE PREPARE "A b"', [B("", "A b"), S]],
            "folded": [[P("S", "SELECT 1"), S], "DEALLOCATE S", 'DEALLOCATE "S"'],
            "rolled back, kept": ["BEGIN", [P("s", KEYED), S], "ROLLBACK", [B("", "s", ["{u}", "n2"]), E(), S]],
            "DISCARD ALL": [[P("s", "SELECT 1"), S], "DISCARD ALL", [B("", "s"), S]],
            "DISCARD PLANS": [[P("s", KEYED), S], "DISCARD PLANS", [B("", "s", ["{u}", "n1"]), E(), S]],
            "the unnamed one after a query": [[P("", "SELECT 1"), S], "SELECT 2", [B("", ""), E(), S]],
            "the unnamed one, replaced by a failure": [[P("", "SELECT 1"), S], [P("", "SELEC"), S], [B("", ""), E(), S]],
            "a portal after Sync": [[P("", "SELECT 1"), B("p", ""), S], [E("p"), S]],
            "a portal twice": [[P("", "SELECT 1"), B("p", ""), B("p", ""), S]],
            "a portal of a server, then of Mosaic": [[P("", "SELECT 1"), B("p", ""), P("d", "DEALLOCATE ALL"), B("p", "d"), S]],
            "a portal of Mosaic, then of a server": [[P("d", "DEALLOCATE ALL"), B("p", "d"), P("", "SELECT 1"), B("p", ""), S]],
            "a portal of Mosaic, closed": ["BEGIN", ROWS, [P("d", "DEALLOCATE ALL"), B("p", "d"), C("P", "p"), P("", "SELECT 1"),
                                                           B("p", ""), E("p"), S], "ROLLBACK"],
            "DEALLOCATE ALL leaves the unnamed one": [[P("d", "DEALLOCATE ALL"), S], [P("", "SELECT 4"), B("", "d"), E(),
                                                                                     B("", ""), E(), S]],
            "the unnamed one behind a query that is skipped": [[P("", "SELECT 4"), S], [E("nowhere"), Q("SELECT 5"), S],
                                                               [B("", ""), E(), S]],
            "commands described while failed": [[P("b", "BEGIN"), P("r", "ROLLBACK"), P("s", "SET work_mem = '1MB'"), S], "BEGIN",
                                                "SELECT 1 / 0", [D("S", "b"), D("S", "r"), D("S", "s"), S], "ROLLBACK"],
            "EXECUTE described before its PREPARE": [[P("x", "EXECUTE later"), D("S", "x"), S], "PREPARE later AS SELECT 1 AS a",
                                                     [P("y", "EXECUTE later"), D("S", "y"), B("", "y"), D("P", ""), E(), S],
                                                     [B("", "x"), E(), S]],
            "more arguments than parameters": ["PREPARE none AS SELECT 1", "EXECUTE none(1, 'two')", "EXECUTE none"],
            "the unnamed portal twice": [[P("", ROWS), B("", ""), B("", ""), E(), S]],
            "executed twice": [[P("", ROWS), B("", ""), E(), E(), S]],
            "executed twice, in parts": [[P("", ROWS), B("", ""), E("", 2), E("", 2), E("", 2), S]],
            "a write executed twice": [[P("", INSERT), B("", ""), E(), E(), S], ROWS],
            "an empty statement": [[P("e", ""), D("S", "e"), B("", "e"), D("P", ""), E(), S], [B("", "e"), E(), S]],
            "a comment": [[P("e", "-- nothing"), B("", "e"), E(), S]],
            "one that a failed segment parsed": [[P("s", "SELECT 1"), *run("SELECT 1 / 0"), S], [P("s", "SELECT 2"), S],
                                                 [B("", "s"), E(), S]],
            "one that a failed segment closed": [[P("s", "SELECT 1"), S], [C("S", "s"), *run("SELECT 1 / 0"), S],
                                                 [B("", "s"), E(), S]],
            "a transaction begun by a named statement": [[P("b", "BEGIN"), P("c", "COMMIT"), S], [B("", "b"), E(), S],
                                                         INSERT, [B("", "c"), E(), S], ROWS],
            "types described": [[P("s", "SELECT number FROM samples WHERE user_id = $1 AND name = $2", [INT8, TEXT]),
                                 D("S", "s"), S], [P("t", KEYED, [23]), D("S", "t"), S]],
        })


class Order(OracleTest):
    """E3, E4, E6: answers come in the order of the messages."""

    def test_answers_of_known_statements_keep_their_place(self):
        before = [[P("s", "SELECT 1 AS x"), P("k", KEYED), S], [B("", "s"), E(), S], [B("", "k", ["{u}", "n1"]), E(), S]]
        self.check_each({about: [*before, messages, "SELECT 1"] for about, messages in {
            "Parse between Bind and Execute": [B("q", "s"), P("x", "SELECT 2"), E("q"), S],
            "keyed Parse between": [B("q", "k", ["{u}", "n2"]), P("x", KEYED), E("q"), S],
            "Close between": [B("q", "s"), C("S", "s"), E("q"), S],
            "Close of nothing between": [B("q", "k", ["{u}", "n1"]), C("S", "nothing"), E("q"), S],
            "Describe between": [B("q", "s"), D("S", "k"), E("q"), S],
            "two portals crosswise": [B("q", "s"), B("r", "k", ["{u}", "n1"]), E("r"), E("q"), S],
            "Parse last": [B("q", "k", ["{u}", "n1"]), E("q"), P("x", "SELECT 2"), S],
            "Parse first": [P("x", KEYED), B("q", "k", ["{u}", "n3"]), E("q"), S],
            "everything": [P("a", "SELECT 1"), D("S", "a"), B("q", "s"), C("S", "a"), P("a", KEYED), D("S", "a"), E("q"),
                           C("P", "q"), B("", "a", ["{u}", "n1"]), D("P", ""), E(), C("S", "a"), S],
            "local statements between": [B("q", "k", ["{u}", "n1"]), *run("SET timezone = 'UTC'"), E("q"),
                                         *run("SHOW timezone"), S],
            "DEALLOCATE between": [B("q", "k", ["{u}", "n1"]), *run("DEALLOCATE k"), E("q"), S],
            "BEGIN and COMMIT between": [*run("BEGIN"), B("q", "k", ["{u}", "n1"]), E("q", 1), *run("SAVEPOINT a"), E("q"),
                                         *run("COMMIT"), S],
            "a text known already": [B("q", "s"), P("again", "SELECT 1 AS x"), E("q"), B("", "again"), E(), S]}.items()})
        self.check_each({f"{about}, each flushed": [*before, *[[message, H] for message in messages[:-1]], [S]] for about,
                         messages in {
            "Parse between": [B("q", "s"), P("x", "SELECT 2"), E("q"), S],
            "keyed": [B("q", "k", ["{u}", "n1"]), P("x", KEYED), D("S", "x"), E("q"), C("S", "x"), S]}.items()})

    def test_unknown_statements_are_described_on_the_segments_own_node(self):
        """Each text is new, so that nothing is known of it."""
        new = iter(range(10 ** 6))
        for about, messages in {
            "Describe": lambda sql: [P("b", sql), D("S", "b")],
            "another Parse": lambda sql: [P("b", sql), P("c", "SELECT 1")], "Close": lambda sql: [P("b", sql), C("S", "b")],
            "Flush": lambda sql: [P("b", sql), H], "nothing": lambda sql: [P("b", sql)],
            "Describe, twice": lambda sql: [P("b", sql), D("S", "b"), P("c", "/* c */ " + sql), D("S", "c")],
        }.items():
            with self.case(about):
                def keyed(user="$1"):
                    return f"SELECT number AS column_{next(new)} FROM samples WHERE user_id = {user} AND name = 'n1'"
                first = [P("a", keyed()), D("S", "a"), B("", "a", ["{u}"]), E()]
                self.check([*first, *messages(keyed()), S], [B("", "b", ["{u}"]), E(), S])
                self.check("BEGIN", ROWS, [*messages(keyed()), S], [B("", "b", ["{u}"]), E(), S], "COMMIT")
                self.check("BEGIN", [*messages(keyed()), S], [B("", "b", ["{u}"]), E(), S], "COMMIT")
                self.check([*messages(keyed()), S], [*first, *messages(keyed())[1:], S])
                self.check([*run(INSERT), *messages(keyed("{u}")), S], ROWS)

    def test_replies_do_not_overtake(self):
        self.check_each({
            "a local query in an unsynced group": [[*run(ROWS), Q("SET timezone = 'UTC'"), S]],
            "SHOW": [[*run(ROWS), Q("SHOW timezone"), S]], "an empty query": [[*run(ROWS), Q(""), S]],
            "BEGIN": [[*run(ROWS), Q("BEGIN"), Q(ROWS), Q("COMMIT"), S]], "DISCARD ALL": [[*run(ROWS), Q("DISCARD ALL"), S]],
            "DISCARD ALL of one with a lock": ["/* mosaic user_id={u} */ SELECT pg_advisory_lock(90)", [Q(ROWS), Q("DISCARD ALL"), Q("SELECT 1")]],
            "DISCARD ALL of a listener": ["LISTEN gossip",
                                          [Q("NOTIFY gossip"), Q("DISCARD ALL"), Q("NOTIFY gossip"), Q("SELECT 1")]],
                                          "several queries in one write": [[Q(ROWS), Q("SET timezone = 'UTC'"),
                                                  Q("SELECT 1"), Q("BEGIN"), Q("COMMIT"), Q(ROWS)]],
            "errors between": [[Q(ROWS), Q("SELEC"), Q("SHOW nothing"), Q(ROWS)]],
            "DEALLOCATE": [[P("s", ROWS), B("", "s"), E(), Q("DEALLOCATE s"), B("", "s"), E(), S]],
            "a refusal in a group": [[*run(ROWS), P("", "SELEC"), S, Q("SELECT 1")]],
            "Terminate behind": [[Q(ROWS), Q("SELECT 1"), X]], "Terminate in an unsynced group": [[*run(INSERT), X]],
        })


class Copy(OracleTest):
    """E5: COPY by both protocols; no hint says where its rows go."""

    rows = [data("{u}\tone\n"), data("{u}\ttwo\n{u}\tthr"), data("ee\n")]

    def check_copies(self, cases):
        self.check_each({about: [*steps, NOTES, "SELECT 1"] for about, steps in cases.items()})

    def test_by_a_query(self):
        copy = Q(COPY_NOTES)
        self.check_copies({
            "plain": [copy, [*self.rows, DONE]], "in one write": [[copy, *self.rows, DONE]],
            "Sync before the first row": [copy, [S], [*self.rows, DONE]],
            "Flush and Sync between": [copy, [self.rows[0], S, H], [S, *self.rows[1:], H, DONE]],
            "Sync before the end": [copy, [*self.rows, S, DONE]], "no rows": [copy, [DONE]],
            "Sync and no rows": [copy, [S, H, DONE]], "given up": [copy, [self.rows[0], failed()]],
            "given up at once": [copy, [failed("no reason")]],
            "a bad row": [copy, [data("{u}\ta\tb\n"), DONE]], "a bad key": [copy, [data("x\ta\n"), DONE]],
            "an end of data": [copy, [data("{u}\ta\n\\.\n"), DONE]],
            "a row without its newline": [copy, [data("{u}\tlast"), DONE]],
            "an empty message": [copy, [data(""), self.rows[0], data(""), DONE]],
            "byte by byte": [copy, [data("{u}"), *map(data, "\tabc\n"), DONE]],
            "in a transaction": ["BEGIN", copy, [*self.rows, DONE], "COMMIT"],
            "rolled back": ["BEGIN", copy, [*self.rows, DONE], "ROLLBACK"],
            "behind others": [Q(f"/* mosaic owner_id={{u}} */ SELECT 1; {COPY_NOTES}; SELECT 2"), [*self.rows, DONE]],
            "data that nobody asked for": [[*self.rows, DONE, failed()], "SELECT 1"],
            "csv": [Q("COPY notes (owner_id, body) FROM STDIN WITH (FORMAT csv)"), [data('{u},"a\nb"\n{u},c\n'), DONE]],
        })

    def test_by_the_extended_protocol(self):
        copy = [P("", COPY_NOTES), B("", ""), E()]
        self.check_copies({
            "Sync behind Execute": [[*copy, S], [*self.rows, DONE, S]],
            "no Sync before the rows": [[*copy, H], [*self.rows, DONE], [S]], "in one write": [[*copy, *self.rows, DONE, S]],
            "Sync in one write": [[*copy, S, *self.rows, DONE, S]],
            "Syncs between": [[*copy, S], [self.rows[0], S, H], [*self.rows[1:], DONE, S]],
            "described": [[P("c", COPY_NOTES), D("S", "c"), B("", "c"), D("P", ""), E(), S], [*self.rows, DONE, S]],
            "given up": [[*copy, S], [self.rows[0], failed(), S]], "a bad row": [[*copy, H], [data("{u}\ta\tb\n"), DONE, S]],
            "skipped behind the failure": [[*copy, H], [failed(), P("x", "SELECT 1"), S], [P("x", "SELECT 2"), S]],
            "no rows": [[*copy, S], [DONE, S]],
            "statements before": [[*run("SELECT 1"), *copy, H], [*self.rows, DONE, S]],
            "statements behind": [[*copy, H], [*self.rows, DONE, *run("SELECT 1"), *run(NOTES), S]],
            "in a transaction": [[*run("BEGIN"), *copy, S], [*self.rows, DONE, S], [*run("COMMIT"), S]],
            "twice": [[P("c", COPY_NOTES), S], *[[B("", "c"), E(), S], [data("{u}\tagain\n"), DONE, S]] * 2],
            "Close behind": [[P("c", COPY_NOTES), B("", "c"), E(), H], [self.rows[0], DONE, C("S", "c"), S],
                             [B("", "c"), S]],
            "many of them": [*[[*copy, S], [data("{u}\tmany\n"), DONE, S]] * 20, [*copy, S], [failed(), S]],
        })

    def test_copy_out_by_both(self):
        out = "COPY (SELECT name, number FROM samples WHERE user_id = {u} ORDER BY 1) TO STDOUT"
        self.check_each({"a query": [Q(out)], "extended": [[*run(out, describe=True), S]],
                         "csv": [Q(out + " WITH (FORMAT csv, HEADER)")], "of no table": [Q("COPY (SELECT 1) TO STDOUT")],
                         "flushed": [[*run(out), H], [*run("SELECT 1"), S]],
                         "an error within": [Q("COPY (SELECT 10 / (3 - n) FROM generate_series(1, 5) n) TO STDOUT")],
                         "in a transaction": ["BEGIN", Q(out), [*run(out), S], "COMMIT"],
                         "behind others": [Q(f"SELECT 1; {out}; SELECT 2")],
                         "a row limit": [[P("", out), B("", ""), E("", 1), S]]})


class SqlStatements(OracleTest):
    """E9: PREPARE, EXECUTE, DEALLOCATE by SQL, of one client each; function calls; set_config of the encoding."""

    def test_prepare_and_execute(self):
        keyed = "PREPARE k (bigint) AS SELECT name, number FROM samples WHERE user_id = $1 ORDER BY 1"
        self.check_each({
            "of no table": ["PREPARE one AS SELECT 1 AS x", "EXECUTE one", "DEALLOCATE one", "EXECUTE one"],
            "keyed": [keyed, "EXECUTE k({u})", "EXECUTE k({u})"],
            "another user": [keyed, "EXECUTE k({u})", "EXECUTE k({v})", "EXECUTE k({w})"],
            "untyped": ["PREPARE k AS SELECT name FROM samples WHERE user_id = $1 AND name = $2", "EXECUTE k({u}, 'n1')"],
            "a constant key": ["PREPARE k AS " + ROWS, "EXECUTE k"],
            "a write": ["PREPARE w (int) AS UPDATE samples SET number = $1 WHERE user_id = {u} RETURNING user_id",
                        "EXECUTE w(70)", ROWS], "twice": ["PREPARE one AS SELECT 1", "PREPARE one AS SELECT 2",
                                                          "EXECUTE one"],
                                                          "wrong": ["PREPARE bad AS SELEC", "PREPARE bad AS SELECT nothing",
                                                                    "EXECUTE bad"],
            "too few values": [keyed, "EXECUTE k", "EXECUTE k({u}, 2)", "EXECUTE k('x')"],
            "in a transaction": ["BEGIN", keyed, "EXECUTE k({u})", "ROLLBACK", "EXECUTE k({u})"],
            "in a failed one": [keyed, "BEGIN", "SELECT 1 / 0", "EXECUTE k({u})", "ROLLBACK", "EXECUTE k({u})"],
            "used by Bind": ["PREPARE k (bigint) AS SELECT name FROM samples WHERE user_id = $1 AND name = 'n1'",
                             [D("S", "k"), B("", "k", ["{u}"]), E(), S], [C("S", "k"), S], "EXECUTE k({u})"],
                             "parsed, used by EXECUTE": [[P("k",
                                                            "SELECT name FROM samples WHERE user_id = $1 AND name = 'n1'"),
                                                            S], "EXECUTE k({u})", "DEALLOCATE k", [B("", "k", ["{u}"]), S]],
            "DEALLOCATE ALL": ["PREPARE a AS SELECT 1", "PREPARE b AS SELECT 2", "EXECUTE b", "DEALLOCATE ALL", "EXECUTE a"],
            "DISCARD ALL": ["PREPARE a AS SELECT 1", "DISCARD ALL", "EXECUTE a"],
            "by the extended protocol": [[*run("PREPARE a AS SELECT 1 AS x"), S], [*run("EXECUTE a", describe=True), S],
                                         [*run("DEALLOCATE a"), S], [*run("EXECUTE a"), S]],
                                         "another client": ["PREPARE a AS SELECT 1",
                                                            by_another("EXECUTE a", "PREPARE a AS SELECT 2", "EXECUTE a"),
                                                            "EXECUTE a"],
            "EXPLAIN EXECUTE": ["PREPARE a AS SELECT 1 AS x",
                                                "EXPLAIN (COSTS OFF) EXECUTE a"],
            "quoted": ['PREPARE "A b" AS SELECT 1', 'EXECUTE "A b"', 'DEALLOCATE "A b"', "DEALLOCATE nothing"],
            "an insert with defaults": ["PREPARE i (bigint, text) AS INSERT INTO samples (user_id, name) VALUES ($1, $2)",
                                        "EXECUTE i({u}, 'by execute')", ROWS],
            "settings at its time": ["SET datestyle = 'German'", "PREPARE d AS SELECT '2024-05-06'::date",
                                     "SET datestyle = 'ISO'", "EXECUTE d"],
                                     "row limit": ["BEGIN", "PREPARE g AS SELECT n FROM generate_series(1, 5) n",
                                                   [P("", "EXECUTE g"), B("p", ""), E("p", 2), S], [E("p", 2), S], "COMMIT"],
        })

    def test_function_calls(self):
        """By OID of built-in functions: PostgreSQL's pg_proc.dat."""
        int4pl, length, lower, power = 177, 1317, 870, 232
        self.check_each({"int4pl": [F(int4pl, "1", "2")], "length": [F(length, "four")],
                         "lower": [F(lower, "ABC"), "SELECT 1"], "several": [F(power, "2", "3"), F(lower, "X")],
                         "a bad value": [F(int4pl, "x", "2"), "SELECT 1"],
                         "no such function": [F(1, "x"), "SELECT 1"], "too few": [F(int4pl, "1"), "SELECT 1"],
                         "in a transaction": ["BEGIN", F(lower, "X"), ROWS, F(lower, "Y"), "COMMIT"],
                         "in a failed one": ["BEGIN", "SELECT 1 / 0", F(lower, "X"), "ROLLBACK"],
                         "in a segment": [[*run("SELECT 1"), F(lower, "X"), S]], "no values at all": [F(lower), "SELECT 1"]})

    def test_large_objects_by_sql(self):
        self.check_each({"written and read": ["BEGIN", "SELECT lo_from_bytea(0, '\\x010203') > 0", "SELECT lo_get(0)",
                                              "ROLLBACK"],
                                              "a descriptor's life": ["BEGIN", "SELECT lo_open(lo_create(0), 131072)",
                                                                      "SELECT lowrite(0, '\\x01')", "SELECT lo_close(0)",
                                                                      "ROLLBACK", "SELECT lo_close(0)"]})

    def test_encoding_by_set_config(self):
        see = "SHOW client_encoding"
        self.check_each({"a literal": ["SELECT set_config('client_encoding', 'LATIN1', false)", see],
                         "a parameter": [[*run("SELECT set_config('client_encoding', $1, false)", "LATIN1"), S], see],
                         "both parameters": [[*run("SELECT set_config($1, $2, false)", "client_encoding", "LATIN1"), S], see,
                                             "RESET client_encoding", see],
                         "local": ["BEGIN", "SELECT set_config('client_encoding', 'LATIN1', true)", see, "COMMIT", see],
                         "wrong": ["SELECT set_config('client_encoding', 'nothing', false)", see],
                         "behind a keyed statement": ["BEGIN", ROWS, "SELECT set_config('client_encoding', 'LATIN1', false)",
                                                      "ROLLBACK", see]})


class Ends(OracleTest):
    """E8, E10."""

    def test_a_backend_that_is_terminated(self):
        """A plain PostgreSQL says FATAL and closes. Who outlives the backend must not say FATAL; who says it must close."""
        from harness.dialogue import CLOSED, Speaker
        for about, steps in {"by itself": ["SELECT pg_terminate_backend(pg_backend_pid())"],
                             "in a transaction": ["BEGIN", ROWS, "SELECT pg_terminate_backend(pg_backend_pid())"],
                             "by the extended protocol": [[*run("SELECT pg_terminate_backend(pg_backend_pid())"), S]],
                             "in a pipeline": [[*run(ROWS), *run("SELECT pg_terminate_backend(pg_backend_pid())"),
                                                *run(ROWS), S]],
                             "of a shard's node": ["SELECT pg_terminate_backend(pg_backend_pid()) FROM samples WHERE user_id = {u} AND name = 'n1'"], "with a lock": ["SELECT pg_advisory_lock(66)", "SELECT pg_terminate_backend(pg_backend_pid())"],
                             "by a time limit": ["SET idle_in_transaction_session_timeout = 50", "BEGIN", ROWS,
                                                 "SELECT pg_sleep(0.01)", self.wait_for_the_end]}.items():
            with self.case(about):
                keys = self.fresh_keys()
                speaker = Speaker(self.address("boss"), keys)
                speaker.say([Q("INSERT INTO samples (user_id, name, number) VALUES ({u}, 'n1', 1)")])
                heard = []
                for step in steps:
                    if callable(step):
                        heard += step(speaker)
                    elif not speaker.is_closed:
                        heard += speaker.say([Q(step)] if isinstance(step, str) else step)
                fatal = [part for part in heard if part[0] == "E" and dict(part[1:])["V"] in ("FATAL", "PANIC")]
                errors = [part for part in heard if part[0] == "E"]
                self.assertEqual(len(errors), 1, f"{heard}")
                if CLOSED in heard:
                    self.assertTrue(fatal, f"closed without saying so: {heard}")
                else:
                    self.assertFalse(fatal, f"said FATAL and stayed: {heard}")
                    self.assertIn(heard[-2], (("Z", b"I"), ("Z", b"E")),
                                  f"{heard}")  # a transaction that was open has failed
                    speaker.say([Q("ROLLBACK")])
                    again = speaker.say([Q("SELECT 1")])
                    self.assertEqual([part[0] for part in again], ["T", "D", "C", "Z", "parameters"])
                speaker.leave()

    def wait_for_the_end(self, speaker):
        """The server ends the session by itself; the client asks then."""
        from harness.processes import wait_until
        nodes = self.cluster.nodes
        wait_until(lambda: not any(node.query("SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction' AND usename = 'boss'") for node in nodes), "the session to be ended")
        return speaker.say([Q("SELECT 1")])

    def test_what_is_not_sql(self):
        for sql in ("SELEC 1", "EXPLAIN SELEC", "'", "SELECT 'x", "SELECT \"x", "/* open", "SELECT $$x", "SELECT 1;; SELEC",
                    "\\", "SELECT 1 FROM", "@", "SELECT 1 WHERE (", "ROUTE"):
            with self.case(sql):
                self.check(sql, [P("", sql), S], "BEGIN", sql, "SELECT 1", "ROLLBACK")


if __name__ == "__main__":
    unittest.main()
