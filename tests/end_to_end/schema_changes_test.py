"""A schema that grows: `mosaic init` applies what the file has gained to every shard of a cluster that is in use, and a
table that is declared and not made yet keeps nothing from starting."""

import unittest

import psycopg2

from harness.cluster import EndToEndTest
from harness.mosaic_process import binary, environment, run_mosaic
from harness.processes import spawn, wait_until


class SchemaChanges(EndToEndTest):
    needs_mosaic = True
    node_count = 2
    shards = 24
    config = {"catalog": {"poll_interval": 600}}  # what init changes is announced

    def add(self, text):
        with open(self.cluster.schema_path, "a") as schema:
            schema.write("\n" + text + "\n")

    def write_config(self):
        with open(self.cluster.schema_path) as schema:
            text = schema.read()
        self.cluster.write_files()
        with open(self.cluster.schema_path, "w") as schema:
            schema.write(text)

    def init(self, *options, **how):
        return run_mosaic("init", self.cluster.config_path, "--schema", self.cluster.schema_path, *options, **how)

    def restart(self):
        self.cluster.mosaic.clean_stop()
        self.cluster.mosaic.start()

    def connect(self):
        connection = psycopg2.connect(**self.cluster.address())
        connection.autocommit = True
        self.addCleanup(connection.close)
        return connection.cursor()

    def schemas_with(self, column):
        """Of both nodes: how many schemas have the column in their table media."""
        return sum(node.query("SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE "
                              "c.relname = 'media' AND a.attname = %s AND NOT attisdropped", (column,))[0][0]
                   for node in self.cluster.nodes)

    def test_what_the_hint_for_a_definition_says_works(self):
        cursor = self.connect()
        cursor.execute("SELECT count(*) FROM media WHERE user_id = 1")
        with self.assertRaises(psycopg2.Error) as refused:
            cursor.execute("ALTER TABLE media ADD COLUMN place text")
        self.assertIn("Add the statement to the schema file, behind what is there", refused.exception.diag.message_hint)
        self.add("ALTER TABLE media ADD COLUMN place text;")
        self.assertIn("would apply what is new in the schema to public and 12 shards", self.init("--dry-run").stdout)
        self.assertEqual(self.schemas_with("place"), 0)
        self.init()
        self.assertEqual(self.schemas_with("place"), 24 + 2)
        for user in range(1, 30):
            cursor.execute("INSERT INTO media (user_id, place) VALUES (%s, 'here') RETURNING id", (user,))
            media_id = cursor.fetchone()[0]
            cursor.execute("SELECT place FROM media WHERE id = %s", (media_id,))
            self.assertEqual(cursor.fetchall(), [("here",)])
        self.assertIn("nothing to do", self.init().stdout)
        self.add("CREATE INDEX media_place ON media (place);\nDROP INDEX media_place;\nALTER TABLE media DROP COLUMN place;")
        self.init()
        self.assertEqual(self.schemas_with("place"), 0)

    def test_new_table_is_reported_until_it_is_made_and_then_routed_without_a_restart(self):
        self.cluster.sections["tables.albums"] = {"key": "user_id", "id": "id"}
        self.write_config()
        done = run_mosaic("check", self.cluster.config_path)
        self.assertEqual(done.stdout, "ok\n")
        self.assertIn("tables.albums: not made yet", done.stderr)
        self.restart()
        self.assertIn("tables.albums: not made yet", self.cluster.log_so_far())
        states = {row["name"]: row["state"] for row in self.cluster.console("SHOW TABLES")}
        self.assertEqual(states["albums"], "not made yet: mosaic init")
        self.assertEqual(states["media"], "ready")
        cursor = self.connect()
        with self.assertRaisesRegex(psycopg2.Error, 'relation "albums" does not exist'):
            cursor.execute("SELECT * FROM albums WHERE user_id = 1")

        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("[tables.albums] is in the configuration, but the schema file does not create it", done.stderr)
        self.add("CREATE TABLE albums (user_id bigint NOT NULL, id bigint PRIMARY KEY DEFAULT next_id(), name text);")
        self.init()

        def is_routed():
            return {row["name"]: row["state"] for row in self.cluster.console("SHOW TABLES")}["albums"] == "ready"
        wait_until(is_routed, "the running proxy to know the new table")
        for user in range(1, 20):
            cursor.execute("INSERT INTO albums (user_id, name) VALUES (%s, 'a')", (user,))
        self.assertEqual({row[:3] for row in self.cluster.stored("albums", "user_id")},
                         {(self.cluster.node_of(user).name, self.cluster.shard_of(user), user) for user in range(1, 20)})
        with self.assertRaisesRegex(psycopg2.Error, "empty twin|permission denied"):
            self.cluster.nodes[0].connect(user="app").cursor().execute("SELECT * FROM public.albums")
        self.assertEqual(run_mosaic("check", self.cluster.config_path).stderr, "")

        # The other way round, which RELOAD takes, too: the catalog knows it, a file of before does not.
        del self.cluster.sections["tables.albums"]
        self.write_config()
        self.cluster.console("RELOAD")
        self.assertEqual({row["name"]: row["state"] for row in self.cluster.console("SHOW TABLES")}["albums"],
                         "not in the configuration")
        self.restart()
        self.assertIn("tables.albums: the catalog has it", self.cluster.log_so_far())
        cursor = self.connect()
        cursor.execute("SELECT name FROM albums WHERE user_id = 3")
        self.assertEqual(cursor.fetchall(), [("a",)])
        self.assertIn("the configuration does not list it", self.init(check=False).stderr)
        self.cluster.sections["tables.albums"] = {"key": "user_id", "id": "id"}
        self.write_config()

    def test_goes_on_after_being_killed_at_any_point(self):
        for n, wanted in enumerate((1, 5, 12, 20)):
            self.add(f"ALTER TABLE media ADD COLUMN killed_{n} int;")
            process = spawn([binary(), "init", self.cluster.config_path, "--schema", self.cluster.schema_path],
                            f"{self.cluster.folder}/init.log", env=environment())
            wait_until(lambda: process.poll() is not None or self.schemas_with(f"killed_{n}") >= wanted, f"{wanted} schemas")
            process.kill()
            process.wait()
        self.init()
        for n in range(4):
            self.assertEqual(self.schemas_with(f"killed_{n}"), 24 + 2)
        self.assertIn("nothing to do", self.init().stdout)
        self.add("".join(f"ALTER TABLE media DROP COLUMN killed_{n};\n" for n in range(4)))
        self.init()

    def test_changed_statement_is_refused_with_what_to_write(self):
        with open(self.cluster.schema_path) as schema:
            text = schema.read()
        with open(self.cluster.schema_path, "w") as schema:
            schema.write(text.replace("caption     text", "title text, caption     text"))
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("applied, but not in the file now: CREATE TABLE media", done.stderr)
        self.assertIn("as a statement of its own (ALTER TABLE ...", done.stderr)
        self.assertEqual(self.schemas_with("title"), 0)
        with open(self.cluster.schema_path, "w") as schema:
            schema.write(text)

    def test_statement_that_fails_leaves_nothing_and_can_be_mended(self):
        with open(self.cluster.schema_path) as schema:
            text = schema.read()
        for wrong, words in (("ALTER TABLE media ADD COLUMN odd nosuchtype;", "nosuchtype"),
                             ("CREATE UNIQUE INDEX lonely ON media (caption);", "can hold within each shard only"),
                             ("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM media';", "may_name_sharded")):
            self.add(wrong)
            done = self.init(check=False)
            self.assertNotEqual(done.returncode, 0, wrong)
            self.assertIn(words, done.stderr)
            with open(self.cluster.schema_path, "w") as schema:
                schema.write(text)
        self.assertIn("nothing to do", self.init().stdout)

    def test_unlisted_table_stays_where_it_is(self):
        self.add("CREATE TABLE loose (user_id bigint);")
        self.init()
        self.cluster.sections["tables.loose"] = {"key": "user_id"}
        self.write_config()
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("[tables.loose] was no part of the configuration when the table was made", done.stderr)
        del self.cluster.sections["tables.loose"]
        self.write_config()


if __name__ == "__main__":
    unittest.main()
