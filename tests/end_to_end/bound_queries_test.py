"""Simple queries that come often, which Mosaic sends as prepared statements: every answer must be what a plain PostgreSQL
says to the text itself, whatever the columns' types, errors and positions included."""

import unittest

from harness.cluster import APP_USER, DATABASE, EndToEndTest, is_plain
from harness.pair import Pair
from harness.wire_client import WireClient

OFTEN = 7  # beyond prepare_threshold

TYPES = {
    "c_int2": "int2", "c_int4": "int4", "c_int8": "int8", "c_numeric": "numeric(6,2)", "c_float4": "float4",
    "c_float8": "float8", "c_bool": "bool", "c_text": "text", "c_varchar": "varchar(3)", "c_char": "char(5)",
    "c_name": "name", "c_onechar": '"char"', "c_date": "date", "c_time": "timestamptz", "c_interval": "interval minute",
    "c_json": "json", "c_jsonb": "jsonb", "c_uuid": "uuid", "c_inet": "inet", "c_array": "int[]", "c_money": "money",
    "c_bytea": "bytea", "c_oid": "oid", "c_bit": "bit(3)", "c_enum": "mood", "c_domain": "short_text", "c_xml": "xml",
    "c_point": "point",
}
LITERALS = [
    "1", "007", "32767", "32768", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "1.5", "0.005",
    "1e2", "-1", "'1'", "'1.5'", "''", "'abc'", "'abcdef'", "'abc   '", "'it''s'", "'2024-01-02'", "'10'", "'{1,2}'",
    "'{\"a\": 1}'", "'t'", "'  x '", "'\\x41'", "E'a\\tb'", "$$x$$", "'a'\n'b'", "'101'", "'happy'", "'127.0.0.1'",
    "'123e4567-e89b-12d3-a456-426614174000'", "'(1,2)'", "'<a/>'", "NULL", "true", "B'101'", "'now'::text",
]


