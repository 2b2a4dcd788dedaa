"""No wrong result without a word: keys in other encodings, backslashes that quote, types whose equality is not that of bytes,
names that another schema has. Frame by frame beside a plain PostgreSQL; and what can not be right is refused by `mosaic init`."""

import unittest

from harness.cluster import Cluster, is_plain
from harness.dialogue import B, D, DONE, E, P, Q, S, Speaker, data, run, spelled
from harness.mosaic_process import run_mosaic
from harness.oracle import OracleTest, by_another
from harness.processes import wait_until
from harness.wire_client import ServerError, WireClient

ROWS = "SELECT name, number FROM samples WHERE user_id = {u} ORDER BY 1"


class Encodings(OracleTest):
    """D1: a text key belongs to one shard, whatever its client's encoding."""

    names = {"LATIN1": ("latin-1", "ü\u00e9{u}"), "LATIN9": ("iso8859-15", "€{u}"), "WIN1252": ("cp1252", "“ß”{u}"),
             "WIN1251": ("cp1251", "ключ{u}"), "KOI8R": ("koi8-r", "ж{u}")}

    def test_keys_written_in_one_encoding_are_read_in_another(self):
        for encoding, (codec, name) in self.names.items():
            insert, select = f"INSERT INTO labels (name, n) VALUES ('{name}', 77)", f"SELECT n FROM labels WHERE name = '{name}'"
            by_utf8 = by_another(select, f"UPDATE labels SET n = n + 1 WHERE name = '{name}'", select)
            entering = {"SET": f"SET client_encoding TO '{encoding}'", "SET NAMES": f"SET NAMES '{encoding}'",
                        "set_config": f"SELECT set_config('client_encoding', '{encoding}', false)"}
            for about, enter in entering.items():
                with self.case(f"{encoding}, literal, {about}"):
                    self.check(enter, spelled(codec, Q(insert)), spelled(codec, Q(select)), by_utf8,
                               spelled(codec, Q(select)), "RESET client_encoding", select,
                               by_another(f"DELETE FROM labels WHERE name = '{name}'"))
            with self.case(f"{encoding}, parameter"):
                self.check(entering["SET"], spelled(codec, P("i", "INSERT INTO labels VALUES ($1, 5)"), B("", "i", [name]),
                                                    E(), S), by_utf8,
                                                    spelled(codec, P("s", "SELECT n FROM labels WHERE name = $1"),
                                                            B("", "s", [name]), E(), S),
                           spelled(codec, B("", "s", [name], [1]), E(), S))
            with self.case(f"{encoding}, literal in Parse"):
                self.check(entering["SET"], spelled(codec, P("i", insert), D("S", "i"), B("", "i"), E(), S), by_utf8,
                           spelled(codec, *run(select), S))
            with self.case(f"{encoding}, COPY"):
                self.check(entering["SET"], Q("COPY labels (name, n) FROM STDIN"),
                           spelled(codec, data(f"{name}\t3\n"), DONE), by_utf8)
            with self.case(f"{encoding}, written in UTF8"):
                self.check(by_another(insert), entering["SET"], spelled(codec, Q(select)), "RESET client_encoding", select)
            with self.case(f"{encoding}, of a transaction"):
                self.check("BEGIN", f"SET LOCAL client_encoding = '{encoding}'", spelled(codec, Q(insert)), "COMMIT", select,
                           by_utf8)
            with self.case(f"{encoding}, prepared before"):
                self.check([P("s", "SELECT n FROM labels WHERE name = $1"), S], insert, [B("", "s", [name]), E(), S],
                           entering["SET"], spelled(codec, B("", "s", [name]), E(), S))
            for parameters in ({"client_encoding": encoding}, {"options": f"-c client_encoding={encoding}"}):
                with self.case(f"{encoding}, {parameters}"):
                    self.check(spelled(codec, Q(insert)), spelled(codec, Q(select)), "SET client_encoding = 'UTF8'", select,
                               prepare=False, **parameters)

    def test_what_is_not_text_is_an_error_in_every_encoding(self):
        for about, steps in {"not UTF8": [Q(b"INSERT INTO labels VALUES ('\xfc', 1)")],
                             "cut short": [Q(b"SELECT n FROM labels WHERE name = '\xc3'")],
                             "in a parameter": [[P("", "SELECT n FROM labels WHERE name = $1"), B("", "", [b"\xff"]), E(),
                                                 S]],
                             "without a table": [Q(b"SELECT '\xfc'")]}.items():
            with self.case(about):
                self.check(*steps, "RESET client_encoding", "SELECT 1")


