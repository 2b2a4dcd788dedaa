"""Ordinary use through psycopg 3: the extended protocol, named prepared statements, pipelines."""

import asyncio
import datetime
import decimal
import threading
import unittest
import uuid

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from harness.cluster import EndToEndTest


class Psycopg3(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.connection = psycopg.connect(**self.cluster.address())
        self.addCleanup(self.connection.close)

    def one(self, sql, parameters=None, **options):
        return self.connection.execute(sql, parameters, **options).fetchone()

    def test_connects_and_shows_the_server(self):
        self.assertEqual(self.one("SELECT 1"), (1,))
        self.assertEqual(self.connection.info.encoding, "utf-8")
        self.assertGreaterEqual(self.connection.info.server_version, 150000)
        self.assertEqual(self.connection.info.parameter_status("standard_conforming_strings"), "on")

    def test_round_trips_every_type_in_text_and_binary(self):
        row = (201, "Ünïcødé 你好 🙂 'quoted' \\", -32768, 2147483647, -9223372036854775808,
               decimal.Decimal("1234567890123456.7891"), 1.5e-300, True,
               datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=datetime.timezone.utc),
               datetime.date(1999, 12, 31), {"a": [1, None, "ü"]}, bytes(range(256)),
               ["one", "two, three", None, "'"], [1, None, -3], uuid.UUID("12345678-1234-5678-1234-567812345678"))
        for form in ("t", "b"):
            with self.subTest(form=form):
                sent = row[:1] + (row[1] + form,) + row[2:10] + (Jsonb(row[10]),) + row[11:]
                marks = ", ".join([f"%{form}"] * 12 + ["%s::text[]", f"%{form}", f"%{form}"])
                self.connection.execute(f"INSERT INTO samples VALUES ({marks})", sent)
                for binary in (False, True):
                    got = self.one(f"SELECT * FROM samples WHERE user_id = %{form} AND name = %{form}", sent[:2],
                                   binary=binary)
                    self.assertEqual(got, row[:1] + (sent[1],) + row[2:])
        self.connection.commit()

    def test_nulls_and_small_integers_as_keys(self):
        self.connection.autocommit = True
        for key in (202, 2 ** 40 + 202):  # psycopg sends the smallest integer type that holds the value
            self.connection.execute("INSERT INTO samples (user_id, name, number) VALUES (%s, %s, %s)", (key, "", None))
            self.assertEqual(self.one("SELECT user_id, name, number FROM samples WHERE user_id = %s", (key,)), (key, "", None))
            self.assertEqual(self.one("SELECT user_id FROM samples WHERE user_id = %b", (key,)), (key,))
            self.assertEqual(self.one("SELECT user_id FROM samples WHERE user_id = %s", (str(key),)), (key,))

    def test_prepares_at_once(self):
        self.connection.prepare_threshold = 0
        for user in range(203, 233):
            self.connection.execute("INSERT INTO users (user_id, name) VALUES (%s, %s)", (user, f"u{user}"))
            self.connection.commit()
        for user in range(203, 233):
            self.assertEqual(self.one("SELECT name FROM users WHERE user_id = %s", (user,)), (f"u{user}",))
            self.connection.commit()

    def test_never_prepares(self):
        self.connection.prepare_threshold = None
        for user in range(240, 250):
            self.connection.execute("INSERT INTO users (user_id, name) VALUES (%s, 'x')", (user,))
            self.assertEqual(self.one("SELECT user_id FROM users WHERE user_id = %s", (user,)), (user,))
            self.connection.commit()

    def test_prepares_after_the_default_threshold_and_on_demand(self):
        self.connection.autocommit = True
        for user in range(250, 270):
            self.connection.execute("INSERT INTO users (user_id) VALUES (%s)", (user,))
            self.assertEqual(self.one("SELECT user_id FROM users WHERE user_id = %s", (user,), prepare=True), (user,))

    def test_forgets_prepared_statements_beyond_the_maximum(self):
        self.connection.autocommit = True
        self.connection.prepare_threshold = 0
        self.connection.prepared_max = 3  # the driver sends DEALLOCATE for what it forgets
        for turn in range(3):
            for number in range(8):
                self.assertEqual(self.one(f"SELECT {number} + %s FROM generate_series(1, 1)", (turn,)), (number + turn,))

    def test_finds_a_row_by_the_id_it_was_given(self):
        media_id, = self.one("INSERT INTO media (user_id, caption) VALUES (%s, %s) RETURNING id", (270, "mine"))
        self.connection.commit()
        self.assertEqual(self.one("SELECT user_id, caption FROM media WHERE id = %s", (media_id,)), (270, "mine"))
        self.assertEqual(self.one("SELECT user_id, caption FROM media WHERE id = %b", (media_id,)), (270, "mine"))

    def test_nested_transactions_are_savepoints(self):
        with self.connection.transaction():
            self.connection.execute("INSERT INTO users (user_id, name) VALUES (%s, 'kept')", (271,))
            with self.assertRaises(psycopg.errors.UniqueViolation), self.connection.transaction():
                self.connection.execute("INSERT INTO users (user_id, name) VALUES (%s, 'twice')", (271,))
            with self.connection.transaction() as inner:
                self.connection.execute("UPDATE users SET name = 'lost' WHERE user_id = %s", (271,))
                raise psycopg.Rollback(inner)
        self.assertEqual(self.one("SELECT name FROM users WHERE user_id = %s", (271,)), ("kept",))

    def test_error_inside_a_transaction_fails_it_until_rollback(self):
        self.connection.execute("INSERT INTO users (user_id) VALUES (%s)", (272,))
        with self.assertRaises(psycopg.errors.NotNullViolation) as caught:
            self.connection.execute("UPDATE users SET name = %s WHERE user_id = %s", (None, 272))
        self.assertEqual(caught.exception.diag.column_name, "name")
        with self.assertRaises(psycopg.errors.InFailedSqlTransaction):
            self.connection.execute("SELECT name FROM users WHERE user_id = %s", (272,))
        self.connection.rollback()
        self.assertIsNone(self.one("SELECT name FROM users WHERE user_id = %s", (272,)))

    def test_pipeline_gives_every_result_in_order(self):
        with self.connection.pipeline():
            self.connection.execute("INSERT INTO users (user_id, name) VALUES (%s, %s)", (273, "p"))
            cursors = [self.connection.execute("SELECT user_id, %s::int FROM users WHERE user_id = %s", (n, 273))
                       for n in range(50)]
            self.assertEqual([cursor.fetchone() for cursor in cursors], [(273, n) for n in range(50)])
        self.connection.commit()

    def test_pipeline_reports_the_error_and_skips_to_the_sync(self):
        self.connection.autocommit = True
        with self.assertRaises(psycopg.errors.UniqueViolation):
            with self.connection.pipeline() as pipeline:
                self.connection.execute("INSERT INTO users (user_id) VALUES (%s)", (274,))
                self.connection.execute("INSERT INTO users (user_id) VALUES (%s)", (274,))
                self.connection.execute("INSERT INTO users (user_id) VALUES (%s)", (275,))
                pipeline.sync()
        # One implicit transaction up to the Sync: nothing of it remains.
        self.assertIsNone(self.one("SELECT 1 FROM users WHERE user_id = %s", (274,)))
        self.assertIsNone(self.one("SELECT 1 FROM users WHERE user_id = %s", (275,)))

    def test_pipeline_with_a_transaction_block(self):
        self.connection.autocommit = True
        with self.connection.pipeline(), self.connection.transaction():
            for other in range(1000, 1100):
                self.connection.execute("INSERT INTO follows (user_id, followee_id) VALUES (%s, %s)", (276, other))
        self.assertEqual(self.one("SELECT count(*) FROM follows WHERE user_id = %s", (276,)), (100,))

    def test_executemany_with_returning(self):
        with self.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO follows (user_id, followee_id) VALUES (%s, %s) RETURNING followee_id",
                               [(277, other) for other in range(1000, 1050)], returning=True)
            got = [cursor.fetchone()[0]]
            while cursor.nextset():
                got.append(cursor.fetchone()[0])
        self.assertEqual(got, list(range(1000, 1050)))
        self.connection.commit()

    def test_server_side_cursor_in_text_and_binary(self):
        self.connection.execute("INSERT INTO follows SELECT %s::int, n FROM generate_series(1000, 1999) n", (278,))
        for binary in (False, True):
            with self.connection.cursor(name="batches", binary=binary) as cursor:
                cursor.itersize = 100
                cursor.execute("SELECT followee_id FROM follows WHERE user_id = %s ORDER BY 1", (278,))
                self.assertEqual([row[0] for row in cursor], list(range(1000, 2000)))
        self.connection.commit()

    def test_streams_row_by_row(self):
        self.connection.execute("INSERT INTO follows SELECT 279, n FROM generate_series(1000, 1999) n")
        with self.connection.cursor() as cursor:
            rows = list(cursor.stream("SELECT followee_id FROM follows WHERE user_id = %s ORDER BY 1", (279,)))
        self.assertEqual(rows, [(n,) for n in range(1000, 2000)])

    def test_copy_in_and_out_as_text(self):
        with self.connection.cursor() as cursor:
            with cursor.copy("COPY follows (user_id, followee_id) FROM STDIN") as copy:
                for other in range(1000, 3000):
                    copy.write_row((280, other))
            self.assertEqual(cursor.rowcount, 2000)
            with cursor.copy("COPY (SELECT followee_id FROM follows WHERE user_id = 280 ORDER BY 1) TO STDOUT") as copy:
                self.assertEqual([int(row[0]) for row in copy.rows()], list(range(1000, 3000)))
        self.connection.commit()

    def test_copy_in_and_out_as_binary_with_a_setting_as_hint(self):
        self.connection.execute("SET mosaic.user_id = '281'")
        with self.connection.cursor() as cursor:
            with cursor.copy("COPY follows (user_id, followee_id) FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int8", "int8"])
                for other in range(1000, 1500):
                    copy.write_row((281, other))
            with cursor.copy("COPY (SELECT followee_id FROM follows WHERE user_id = 281 ORDER BY 1) TO STDOUT "
                             "(FORMAT binary)") as copy:
                copy.set_types(["int8"])
                self.assertEqual([row[0] for row in copy.rows()], list(range(1000, 1500)))
        self.connection.commit()

    def test_abandoned_copy_stores_nothing(self):
        with self.assertRaises(psycopg.errors.QueryCanceled), self.connection.cursor() as cursor:
            with cursor.copy("COPY follows (user_id, followee_id) FROM STDIN") as copy:
                copy.write_row((282, 1))
                raise ZeroDivisionError
        self.connection.rollback()
        self.assertEqual(self.one("SELECT count(*) FROM follows WHERE user_id = 282"), (0,))

    def test_cancels_a_running_statement(self):
        outcome = []

        def sleep():
            try:
                self.connection.execute("/* mosaic user_id=283 */ SELECT pg_sleep(%s)", (31,))
                outcome.append("finished")
            except psycopg.errors.QueryCanceled:
                outcome.append("cancelled")

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        self.cluster.wait_for_active("SELECT pg_sleep(")
        self.connection.cancel()
        sleeper.join(20)
        self.assertEqual(outcome, ["cancelled"])
        self.connection.rollback()
        self.assertEqual(self.one("SELECT 1"), (1,))

    def test_ten_megabytes_in_and_out(self):
        raw = bytes(range(256)) * 40960
        for form in ("t", "b"):
            self.connection.execute(f"INSERT INTO samples (user_id, name, raw) VALUES (284, '{form}', %{form})", (raw,))
            for binary in (False, True):
                got, = self.one("SELECT raw FROM samples WHERE user_id = 284 AND name = %s", (form,), binary=binary)
                self.assertTrue(got == raw)
        self.connection.commit()

    def test_upsert_and_dict_rows(self):
        with self.connection.cursor(row_factory=dict_row) as cursor:
            for turn in (1, 2):
                cursor.execute("INSERT INTO users (user_id, name) VALUES (%(id)s, 'new') ON CONFLICT (user_id) "
                               "DO UPDATE SET edit_count = users.edit_count + 1 RETURNING user_id, edit_count",
                               {"id": 285})
                self.assertEqual(cursor.fetchone(), {"user_id": 285, "edit_count": turn - 1})
        self.connection.commit()

    def test_in_list_and_any_array_of_one_user(self):
        ids = [self.one("INSERT INTO media (user_id) VALUES (%s) RETURNING id", (286,))[0] for _ in range(5)]
        got = self.connection.execute("SELECT id FROM media WHERE user_id = %s AND id = ANY(%s) ORDER BY id", (286, ids[:3]))
        self.assertEqual([row[0] for row in got], sorted(ids[:3]))
        got = self.connection.execute("SELECT count(*) FROM media WHERE user_id = ANY(%s)", ([286],))
        self.assertEqual(got.fetchone(), (5,))
        self.connection.commit()

    def test_fetches_type_information(self):
        info = psycopg.types.TypeInfo.fetch(self.connection, "jsonb")
        self.assertEqual((info.oid, info.array_oid), (3802, 3807))

    def test_works_asynchronously(self):
        async def use():
            async with await psycopg.AsyncConnection.connect(**self.cluster.address()) as connection:
                await connection.execute("INSERT INTO users (user_id, name) VALUES (%s, 'async')", (287,))
                cursor = await connection.execute("SELECT name FROM users WHERE user_id = %s", (287,))
                return await cursor.fetchone()
        self.assertEqual(asyncio.run(use()), ("async",))


if __name__ == "__main__":
    unittest.main()
