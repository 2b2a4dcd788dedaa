"""standard_conforming_strings off, by every way in which it comes: Mosaic reads a statement as its server does.

Each statement goes to Mosaic and to a plain PostgreSQL, and the replies are compared. The literals are made of what the
two readings take for different things; a table's name in one of them must stay what it is, one behind it must be
qualified, and the key must be found.
"""

import random
import unittest

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.pair import Pair
from harness.postgres_node import APP_USER, DATABASE
from harness.processes import seed
from harness.wire_client import ServerError, WireClient

STATEMENTS = 400
OFF = "SET standard_conforming_strings = off"
# Faults that were: the key of the wrong one of two, and a schema spliced into a literal.
KEY_BEHIND = r"SELECT name FROM samples WHERE name <> '\' AND user_id = 4 --' AND user_id = 3"
NAME_WITHIN = r"SELECT 'x\', name FROM samples WHERE user_id = 3 -- ', 1"


def literal(rng):
    """A string literal that is whole while standard_conforming_strings is off."""
    pieces = ["a", r"\'", "''", r"\\", r"\t", r"\x41", r"\102", r"\u00e9", "--", "/*", "*/", " FROM samples ", " user_id = 4 ",
              "$$", '"', ";", "é"]
    inside = "".join(rng.choice(pieces) for _ in range(rng.randrange(5)))
    form = rng.randrange(8)
    if form == 0:
        return "E'" + inside + "'"
    if form == 1:
        return "$q$" + inside.replace("$", "") + "$q$"
    if form == 2:
        return f"'{inside}'\n  '{inside}'"
    if form == 3:
        return f"'{inside}' -- \\'\n'\\''"
    return f"'{inside}'"


def select(rng, user):
    shown = ", ".join(literal(rng) for _ in range(rng.randrange(3)))
    comment = rng.choice(["", "/* '\\' */ ", "-- '\n"])
    conditions = [f"name <> {literal(rng)}", f"user_id = {user}", f"{literal(rng)} <> 'no'"]
    rng.shuffle(conditions)
    return f"SELECT {shown}{', ' if shown else ''}{comment}name FROM samples WHERE {' AND '.join(conditions)} ORDER BY name"


def insert(rng, user):
    return (f"INSERT INTO samples (name, user_id, tags) VALUES ({literal(rng)}, {user}, ARRAY[{literal(rng)}, 'x']) "
            "ON CONFLICT (user_id, name) DO UPDATE SET number = 1 RETURNING name, tags")