class Backslashes(OracleTest):
    """D2: standard_conforming_strings is followed as the server reports it."""

    texts = [
        r"SELECT user_id, name FROM samples WHERE name <> '\' AND user_id = {v} --' AND user_id = {u} ORDER BY 2",
        r"SELECT 'x\', name FROM samples WHERE user_id = {u} -- ', 1",
        r"SELECT 'a\'b', count(*) FROM samples WHERE user_id = {u}",
        r"SELECT name FROM samples WHERE user_id = {u} AND name = 'n\1' ORDER BY 1",
        r"SELECT E'\'', name FROM samples WHERE user_id = {u} ORDER BY 2",
        r"SELECT '\\', '\n', 'plain' FROM samples WHERE user_id = {u} AND name = 'n1'",
        r"SELECT name FROM samples WHERE user_id = {u} AND name <> '\'' AND number > 0 ORDER BY 1 -- '",
        r"SELECT $$\$$, name FROM samples WHERE user_id = {u} ORDER BY 2",
        r'SELECT name AS "a\" FROM samples WHERE user_id = {u} ORDER BY 1',
        r"SELECT '\x41', B'1', X'1f' FROM samples WHERE user_id = {u} AND name = 'n1'",
        r"SELECT 'two' '\' FROM samples WHERE user_id = {u} -- '", r"UPDATE samples SET tags = '{a\,b}' WHERE user_id = {u}"]

    def both_users(self):
        return "INSERT INTO samples (user_id, name, number) SELECT {v}, 'v' || n, n FROM generate_series(1, 2) n"

    def test_off_by_every_way_in(self):
        ways = {"SET": ["SET standard_conforming_strings = off"],
                "set_config": ["SELECT set_config('standard_conforming_strings', 'off', false)"],
                "SET LOCAL": ["BEGIN", "SET LOCAL standard_conforming_strings = off"],
                "several": ["SET standard_conforming_strings = off; SELECT 1"],
                "a segment": [[*run("SET standard_conforming_strings = off"), S]],
                "rolled back": ["BEGIN", "SET standard_conforming_strings = off", "ROLLBACK"],
                "reset": ["SET standard_conforming_strings = off", "RESET ALL"], "on": []}
        for about, steps in ways.items():
            with self.case(about):
                self.check(self.both_users(), *steps, *self.texts, "ROLLBACK", *self.texts)
                self.check(self.both_users(), *steps, *[[*run(text), S] for text in self.texts])
        for parameters in ({"standard_conforming_strings": "off"}, {"options": "-c standard_conforming_strings=off"},
                           {"options": "-c standard_conforming_strings=off -c escape_string_warning=off -c backslash_quote=on"}):
            with self.case(parameters):
                self.check(self.both_users(), *self.texts, *[[*run(text), S] for text in self.texts],
                           "SET standard_conforming_strings = on", *self.texts, "RESET ALL", *self.texts, **parameters)

    def test_on_and_off_side_by_side(self):
        """The same texts, so that what is remembered of one must not serve the other."""
        for text in self.texts:
            with self.case(text):
                self.check(self.both_users(), *[text, "SET standard_conforming_strings = off", text, [*run(text), S],
                                                "SET standard_conforming_strings = on", text, [*run(text), S]] * 3)
        with self.case("prepared on, used off"):
            self.check(self.both_users(), [P("s", self.texts[0]), S], "SET standard_conforming_strings = off",
                       [B("", "s"), E(), S], [P("t", self.texts[0]), B("", "t"), E(), S], "RESET ALL", [B("", "t"), E(), S])

    def test_by_the_role(self):
        if is_plain():
            self.skipTest("both sides are one server")
        try:
            for node in self.cluster.nodes:
                node.query("ALTER ROLE app SET standard_conforming_strings = off")
            self.renew_mosaic()
            self.check(self.both_users(), *self.texts, "SET standard_conforming_strings = on", *self.texts,
                       "RESET standard_conforming_strings", *self.texts)
        finally:
            for node in self.cluster.nodes:
                node.query("ALTER ROLE app RESET ALL")
            self.renew_mosaic()


