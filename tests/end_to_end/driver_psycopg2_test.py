"""Ordinary use through psycopg2: the simple protocol, literals written into the statement by the driver."""

import datetime
import decimal
import io
import threading
import unittest
import uuid

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

from harness.cluster import EndToEndTest

psycopg2.extras.register_uuid()


class Psycopg2(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.connection = psycopg2.connect(**self.cluster.address())
        self.addCleanup(self.connection.close)
        self.cursor = self.connection.cursor()

    def one(self, sql, parameters=None):
        self.cursor.execute(sql, parameters)
        return self.cursor.fetchone()

    def test_connects_and_shows_the_server(self):
        self.assertEqual(self.one("SELECT 1"), (1,))
        self.assertGreaterEqual(self.connection.server_version, 150000)
        self.assertEqual(self.connection.get_parameter_status("client_encoding"), "UTF8")
        self.assertEqual(self.one("SELECT current_user, current_database()"), ("app", "photos"))

    def test_round_trips_every_type(self):
        row = (101, "Ünïcødé 你好 🙂 'quoted' \\ \"x\"", -32768, 2147483647, -9223372036854775808,
               decimal.Decimal("1234567890123456.7891"), 1.5e-300, True,
               datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=datetime.timezone.utc),
               datetime.date(1999, 12, 31), {"a": [1, None, "ü"], "b": {"c": 1.5}}, bytes(range(256)),
               ["one", "two, three", None, "'"], [1, None, -3], uuid.UUID("12345678-1234-5678-1234-567812345678"))
        sent = row[:10] + (psycopg2.extras.Json(row[10]),) + row[11:]
        self.cursor.execute("INSERT INTO samples VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                            sent)
        self.connection.commit()
        got = self.one("SELECT * FROM samples WHERE user_id = %s AND name = %s", row[:2])
        self.assertEqual(got[:11] + (bytes(got[11]),) + got[12:], row)

    def test_round_trips_nulls(self):
        self.cursor.execute("INSERT INTO samples (user_id, name, number, tags) VALUES (%s, %s, %s, %s)",
                            (102, "", None, []))
        self.assertEqual(self.one("SELECT name, number, tags, raw FROM samples WHERE user_id = 102"),
                         ("", None, [], None))

    def test_finds_a_row_by_the_id_it_was_given(self):
        media_id, = self.one("INSERT INTO media (user_id, caption) VALUES (103, 'mine') RETURNING id")
        self.connection.commit()
        self.assertEqual(self.one("SELECT user_id, caption FROM media WHERE id = %s", (media_id,)), (103, "mine"))

    def test_error_inside_a_transaction_fails_it_until_rollback(self):
        self.cursor.execute("INSERT INTO users (user_id, name) VALUES (104, 'a')")
        with self.assertRaises(psycopg2.errors.UniqueViolation) as caught:
            self.cursor.execute("INSERT INTO users (user_id, name) VALUES (104, 'b')")
        self.assertEqual(caught.exception.diag.constraint_name, "users_pkey")
        self.assertEqual(self.connection.get_transaction_status(), psycopg2.extensions.TRANSACTION_STATUS_INERROR)
        with self.assertRaises(psycopg2.errors.InFailedSqlTransaction):
            self.cursor.execute("SELECT 1")
        self.connection.rollback()
        self.assertEqual(self.one("SELECT count(*) FROM users WHERE user_id = 104"), (0,))

    def test_savepoint_keeps_what_came_before_it(self):
        self.cursor.execute("INSERT INTO users (user_id, name) VALUES (105, 'kept')")
        self.cursor.execute("SAVEPOINT here")
        with self.assertRaises(psycopg2.errors.CheckViolation):
            self.cursor.execute("UPDATE users SET edit_count = -1 WHERE user_id = 105")
        self.cursor.execute("ROLLBACK TO SAVEPOINT here")
        self.cursor.execute("UPDATE users SET name = 'changed' WHERE user_id = 105")
        self.cursor.execute("RELEASE SAVEPOINT here")
        self.connection.commit()
        self.assertEqual(self.one("SELECT name, edit_count FROM users WHERE user_id = 105"), ("changed", 0))

    def test_serializable_transaction_sees_its_own_level(self):
        self.connection.set_session(isolation_level="SERIALIZABLE", readonly=False)
        self.cursor.execute("INSERT INTO users (user_id) VALUES (106)")
        self.assertEqual(self.one("SELECT current_setting('transaction_isolation'), name FROM users WHERE user_id = 106"),
                         ("serializable", ""))
        self.connection.commit()

    def test_read_only_transaction_refuses_a_write(self):
        self.connection.set_session(readonly=True)
        with self.assertRaises(psycopg2.errors.ReadOnlySqlTransaction):
            self.cursor.execute("INSERT INTO users (user_id) VALUES (107)")
        self.connection.rollback()

    def test_with_block_commits_or_rolls_back(self):
        with self.connection:
            self.cursor.execute("INSERT INTO follows VALUES (108, 1), (108, 2)")
        with self.assertRaises(ZeroDivisionError), self.connection:
            self.cursor.execute("DELETE FROM follows WHERE user_id = 108")
            raise ZeroDivisionError
        self.assertEqual(self.one("SELECT count(*) FROM follows WHERE user_id = 108"), (2,))

    def test_executemany_and_execute_values(self):
        self.cursor.executemany("INSERT INTO follows (user_id, followee_id) VALUES (%s, %s)",
                                [(109, other) for other in range(1000, 1020)])
        self.assertEqual(self.cursor.rowcount, 20)
        got = psycopg2.extras.execute_values(
            self.cursor, "INSERT INTO follows (user_id, followee_id) VALUES %s RETURNING followee_id",
            [(109, other) for other in range(2000, 2500)], fetch=True)
        self.assertEqual([row[0] for row in got], list(range(2000, 2500)))
        self.connection.commit()
        self.assertEqual(self.one("SELECT count(*) FROM follows WHERE user_id = 109"), (520,))

    def test_named_cursor_fetches_in_batches(self):
        self.cursor.execute("INSERT INTO follows SELECT 110, n FROM generate_series(1000, 1999) n")
        with self.connection.cursor(name="batches") as batches:
            batches.itersize = 64
            batches.execute("SELECT followee_id FROM follows WHERE user_id = 110 ORDER BY 1")
            self.assertEqual([row[0] for row in batches], list(range(1000, 2000)))
        self.connection.rollback()

    def test_copy_in_and_out(self):
        lines = "".join(f"111\t{other}\n" for other in range(1000, 3000))
        self.cursor.copy_expert("COPY follows (user_id, followee_id) FROM STDIN", io.StringIO(lines))
        self.assertEqual(self.cursor.rowcount, 2000)
        out = io.StringIO()
        self.cursor.copy_expert("COPY (SELECT user_id, followee_id FROM follows WHERE user_id = 111 ORDER BY 2) TO STDOUT",
                                out)
        self.assertEqual(out.getvalue(), lines)
        self.connection.commit()
        self.assertEqual(self.one("SELECT count(*) FROM follows WHERE user_id = 111"), (2000,))

    def test_copy_csv_with_a_setting_as_hint(self):
        self.cursor.execute("SET mosaic.user_id = '112'")
        self.cursor.copy_expert("COPY media (caption, user_id) FROM STDIN WITH (FORMAT csv, HEADER)",
                                io.StringIO('caption,user_id\n"a ""quoted"", one",112\n"two\nlines",112\n'))
        self.cursor.execute("RESET mosaic.user_id")
        self.cursor.execute("SELECT caption FROM media WHERE user_id = 112 ORDER BY caption")
        self.assertEqual(self.cursor.fetchall(), [('a "quoted", one',), ("two\nlines",)])
        self.connection.commit()

    def test_failed_copy_stores_nothing(self):
        with self.assertRaises(psycopg2.errors.InvalidTextRepresentation):
            self.cursor.copy_expert("COPY follows (user_id, followee_id) FROM STDIN", io.StringIO("113\t1\n113\tx\n"))
        self.connection.rollback()
        self.assertEqual(self.one("SELECT count(*) FROM follows WHERE user_id = 113"), (0,))

    def test_cancels_a_running_statement(self):
        outcome = []

        def sleep():
            try:
                self.cursor.execute("/* mosaic user_id=114 */ SELECT pg_sleep(30)")
                outcome.append("finished")
            except psycopg2.errors.QueryCanceled:
                outcome.append("cancelled")

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        self.cluster.wait_for_active("pg_sleep(30)")
        self.connection.cancel()
        sleeper.join(20)
        self.assertEqual(outcome, ["cancelled"])
        self.connection.rollback()
        self.assertEqual(self.one("SELECT 1"), (1,))

    def test_ten_megabytes_in_and_out(self):
        big = "0123456789abcdef" * (10 * 65536)
        raw = bytes(range(256)) * 40960
        self.cursor.execute("INSERT INTO samples (user_id, name, raw, tags) VALUES (115, 'big', %s, %s)", (raw, [big]))
        got_raw, got_tags = self.one("SELECT raw, tags FROM samples WHERE user_id = 115")
        self.assertTrue(bytes(got_raw) == raw and got_tags == [big])
        self.connection.commit()

    def test_settings_belong_to_the_session(self):
        self.connection.autocommit = True
        self.cursor.execute("SET timezone = 'Asia/Tokyo'; SET DateStyle = 'German'")
        self.assertEqual(self.connection.get_parameter_status("TimeZone"), "Asia/Tokyo")
        self.assertEqual(self.one("SHOW timezone"), ("Asia/Tokyo",))
        self.cursor.execute("INSERT INTO samples (user_id, name, at) VALUES (116, 'x', '2024-01-01 00:00:00+00')")
        self.assertEqual(self.one("SELECT at::text FROM samples WHERE user_id = 116"), ("01.01.2024 09:00:00 JST",))
        with psycopg2.connect(**self.cluster.address()) as other, other.cursor() as cursor:
            cursor.execute("SHOW timezone")
            self.assertNotEqual(cursor.fetchone(), ("Asia/Tokyo",))
        other.close()

    def test_client_encoding_is_translated(self):
        self.connection.set_client_encoding("LATIN1")
        self.cursor.execute("INSERT INTO users (user_id, name) VALUES (117, 'café')")
        self.connection.commit()
        self.connection.set_client_encoding("UTF8")
        self.assertEqual(self.one("SELECT name, length(name) FROM users WHERE user_id = 117"), ("café", 4))

    def test_sees_the_notice(self):
        self.connection.autocommit = True
        self.cursor.execute("/* mosaic user_id=118 */ DO $$ BEGIN RAISE NOTICE 'hello % there', 42; END $$")
        self.assertIn("NOTICE:  hello 42 there\n", self.connection.notices)


if __name__ == "__main__":
    unittest.main()
