"""A text key has one shard, whatever client_encoding its client has: every byte of every single-byte encoding of
PostgreSQL, by every way in which a key is written, and the encodings that are refused.
"""

import struct
import unittest

from harness import wire_client as wire
from harness.cluster import Cluster, EndToEndTest
from harness.wire_client import ServerError, WireClient, error_fields

SINGLE_BYTE = ["LATIN1", "LATIN2", "LATIN3", "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9", "LATIN10",
               "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "WIN1250", "WIN1251", "WIN1252", "WIN1253", "WIN1254",
               "WIN1255", "WIN1256", "WIN1257", "WIN1258", "WIN866", "WIN874", "KOI8R", "KOI8U"]
MULTI_BYTE = ["EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004"]  # MULE_INTERNAL: no conversion to UTF8 at all
UNSAFE = ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"]
KEY = "Müller"
KEY_LATIN1 = KEY.encode("latin-1")


def query(sql):
    """As bytes, in whatever encoding."""
    return wire.frame("Q", sql + b"\0")


class EncodingTest(EndToEndTest):
    needs_mosaic = True
    config = {"tables.accounts": {"key": "email"}}

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.node_count, cls.shards, cls.config)
        with open(cls.cluster.schema_path, "a") as schema:
            schema.write("CREATE TABLE accounts (email text PRIMARY KEY, name text);\n")
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        cls.reference = cls.cluster.create_reference()

    def client(self, port=None, **parameters):
        client = WireClient(port or self.cluster.port, timeout_s=60)
        self.addCleanup(client.close)
        return client.login(**parameters)

    def rows(self, client, *messages):
        client.send(*messages)
        return client.rows(client.take_reply())

    def outcome(self, client, *messages):
        """None, or what the error says."""
        client.send(*messages)
        errors = [error_fields(part.body) for part in client.take_reply() if part.type == "E"]
        return (errors[0]["C"], errors[0]["M"]) if errors else None

    def found_by_utf8(self, email):
        return self.rows(self.utf8, query(f"SELECT name FROM accounts WHERE email = '{email}'".encode()))

    def setUp(self):
        super().setUp()
        self.utf8 = self.client()
        self.addCleanup(self.cleanup_accounts)

    def cleanup_accounts(self):
        for node in self.cluster.nodes:
            for shard in self.cluster.shards_on(node):
                node.query(f"TRUNCATE shard_{shard:04}.accounts")

    def test_every_byte_of_every_encoding(self):
        for encoding in SINGLE_BYTE:
            subject = self.client(client_encoding=encoding)
            direct = self.client(self.reference["port"], database=self.reference["dbname"], client_encoding=encoding)
            said = []
            for byte in range(0x80, 0x100):
                email = b"a" + bytes([byte])
                # What the server makes of it, the truth: its code point, read as ASCII.
                direct.send(query(b"SELECT ascii(right('" + email + b"', 1))"))
                reply = direct.take_reply()
                error = next((error_fields(part.body) for part in reply if part.type == "E"), None)
                outcome = self.outcome(subject, query(b"INSERT INTO accounts VALUES ('" + email + b"', '%d')" % byte))
                if error:
                    self.assertEqual(outcome, (error["C"], error["M"]), f"{encoding} 0x{byte:02x}")
                    continue
                self.assertIsNone(outcome, f"{encoding} 0x{byte:02x}")
                character = chr(int(direct.rows(reply)[0][0]))
                self.assertEqual(self.found_by_utf8("a" + character), [(str(byte),)], f"{encoding} 0x{byte:02x}")
                said.append(character)
            self.assertGreater(len(said), 60, encoding)
            self.cleanup_accounts()
            subject.close()
            direct.close()

    def expect_found(self, client, expected="x"):
        """One row, which every client finds by its own bytes."""
        self.assertEqual(self.found_by_utf8(KEY), [(expected,)])
        found = self.rows(client, query(b"SELECT name FROM accounts WHERE email = '" + KEY_LATIN1 + b"'"))
        self.assertEqual(found, [(expected,)])

    def test_literals(self):
        client = self.client(client_encoding="LATIN1")
        self.rows(client, query(b"INSERT INTO accounts VALUES ('" + KEY_LATIN1 + b"', 'x')"))
        self.expect_found(client)
        for form in (b"E'M\\303\\274ller'", b"$$" + KEY_LATIN1 + b"$$", b"ANY('{" + KEY_LATIN1 + b"}')", b"ANY(ARRAY['" + KEY_LATIN1 + b"'])"):
            self.assertEqual(self.rows(client, query(b"SELECT name FROM accounts WHERE email = " + form)), [("x",)], form)

    def test_parameters(self):
        client = self.client(options="-c client_encoding=latin1")
        for name, formats in (("x", ()), ("y", (1,))):
            self.rows(client, wire.parse("", "INSERT INTO accounts VALUES ($1, 'x') ON CONFLICT (email) DO UPDATE SET name = 'y'"),
                      wire.bind("", "", [KEY_LATIN1], formats), wire.execute(), wire.SYNC)
            self.expect_found(client, name)
        array = struct.pack("!iiiii", 1, 0, 25, 1, 1) + struct.pack("!i", len(KEY_LATIN1)) + KEY_LATIN1
        for value, formats in ((b"{" + KEY_LATIN1 + b"}", ()), (array, (1,))):
            found = self.rows(client, wire.parse("", "SELECT name FROM accounts WHERE email = ANY($1::text[])"),
                              wire.bind("", "", [value], formats), wire.execute(), wire.SYNC)
            self.assertEqual(found, [("y",)])

    def test_set_and_reset_on_one_connection(self):
        client = self.client()
        for _ in range(2):
            self.rows(client, query(b"SET client_encoding TO 'LATIN1'"))
            self.rows(client, query(b"INSERT INTO accounts VALUES ('" + KEY_LATIN1 + b"', 'x') ON CONFLICT DO NOTHING"))
            self.expect_found(client)
            self.rows(client, query(b"RESET client_encoding"))
            self.assertEqual(client.query(f"SELECT name FROM accounts WHERE email = '{KEY}'"), [("x",)])
            self.rows(client, wire.parse("", "SELECT set_config('client_encoding', $1, false)"), wire.bind("", "", ["latin1"]),
                      wire.execute(), wire.SYNC)
            self.expect_found(client)
            client.query("SET NAMES 'UTF8'")

    def test_hints(self):
        client = self.client(client_encoding="LATIN1")
        self.rows(client, query(b"/* mosaic email='" + KEY_LATIN1 + b"' */ INSERT INTO accounts VALUES ('" + KEY_LATIN1 + b"', 'x')"))
        self.rows(client, query(b"SET mosaic.email = '" + KEY_LATIN1 + b"'"))
        self.assertEqual(self.rows(client, query(b"SELECT name FROM accounts")), [("x",)])
        client.query("SET client_encoding TO 'UTF8'")
        self.assertEqual(client.query("SELECT name FROM accounts"), [("x",)])

    def copied(self, client, statement, data):
        client.send(wire.query(statement))
        client.take_until("GE")
        client.send(wire.frame("d", data), wire.frame("c"))
        reply = client.take_reply()
        return next((error_fields(part.body)["C"] for part in reply if part.type == "E"), None)

    def test_copy(self):
        latin1 = self.client(client_encoding="LATIN1")
        binary = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0) + struct.pack("!hi", 2, len(KEY_LATIN1)) + KEY_LATIN1 + \
            struct.pack("!i", 1) + b"x" + struct.pack("!h", -1)
        for client, statement, data in (
                (latin1, "COPY accounts FROM STDIN", KEY_LATIN1 + b"\tx\n"),
                (latin1, "COPY accounts FROM STDIN", b"M\\303\\274ller\tx\n"),
                (latin1, "COPY accounts FROM STDIN CSV", b'"' + KEY_LATIN1 + b'",x\n'),
                (latin1, "COPY accounts FROM STDIN (ENCODING 'UTF8')", KEY.encode() + b"\tx\n"),
                (self.utf8, "COPY accounts FROM STDIN (ENCODING 'iso-8859-1')", KEY_LATIN1 + b"\tx\n"),
                (latin1, "COPY accounts FROM STDIN (FORMAT binary)", binary),
                (latin1, "COPY accounts FROM STDIN (FORMAT binary, ENCODING 'UTF8')", binary)):
            self.assertIsNone(self.copied(client, statement, data), statement)
            self.expect_found(latin1)
            self.cleanup_accounts()
        self.assertEqual(self.copied(latin1, "COPY accounts FROM STDIN (ENCODING 'EUC_JP')", b"\xa4\xa2\tx\n"), "MZ016")
        self.assertEqual(self.copied(latin1, "COPY accounts FROM STDIN (ENCODING 'SJIS')", b"\x95\x5c\tx\n"), "MZ016")

    def test_several_bytes_work_for_ascii_and_are_refused_beyond(self):
        for encoding in MULTI_BYTE:
            client = self.client(client_encoding=encoding)
            self.rows(client, query(b"INSERT INTO accounts VALUES ('plain', 'x') ON CONFLICT DO NOTHING"))
            self.assertEqual(self.found_by_utf8("plain"), [("x",)])
            outcome = self.outcome(client, query(b"SELECT name FROM accounts WHERE email = '\xb0\xa1'"))
            self.assertEqual(outcome[0], "MZ016", encoding)
            self.assertIn(encoding, outcome[1])

    def test_what_can_not_be_read_is_refused(self):
        for encoding in UNSAFE:
            for refused in (f"SET client_encoding TO '{encoding}'", f"SELECT set_config('client_encoding', '{encoding}', false)"):
                with self.assertRaises(ServerError) as error:
                    self.utf8.query(refused)
                self.assertEqual(error.exception.sqlstate, "0A000")
            outcome = self.outcome(self.utf8, wire.parse("", "SELECT set_config('client_encoding', $1, false)"),
                                   wire.bind("", "", [encoding]), wire.execute(), wire.SYNC)
            self.assertEqual(outcome[0], "0A000")
            client = self.client(client_encoding=encoding)
            self.assertEqual(client.query("SELECT 1"), [("1",)])
            self.assertEqual(self.outcome(client, query(b"SELECT name FROM accounts WHERE email = '\x95\x5c'"))[0], "0A000")


class DatabaseEncodingTest(unittest.TestCase):
    def test_init_refuses_text_keys_in_another_encoding(self):
        cluster = Cluster(1, 4, {"tables.accounts": {"key": "email"}})
        with open(cluster.schema_path, "a") as schema:
            schema.write("CREATE TABLE accounts (email text PRIMARY KEY, name text);\n")
        self.addCleanup(lambda: [node.stop() for node in cluster.nodes])
        cluster.start_nodes()
        node = cluster.nodes[0]
        database = cluster.address()["dbname"]
        node.query(f"DROP DATABASE {database}", database="postgres")
        node.query(f"CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", database="postgres")
        with self.assertRaises(Exception) as refused:
            cluster.initialise()
        self.assertIn("LATIN1", str(refused.exception))
        self.assertIn("createdb -E UTF8", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
