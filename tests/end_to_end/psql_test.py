"""What a person at psql sees: introspection, routing by key and by id, \\copy, errors with hints and positions."""

import os
import unittest

from harness.cluster import EndToEndTest


class Psql(EndToEndTest):
    node_count = 3
    needs_mosaic = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.cluster.create_reference()

    def psql(self, *arguments, **options):
        return self.cluster.psql(*arguments, **options)

    def value(self, sql):
        return self.psql("-Atc", sql).stdout.strip()

    def refused(self, sql, sqlstate):
        """Runs a statement that must fail with `sqlstate`; returns what psql printed as the error."""
        done = self.psql("-v", "VERBOSITY=verbose", "-c", sql, check=False)
        self.assertNotEqual(done.returncode, 0, f"{sql} should have failed; it printed {done.stdout}")
        self.assertIn(f"ERROR:  {sqlstate}:", done.stderr)
        return done.stderr

    def copy_file(self, name, content):
        path = os.path.join(self.cluster.folder, name)
        with open(path, "w") as file:
            file.write(content)
        return path

    def two_users_apart(self):
        """Two users whose shards are on different nodes."""
        first, second = self.cluster.nodes[0], self.cluster.nodes[1]
        return self.cluster.users_on(first, 1, 5000)[0], self.cluster.users_on(second, 1, 5000)[0]

    # --- introspection

    def test_describes_a_sharded_table(self):
        lines = self.psql("-c", r"\d media").stdout
        direct = self.psql("-c", r"\d media", address=self.reference).stdout
        # The twin in `public` carries more: what refuses a statement which reached it by mistake.
        self.assertEqual(lines.split("Policies (forced row security enabled):")[0].rstrip(), direct.rstrip())
        self.assertIn('"media_by_user" btree (user_id, id DESC)', lines)

    def test_lists_tables_once(self):
        lines = self.psql("-Atc", r"\dt").stdout.splitlines()
        tables = [line.split("|")[1] for line in lines]
        for table in ("users", "media", "likes", "comments", "follows", "samples", "countries", "app_settings"):
            self.assertEqual(tables.count(table), 1, lines)
        self.assertFalse([line for line in lines if "shard_" in line])

    def test_other_backslash_commands_work(self):
        for command in (r"\dn", r"\di", r"\df next_id", r"\du", r"\l", r"\dT", r"\d+ users", r"\conninfo", r"\dp"):
            with self.subTest(command=command):
                self.psql("-c", command)

    # --- reading and writing

    def test_insert_returns_an_id_that_finds_the_row(self):
        media_id = self.value("INSERT INTO media (user_id, caption) VALUES (11, 'by psql') RETURNING id").splitlines()[0]
        self.assertEqual((int(media_id) >> 10) & 8191, self.cluster.shard_of(11))
        self.assertEqual(self.value("SELECT caption FROM media WHERE user_id = 11"), "by psql")
        self.assertEqual(self.value(f"SELECT user_id, caption FROM media WHERE id = {media_id}"), "11|by psql")
        self.assertEqual(self.cluster.stored("media", "user_id, caption").count(
            (self.cluster.node_of(11).name, self.cluster.shard_of(11), 11, "by psql")), 1)

    def test_update_in_a_transaction(self):
        out = self.psql("-At", script="""
            INSERT INTO users (user_id, name) VALUES (12, 'before');
            BEGIN;
            UPDATE users SET name = 'after' WHERE user_id = 12;
            SELECT name FROM users WHERE user_id = 12;
            ROLLBACK;
            SELECT name FROM users WHERE user_id = 12;
            BEGIN;
            UPDATE users SET name = 'after' WHERE user_id = 12;
            COMMIT;
            SELECT name FROM users WHERE user_id = 12;
        """).stdout.splitlines()
        self.assertEqual(out, ["INSERT 0 1", "BEGIN", "UPDATE 1", "after", "ROLLBACK", "before", "BEGIN", "UPDATE 1",
                               "COMMIT", "after"])

    def test_reference_and_pinned_tables(self):
        for node in self.cluster.nodes:
            node.query("INSERT INTO public.countries VALUES ('DE', 'Germany')")
        self.assertEqual(self.value("SELECT name FROM countries WHERE code = 'DE'"), "Germany")
        self.psql("-c", "INSERT INTO users (user_id, name, country) VALUES (13, 'Jo', 'DE')")
        self.assertEqual(self.value("SELECT u.name, c.name FROM users u JOIN countries c ON c.code = u.country "
                                    "WHERE u.user_id = 13"), "Jo|Germany")
        self.psql("-c", "INSERT INTO app_settings VALUES ('theme', 'dark')")
        self.assertEqual(self.value("SELECT value FROM app_settings WHERE name = 'theme'"), "dark")
        pinned = self.cluster.sections["tables.app_settings"]["node"]
        for node in self.cluster.nodes:
            exists, = node.query("SELECT to_regclass('public.app_settings') IS NOT NULL")[0]
            rows = node.query("SELECT count(*) FROM public.app_settings")[0][0] if exists else 0
            self.assertEqual(rows, 1 if node.name == pinned else 0)

    # --- refusals

    def test_statement_without_a_key_is_refused_with_a_hint(self):
        error = self.refused("SELECT * FROM media WHERE caption = 'x'", "MZ010")
        self.assertRegex(error, r"HINT:.*user_id")

    def test_statement_over_several_shards_is_refused_with_a_hint(self):
        one, other = self.two_users_apart()
        for sql in (f"SELECT * FROM media WHERE user_id IN ({one}, {other})",
                    f"INSERT INTO users (user_id) VALUES ({one}), ({other})",
                    f"SELECT * FROM users a, users b WHERE a.user_id = {one} AND b.user_id = {other}"):
            with self.subTest(sql=sql):
                self.assertIn("HINT:", self.refused(sql, "MZ011"))
        self.assertEqual(self.value(f"SELECT count(*) FROM users WHERE user_id = {one}"), "0")

    def test_write_that_would_move_a_row_is_refused(self):
        self.refused("UPDATE users SET user_id = 15 WHERE user_id = 14", "MZ013")

    def test_transaction_over_two_nodes_is_refused_at_the_second(self):
        one, other = self.two_users_apart()
        done = self.psql("-v", "VERBOSITY=verbose", "-At", check=False, script=f"""
            BEGIN;
            INSERT INTO users (user_id, name) VALUES ({one}, 'first node');
            INSERT INTO users (user_id, name) VALUES ({other}, 'second node');
        """)
        self.assertIn("ERROR:  MZ014:", done.stderr)
        for user in (one, other):
            self.assertEqual(self.value(f"SELECT count(*) FROM users WHERE user_id = {user} AND name LIKE '% node'"), "0")

    def test_two_shards_of_one_node_share_a_transaction(self):
        one, other = [user for user in self.cluster.users_on(self.cluster.nodes[0], 60, 6000)
                      if self.cluster.shard_of(user) in self.cluster.shards_on(self.cluster.nodes[0])[:2]][:2]
        self.psql(script=f"""
            BEGIN;
            INSERT INTO users (user_id, name) VALUES ({one}, 'both');
            INSERT INTO users (user_id, name) VALUES ({other}, 'both');
            COMMIT;
        """)
        for user in (one, other):
            self.assertEqual(self.value(f"SELECT name FROM users WHERE user_id = {user}"), "both")

    # --- \copy

    def test_copies_rows_of_one_shard_by_their_key_column(self):
        path = self.copy_file("one.tsv", "".join(f"16\t{other}\n" for other in range(1000, 1500)))
        done = self.psql("-c", rf"\copy follows (user_id, followee_id) from '{path}'")
        self.assertEqual(done.stdout.strip(), "COPY 500")
        self.assertEqual(self.value("SELECT count(*) FROM follows WHERE user_id = 16"), "500")

    def test_copies_without_a_column_list(self):
        path = self.copy_file("all.csv", "17,1,2024-01-01 00:00:00+00\n17,2,2024-01-01 00:00:00+00\n")
        self.psql("-c", rf"\copy follows from '{path}' with (format csv)")
        self.assertEqual(self.value("SELECT count(*) FROM follows WHERE user_id = 17"), "2")

    def test_copies_with_a_hint(self):
        path = self.copy_file("hint.tsv", "18\tone\n18\ttwo\n")
        self.psql("-c", "SET mosaic.user_id = '18'", "-c", rf"\copy media (user_id, caption) from '{path}'")
        self.assertEqual(self.value("SELECT string_agg(caption, ',' ORDER BY caption) FROM media WHERE user_id = 18"),
                         "one,two")

    def test_refuses_rows_of_two_shards_and_stores_nothing(self):
        one, other = self.two_users_apart()
        path = self.copy_file("two.tsv", "".join(f"{one}\t{n}\n" for n in range(1000, 1100)) + f"{other}\t1\n")
        done = self.psql("-v", "VERBOSITY=verbose", "-c", rf"\copy follows (user_id, followee_id) from '{path}'", check=False)
        self.assertIn("ERROR:  MZ011:", done.stderr)
        self.assertEqual([row for row in self.cluster.stored("follows", "user_id") if row[2] in (one, other)], [])

    def test_refuses_rows_of_another_shard_than_the_hint_names(self):
        one, other = self.two_users_apart()
        path = self.copy_file("wrong.tsv", f"{one}\t7\n{other}\t8\n")
        done = self.psql("-c", f"SET mosaic.user_id = '{one}'", "-c",
                         rf"\copy likes (user_id, media_id) from '{path}'", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual([row for row in self.cluster.stored("likes", "user_id") if row[2] in (one, other)], [])

    def test_copies_out_the_rows_of_one_user(self):
        self.psql("-c", "INSERT INTO follows (user_id, followee_id) VALUES (19, 1), (19, 2)")
        path = os.path.join(self.cluster.folder, "out.tsv")
        self.psql("-c", rf"\copy (select followee_id from follows where user_id = 19 order by 1) to '{path}'")
        with open(path) as out:
            self.assertEqual(out.read(), "1\n2\n")

    # --- several statements in one string, and what errors look like

    def test_statements_of_one_string_that_agree_run_as_one_transaction(self):
        self.psql("-c", "INSERT INTO users (user_id) VALUES (20); INSERT INTO media (user_id) VALUES (20); SELECT 1")
        self.assertEqual(self.value("SELECT count(*) FROM media WHERE user_id = 20"), "1")
        failed = self.psql("-c", "INSERT INTO follows VALUES (20, 1); INSERT INTO users (user_id) VALUES (20)", check=False)
        self.assertIn("users_pkey", failed.stderr)
        self.assertEqual(self.value("SELECT count(*) FROM follows WHERE user_id = 20"), "0")

    def test_statements_of_one_string_that_disagree_are_refused(self):
        one, other = self.two_users_apart()
        self.refused(f"INSERT INTO likes (user_id, media_id) VALUES ({one}, 1); "
                     f"INSERT INTO likes (user_id, media_id) VALUES ({other}, 1)", "MZ017")
        self.assertEqual(self.value(f"SELECT count(*) FROM likes WHERE user_id = {one} AND media_id = 1"), "0")

    def test_errors_look_as_from_a_direct_connection(self):
        # Compared as psql prints them, with the line and the caret that it derives from the error's position.
        for sql in ("SELECT nothing FROM media WHERE user_id = 22",
                    "SELECT m.caption, m.oops FROM users u JOIN media m ON m.user_id = u.user_id WHERE u.user_id = 22",
                    "SELECT * FROM media WHERE user_id = 22 AND caption + 1 = 2",
                    "SELECT 'ünïcødé', nothing FROM media WHERE user_id = 22",
                    "SELECT * FROM nowhere WHERE user_id = 22",
                    "SELEC 1",
                    "SELECT * FROM media WHERE",
                    "SELECT 1/0 FROM (SELECT count(*) FROM users WHERE user_id = 22) one",
                    "INSERT INTO users (user_id, country, created_at) VALUES (22, 'long', '2024-01-01')",
                    "SELECT * FROM users WHERE user_id = 22 AND name = 5 AND nofunction(1)"):
            with self.subTest(sql=sql):
                errors = [self.psql("-c", sql, address=address, check=False).stderr for address in (None, self.reference)]
                self.assertIn("ERROR:", errors[0])
                self.assertEqual(errors[0], errors[1])


if __name__ == "__main__":
    unittest.main()