class ReadingTest(EndToEndTest):
    needs_mosaic = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.cluster.create_reference()
        with Pair(cls.cluster.address(), cls.reference) as pair:
            pair.connect()
            for user in (3, 4, 5):
                pair.query(f"INSERT INTO samples (user_id, name) VALUES ({user}, 'of {user}')")

    def setUp(self):
        super().setUp()
        self.pair = Pair(self.cluster.address(), self.reference)
        self.addCleanup(self.pair.abandon)

    def connect(self, **parameters):
        # The warnings have positions in a text that the server got and the client did not write.
        self.pair.connect(escape_string_warning="off", **parameters)

    def both_faults(self):
        self.pair.query(KEY_BEHIND)
        self.pair.query(NAME_WITHIN)
        self.pair.exchange(wire.parse("", KEY_BEHIND), wire.bind("", ""), wire.describe("P", ""), wire.execute(), wire.SYNC)

    def test_is_off_by_set(self):
        self.connect()
        self.both_faults()
        self.pair.query(OFF)
        self.both_faults()
        self.pair.query("SET standard_conforming_strings TO on")
        self.both_faults()

    def test_is_off_by_set_config(self):
        self.connect()
        self.pair.query("SELECT set_config('standard_conforming_strings', 'off', false)")
        self.both_faults()
        self.pair.query("RESET standard_conforming_strings")
        self.both_faults()

    def test_is_off_by_the_extended_protocol(self):
        self.connect()
        self.pair.exchange(wire.parse("", "SELECT set_config('standard_conforming_strings', $1, false)"),
                           wire.bind("", "", ["off"]), wire.execute(), wire.SYNC)
        self.both_faults()
        self.pair.exchange(wire.parse("", "RESET ALL"), wire.bind("", ""), wire.execute(), wire.SYNC)
        self.both_faults()

    def test_is_off_by_startup_parameter(self):
        self.connect(standard_conforming_strings="off")
        self.both_faults()

    def test_is_off_by_options(self):
        self.connect(options="-c standard_conforming_strings=off")
        self.both_faults()

    def test_is_off_by_the_roles_default(self):
        for node in self.cluster.nodes:
            node.query(f"ALTER ROLE {APP_USER} SET standard_conforming_strings = off", database=DATABASE)
        try:
            # Servers that are connected already keep what they had, as they do without a pooler.
            self.cluster.mosaic.clean_stop()
            self.cluster.mosaic.start()
            self.connect()
            self.both_faults()
        finally:
            for node in self.cluster.nodes:
                node.query(f"ALTER ROLE {APP_USER} RESET standard_conforming_strings", database=DATABASE)
            self.cluster.mosaic.clean_stop()
            self.cluster.mosaic.start()

    def test_is_off_in_a_transaction_only(self):
        self.connect()
        for end in ("COMMIT", "ROLLBACK"):
            self.pair.query("BEGIN")
            self.pair.query("INSERT INTO samples (user_id, name) VALUES (3, 'x') ON CONFLICT DO NOTHING")
            self.pair.query("SET LOCAL standard_conforming_strings = off")
            self.pair.query(KEY_BEHIND)
            self.pair.query(end)
            self.both_faults()
        self.pair.query("BEGIN")
        self.pair.query("INSERT INTO samples (user_id, name) VALUES (3, 'x') ON CONFLICT DO NOTHING")
        self.pair.query(OFF)
        self.pair.query("ROLLBACK")
        self.both_faults()

    def test_is_taken_back_with_a_transaction_that_no_server_knows(self):
        """Its rollback is answered without a server, which tells of the settings only when the next statement comes."""
        with WireClient(self.cluster.port) as client:
            client.login()
            for _ in range(3):
                client.query("BEGIN")
                client.query(OFF)
                client.query("ROLLBACK")
                self.assertEqual(client.query(KEY_BEHIND), [("of 4",)])
                client.query("BEGIN")
                client.query(OFF)
                client.query("ROLLBACK")
                client.send(wire.parse("", KEY_BEHIND), wire.bind("", ""), wire.execute(), wire.SYNC)
                self.assertEqual(client.rows(client.take_reply()), [("of 4",)])

    def test_refuses_to_guess_within_a_pipeline(self):
        """What follows the change before its Sync would be read before the server has answered."""
        with WireClient(self.cluster.port) as client:
            client.login()
            client.send(wire.parse("", OFF), wire.bind("", ""), wire.execute(), wire.parse("", KEY_BEHIND), wire.bind("", ""),
                        wire.execute(), wire.SYNC)
            with self.assertRaises(ServerError) as refused:
                client.rows(client.take_reply())
            self.assertEqual(refused.exception.sqlstate, "0A000")
            self.assertEqual(client.query("SELECT 1"), [("1",)])

    def test_random_literals(self):
        rng = random.Random(seed())
        self.connect(standard_conforming_strings="off")
        for _ in range(STATEMENTS):
            make = rng.choice([select, select, insert])
            text = make(rng, rng.choice([3, 4, 5]))
            if rng.randrange(3):
                self.pair.query(text)
            else:
                self.pair.exchange(wire.parse("", text), wire.describe("S", ""), wire.bind("", ""), wire.execute(), wire.SYNC)

    def test_is_an_error_as_postgresql_says(self):
        self.connect(standard_conforming_strings="off")
        for text in (r"SELECT U&'\0041'", r"SELECT '\'", r"SELECT name FROM samples WHERE user_id = 3 AND name = '\u12'",
                     r"SELECT name FROM samples WHERE user_id = 3 AND name = '\xff'"):
            self.pair.query(text)
        self.pair.query(r'SELECT U&"n\0061me" FROM samples WHERE user_id = 3 ORDER BY 1')

    def test_frequent_queries_are_bound_with_the_right_values(self):
        for setting in ("off", "on"):
            self.connect(standard_conforming_strings=setting)
            for number in range(20):
                self.pair.query(rf"INSERT INTO samples (user_id, name) VALUES (5, 'a\\{number}\tb') "
                                "ON CONFLICT (user_id, name) DO UPDATE SET number = 5 RETURNING name")
                self.pair.query(rf"UPDATE samples SET token = NULL, raw = NULL, tags = '{{a\\b{number}}}' WHERE user_id = 5 RETURNING tags")

    def test_a_prepared_statement_stays_what_it_was(self):
        """PostgreSQL reads a statement when it is parsed, not when it runs."""
        text = r"SELECT 'a\\b', name FROM samples WHERE user_id = $1 AND name <> '\\' ORDER BY name"
        run = (wire.bind("", "s", ["3"]), wire.execute(), wire.SYNC)
        for first, then in (("on", "off"), ("off", "on")):
            self.connect(standard_conforming_strings=first)
            self.pair.exchange(wire.parse("s", text), wire.SYNC)
            self.pair.exchange(*run)
            self.pair.query(f"SET standard_conforming_strings = {then}")
            self.pair.exchange(*run)
            self.pair.exchange(wire.parse("t", text), wire.bind("", "t", ["3"]), wire.execute(), wire.SYNC)
            self.pair.exchange(*run)

    def test_settings_mean_the_same_to_every_server(self):
        """Literals of SET are said again, perhaps to a server that reads them otherwise."""
        for setting in ("on", "off"):
            self.connect(standard_conforming_strings=setting)
            self.pair.query(r"SET application_name TO 'a\\b'")
            self.pair.query(r"SELECT set_config('search_path', 'public, a\\b', false)")
            self.pair.query("SET standard_conforming_strings TO " + ("off" if setting == "on" else "on"))
            for user in (3, 4, 5):
                self.pair.query(f"SELECT current_setting('application_name'), current_setting('search_path'), name FROM samples "
                                f"WHERE user_id = {user} ORDER BY name")

    def test_copy_options(self):
        self.connect(standard_conforming_strings="off")
        self.pair.exchange(wire.query(r"COPY samples (user_id, name) FROM STDIN (FORMAT csv, DELIMITER '\t', QUOTE '\'')"), until="G")
        self.pair.exchange(wire.frame("d", b"7\t'it''s'\n7\tplain\n"), wire.frame("c"))
        self.pair.query("SELECT name FROM samples WHERE user_id = 7 ORDER BY name")


if __name__ == "__main__":
    unittest.main()