class Equality(OracleTest):
    """D3: keys are equal when their type says so."""

    def test_keys_that_are_equal_but_not_alike(self):
        for table, column, first, others in (
                ("codes", "code", "rp   ", ["rp ", "rp", "rp  "]), ("codes", "code", "a  ", ["a", "a  ", "a   "]),
                ("stamps", "code", "x", ["x   ", "x ", "x     "]), ("stamps", "code", "ab  ", ["ab", "ab      "]),
                ("tokens", "token", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                 ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
                  "a0eebc999c0b4ef8bb6d6bb9bd380a11"]), ("labels", "name", "t ", ["t", "t ", "t  "])):
            for other in others:
                with self.case(f"{table}: {first!r} and {other!r}"):
                    self.check(f"INSERT INTO {table} VALUES ('{first}', 1)",
                               f"SELECT n FROM {table} WHERE {column} = '{other}'",
                               f"INSERT INTO {table} VALUES ('{other}', 2)",
                               f"UPDATE {table} SET n = n + 5 WHERE {column} = '{other}'",
                               f"SELECT n FROM {table} WHERE {column} = '{first}'",
                               f"INSERT INTO {table} VALUES ('{other}', 3) ON CONFLICT ({column}) DO UPDATE SET n = {table}.n + 100 RETURNING n", [P("", f"SELECT n FROM {table} WHERE {column} = $1"), B("", "", [other]), E(), S], [P("", f"INSERT INTO {table} VALUES ($1, 4)"), B("", "", [other]), E(), S],
                               Q(f"COPY {table} FROM STDIN"), [data(f"{other}\t9\n"), DONE],
                               f"SELECT n FROM {table} WHERE {column} IN ('{other}')",
                               f"DELETE FROM {table} WHERE {column} = '{first}'",
                               f"DELETE FROM {table} WHERE {column} = '{other}'", prepare=False)
        self.check_each({"too long": ["INSERT INTO codes VALUES ('long', 1)", "INSERT INTO codes VALUES ('lon ', 1)",
                                      "SELECT n FROM codes WHERE code = 'lon'", "DELETE FROM codes WHERE code = 'lon'"],
                         "numbers as texts": ["SELECT name FROM samples WHERE user_id = ' {u} ' ORDER BY 1",
                                              "SELECT name FROM samples WHERE user_id = '+{u}' ORDER BY 1",
                                              "SELECT name FROM samples WHERE user_id = '0{u}' ORDER BY 1"]})


class SearchPath(OracleTest):
    """D4: which table a name is, is for the search path to say."""

    def test_a_table_of_another_schema(self):
        select, prepared = "SELECT caption FROM media WHERE user_id = {u}", P("s",
                "SELECT caption FROM media WHERE user_id = $1")
        insert = "INSERT INTO media (user_id, caption) VALUES ({u}, 'from public')"
        use = [B("", "s", ["{u}"]), E(), S]
        self.check_each({about: [insert, *steps] for about, steps in {
            "audit first": ["SET search_path = audit, public", select, "RESET search_path", select],
            "audit last": ["SET search_path = public, audit", select], "audit alone": ["SET search_path = audit", select],
            "quoted": ["SET search_path = \"audit\", public", select],
            "by set_config": ["SELECT set_config('search_path', 'audit,public', false)", select],
            "SET SCHEMA": ["SET SCHEMA 'audit'", select],
            "prepared under it": ["SET search_path = audit, public", [prepared, *use], "RESET ALL", use],
            "prepared before it": [[prepared, *use], "SET search_path = audit, public", use, "SET search_path = public",
                                   use], "named in full": ["SET search_path = audit, public",
                                                           "SELECT caption FROM public.media WHERE user_id = {u}",
                                                           "SELECT caption FROM audit.media WHERE user_id = {u}"],
            "named in full, always": ["SELECT caption FROM audit.media WHERE user_id = {u}"],
            "other tables as ever": ["SET search_path = audit, public", ROWS], "a write that may not be": ["SET search_path = audit, public", insert, "UPDATE media SET caption = 'x' WHERE user_id = {u}"],
            "rolled back": ["BEGIN", "SET search_path = audit, public", "ROLLBACK", select],
            "a CTE of that name": ["WITH media AS (SELECT 'cte' AS caption, {u} AS user_id) " + select],
        }.items()})
        for parameters in ({"search_path": "audit, public"}, {"options": "-c search_path=audit,public"}):
            with self.case(parameters):
                self.check(select, [prepared, *use], "SET search_path = public", select, "RESET search_path", select,
                           prepare=False, **parameters)


    @unittest.skipIf(is_plain(), "what is refused")
    def test_what_only_a_server_could_tell_is_refused(self):
        select = "SELECT caption FROM media WHERE user_id = 5"
        for queries in (["BEGIN", "SET LOCAL search_path = audit, public", select],
                        [f"SET search_path = audit, public; {select}"],
                        [f"{select}; RESET search_path; {select}"],
                        ["SELECT a.caption FROM media a JOIN audit.media b USING (user_id) WHERE user_id = 5"],
                        ["CREATE TEMP TABLE media AS SELECT 5::bigint AS user_id"]):
            with self.case(queries), WireClient(self.cluster.port) as client:
                client.login()
                *before, last = queries
                for query in before:
                    client.query(query)
                with self.assertRaises(ServerError) as caught:
                    client.query(last)
                self.assertIn(caught.exception.sqlstate, ("0A000", "MZ015"))