class BoundQueries(EndToEndTest):
    node_count = 2
    shards = 8

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.cluster.create_reference()
        # Unlisted tables live on the default node, which is the first, as the reference is.
        cls.create("CREATE TYPE mood AS ENUM ('sad', 'happy')",
                   "CREATE DOMAIN short_text AS text CHECK (length(VALUE) < 5)",
                   f"CREATE TABLE odd (id int PRIMARY KEY, {', '.join(f'{name} {kind}' for name, kind in TYPES.items())})",
                   "CREATE UNIQUE INDEX ON odd (c_int4) WHERE c_int2 = 1",
                   "CREATE TABLE parents (id int PRIMARY KEY)",
                   "CREATE TABLE children (id int, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
                   "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
                   "$$ BEGIN RAISE NOTICE 'row %', NEW.id; RETURN NEW; END $$",
                   "CREATE TABLE told (id int)",
                   "CREATE TRIGGER tell BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION tell()",
                   "CREATE TABLE secrets (id int)",
                   f"GRANT ALL ON odd, parents, children, told TO {APP_USER}")

    @classmethod
    def create(cls, *statements):
        for database in (DATABASE, cls.reference["dbname"]):
            for statement in statements:
                cls.cluster.nodes[0].query(statement, database=database)

    def setUp(self):
        super().setUp()
        self.pair = Pair(self.cluster.address(), self.reference, plans_alike=False)
        self.addCleanup(self.pair.abandon)
        self.pair.connect()
        self.assertEqual([frame.body for frame in self.pair.query("DELETE FROM odd WHERE id = -1")], [b"DELETE 0\0", b"I"])
        self.pair.query("DELETE FROM odd")

    def bound(self):
        if is_plain():
            return 0
        return sum(row["bound_queries"] for row in self.cluster.console("SHOW STATEMENT_CACHE"))

    def test_every_literal_in_every_type_of_column(self):
        before = self.bound()
        row = 0
        for column, kind in TYPES.items():
            result = "id" if kind == "mood" else column  # a type of one's own has another number in each database
            with self.subTest(column=column):
                for _ in range(3):
                    for literal in LITERALS:
                        row += 1
                        self.pair.query(f"INSERT INTO odd (id, {column}) VALUES ({row}, {literal}) RETURNING {result}")
                for literal in LITERALS:
                    self.pair.query(f"UPDATE odd SET {column} = {literal} WHERE id = {row} RETURNING {result}")
                    self.pair.query(f"INSERT INTO odd (id, {column}) VALUES ({row}, {literal}) ON CONFLICT (id) DO UPDATE "
                                    f"SET {column} = {literal} RETURNING {result}")
        if not is_plain():
            self.assertGreater(self.bound(), before + 700)

    def test_every_integer_against_every_type_of_column(self):
        self.pair.query("INSERT INTO odd (id, c_int2, c_int8, c_numeric, c_text, c_oid) VALUES (1, 1, 2147483648, 7, '7', 7)")
        for column, kind in TYPES.items():
            result = "id" if kind == "mood" else column
            with self.subTest(column=column):
                for number in ("1", "7", "32768", "2147483648", "9223372036854775808") * 2:
                    for _ in range(3):
                        self.pair.query(f"SELECT id, {result} FROM odd WHERE {column} = {number}")
                        self.pair.query(f"SELECT id FROM odd o WHERE {number} = o.{column} AND id = 1 LIMIT 1")

    def test_statements_of_many_kinds(self):
        for n in range(1, 4):
            self.pair.query(f"INSERT INTO odd (id, c_int2, c_int4, c_text) VALUES ({n}, 1, {n}, 'x')")
        for statement in (
                "SELECT c_int4 = 1 AS x, count(*) FROM odd GROUP BY c_int4 = 1 ORDER BY 1",
                "SELECT DISTINCT c_int4 = 1 FROM odd ORDER BY c_int4 = 1",
                "SELECT 1 / (id - 2) FROM odd WHERE id = 2",
                "SELECT 1 / 0 FROM odd WHERE id = 2",
                "SELECT nothing FROM odd WHERE id = 2",
                "SELECT id FROM odd WHERE id = 2 FOR UPDATE",
                "SELECT id FROM odd WHERE id = 2 AND c_text = 'x' AND c_int4 IN (1, 2) AND c_int2 > 0 AND c_int8 IS NULL",
                "WITH found AS (SELECT id FROM odd WHERE id = 2) SELECT id, c_int4, c_text FROM found JOIN odd USING (id) WHERE c_int2 = 1",
                "SELECT (SELECT max(id) FROM odd WHERE c_int2 = 1), id FROM odd WHERE id = 2",
                "INSERT INTO odd (id, c_int2, c_int4) VALUES (9, 1, 1) ON CONFLICT (c_int4) WHERE c_int2 = 1 "
                "DO UPDATE SET c_text = 'y' WHERE odd.id = 1 RETURNING id, c_text",
                "UPDATE odd SET (c_text, c_int8) = ('z', 5) WHERE id = 2",
                "UPDATE odd SET c_array[1] = 5, c_jsonb['a'] = '5' WHERE id = 2 RETURNING c_array, c_jsonb",
                "DELETE FROM odd WHERE id = 77",
                "EXPLAIN (COSTS OFF) SELECT * FROM odd WHERE id = 1",
                "INSERT INTO children VALUES (1, 99)",
                "INSERT INTO odd (id) VALUES (1)",
                "SELECT id FROM secrets WHERE id = 1",
                "SELECT pg_typeof(id), pg_typeof(c_text) FROM odd WHERE id = 1",
                "SELECT set_config('work_mem', '5MB', true), id FROM odd WHERE id = 1",
                "SELECT id FROM odd WHERE id = 1; SELECT id FROM odd WHERE id = 2",
                "MERGE INTO odd USING parents p ON odd.id = p.id WHEN MATCHED THEN UPDATE SET c_int4 = 4",
        ):
            with self.subTest(statement=statement):
                for _ in range(OFTEN):
                    self.pair.query(statement)

    def test_the_same_bytes_in_another_encoding(self):
        """Two letters in LATIN1 are one in UTF8: what a server keeps for one client must not serve the other."""
        clients = {}
        for encoding in ("LATIN1", "UTF8"):
            clients[encoding] = WireClient(self.cluster.port)
            self.addCleanup(clients[encoding].close)
            clients[encoding].login(client_encoding=encoding)
        self.pair.query("INSERT INTO odd (id) VALUES (1)")
        for _ in range(OFTEN):
            for encoding, letters in (("LATIN1", "2"), ("UTF8", "1")):
                self.assertEqual(clients[encoding].query("SELECT length('\u00e9') FROM odd WHERE id = 1"), [(letters,)])

    def test_notices_of_a_trigger(self):
        for n in range(OFTEN):
            self.pair.query(f"INSERT INTO told VALUES ({n})")

    def test_sharded_statements_with_errors_in_them(self):
        for n in range(OFTEN):
            self.pair.query(f"INSERT INTO samples (user_id, name, number) VALUES ({n}, 'n', {n})")
        for n in range(OFTEN):
            self.pair.query(f"SELECT name, number FROM samples WHERE user_id = {n} AND number = {n}")
            self.pair.query(f"SELECT 10 / number FROM samples WHERE user_id = {n}")
            self.pair.query(f"SELECT nmae FROM samples WHERE user_id = {n}")
            self.pair.query(f"UPDATE samples SET number = 'x' WHERE user_id = {n}")
            self.pair.query(f"UPDATE samples SET number = {n}00000000000 WHERE user_id = {n}")

    @unittest.skipIf(is_plain(), "a plain PostgreSQL keeps nothing that the client does not")
    def test_tables_change_behind_mosaics_back(self):
        """Nobody sees the error of a stale plan: the query is sent as it came."""
        node = self.cluster.nodes[0]
        node.query("CREATE TABLE shifting (id int, a int); GRANT ALL ON shifting TO PUBLIC", database=DATABASE)
        self.addCleanup(node.query, "DROP TABLE shifting", database=DATABASE)
        client = self.pair.clients[0]
        for n in range(OFTEN):
            self.assertEqual(client.query(f"SELECT * FROM shifting WHERE id = {n}"), [])
        for change in ("ADD COLUMN b int", "ALTER COLUMN id TYPE text", "ALTER COLUMN id TYPE int USING id::int"):
            node.query(f"ALTER TABLE shifting {change}", database=DATABASE)
            for n in range(OFTEN):
                if "TYPE text" in change:
                    with self.assertRaisesRegex(Exception, "operator does not exist: text = integer"):
                        client.query(f"SELECT * FROM shifting WHERE id = {n}")
                else:
                    self.assertEqual(client.query(f"SELECT * FROM shifting WHERE id = {n}"), [])


if __name__ == "__main__":
    unittest.main()