class Notifications(OracleTest):
    """D5, of one node: the rest is in known_differences.py."""

    def test_what_is_sent_on_the_listeners_node_is_heard(self):
        hint = "/* mosaic user_id={u} */ "

        def heard(speaker):
            parts = []

            def is_heard():
                parts.extend(part for part in speaker.say([Q("SELECT 1")]) if part[0] == "A")
                return parts
            try:
                wait_until(is_heard, "a notification", deadline_s=5)
            except AssertionError:
                parts.append(("nothing heard",))
            return sorted(parts)

        listen = [hint + "LISTEN zz"]
        for about, send in {"NOTIFY": hint + "NOTIFY zz, 'plain'", "pg_notify": hint + "SELECT pg_notify('zz', 'function')",
                            "of a row": "SELECT pg_notify('zz', name) FROM samples WHERE user_id = {u} AND name = 'n1'",
                            "a trigger": "INSERT INTO hooks VALUES ({u}, 'NOTIFY zz, ''trigger''')",
                            "DO": hint + "DO $$ BEGIN NOTIFY zz, 'do'; END $$",
                            "RETURNING": "UPDATE samples SET number = 1 WHERE user_id = {u} AND name = 'n2' RETURNING pg_notify('zz', name)"}.items():
            with self.case(about):
                self.check(*listen, by_another(send), heard, "UNLISTEN *")
                self.check(*listen, by_another("BEGIN", "SELECT 1 FROM samples WHERE user_id = {u}", send, "COMMIT"), heard)


class RefusedAtInit(unittest.TestCase):
    """D3, D7: what no shard can hold right is refused, or at least said."""

    def init(self, sql, tables):
        cluster = Cluster(1, 4)
        self.addCleanup(cluster.stop)
        for table, key in tables.items():
            cluster.sections[f"tables.{table}"] = {"key": key}
        cluster.write_files()
        with open(cluster.schema_path, "a") as schema:
            schema.write(sql)
        cluster.start_nodes()
        return run_mosaic("init", cluster.config_path, "--schema", cluster.schema_path, check=False)

    def test_keys_of_which_no_shard_can_be_right(self):
        for about, (sql,
                    word) in {"a collation that is not deterministic": ("CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE odd (k text COLLATE folded PRIMARY KEY);", "collation"),
                                   "varchar of it": ("CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false); CREATE TABLE odd (k varchar(9) COLLATE folded NOT NULL);", "collation"),
                                   "a generated key": ("CREATE TABLE odd (a bigint, k bigint GENERATED ALWAYS AS (a * 2) STORED);", "generated"), "a generated text": ("CREATE TABLE odd (a text, k text GENERATED ALWAYS AS (lower(a)) STORED, PRIMARY KEY (k));", "generated"),
                                   "its domain": ("CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE DOMAIN soft AS text COLLATE folded; CREATE TABLE odd (k soft PRIMARY KEY);", "collation|domain|type")}.items():
            with self.subTest(about=about):
                done = self.init(sql, {"odd": "k"})
                self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertRegex((done.stdout + done.stderr).lower(), word)
                self.assertIn("odd", done.stdout + done.stderr)

    def test_what_each_shard_counts_by_itself_is_said(self):
        for about, sql in {"UNIQUE": "CREATE TABLE odd (user_id bigint NOT NULL, mail text UNIQUE);",
                           "PRIMARY KEY": "CREATE TABLE odd (user_id bigint NOT NULL, n bigint PRIMARY KEY);",
                           "serial": "CREATE TABLE odd (user_id bigint NOT NULL, n bigserial);",
                           "identity": "CREATE TABLE odd (user_id bigint NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY);",
                           "an index": "CREATE TABLE odd (user_id bigint NOT NULL, mail text); CREATE UNIQUE INDEX ON odd (lower(mail));", "EXCLUDE": "CREATE TABLE odd (user_id bigint NOT NULL, r int4range, EXCLUDE USING gist (r WITH &&));"}.items():
            with self.subTest(about=about):
                done = self.init(sql, {"odd": "user_id"})
                self.assertIn("odd", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
