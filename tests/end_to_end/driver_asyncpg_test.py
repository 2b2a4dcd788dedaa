"""Ordinary use through asyncpg: Parse and Describe before every Bind, binary parameters and results, a pool."""

import asyncio
import datetime
import decimal
import io
import unittest
import uuid

import asyncpg

from harness.cluster import EndToEndTest


class Asyncpg(EndToEndTest, unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.connection = await asyncpg.connect(self.cluster.url(), timeout=20)

    async def asyncTearDown(self):
        await self.connection.close()

    async def test_connects_and_shows_the_server(self):
        self.assertEqual(await self.connection.fetchval("SELECT 1"), 1)
        self.assertGreaterEqual(self.connection.get_server_version().major, 15)
        self.assertEqual(self.connection.get_settings().client_encoding.lower(), "utf8")

    async def test_round_trips_every_type(self):
        row = (301, "Ünïcødé 你好 🙂 'quoted' \\", -32768, 2147483647, -9223372036854775808,
               decimal.Decimal("1234567890123456.7891"), 1.5e-300, True,
               datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=datetime.timezone.utc),
               datetime.date(1999, 12, 31), '{"a": [1, null, "ü"]}', bytes(range(256)),
               ["one", "two, three", None, "'"], [1, None, -3], uuid.UUID("12345678-1234-5678-1234-567812345678"))
        marks = ", ".join(f"${n}" for n in range(1, 16))
        await self.connection.execute(f"INSERT INTO samples VALUES ({marks})", *row)
        self.assertEqual(tuple(await self.connection.fetchrow("SELECT * FROM samples WHERE user_id = $1 AND name = $2",
                                                              *row[:2])), row)

    async def test_round_trips_nulls_and_unusual_types(self):
        await self.connection.execute("INSERT INTO samples (user_id, name, number, tags) VALUES ($1, '', $2, $3)",
                                      302, None, [])
        row = await self.connection.fetchrow("SELECT number, tags, raw FROM samples WHERE user_id = $1", 302)
        self.assertEqual(tuple(row), (None, [], None))
        # A composite makes the driver look its parts up in the catalog.
        self.assertEqual(await self.connection.fetchval("SELECT row(user_id, name) FROM samples WHERE user_id = $1", 302),
                         (302, ""))

    async def test_prepared_statement_serves_many_users(self):
        insert = await self.connection.prepare("INSERT INTO users (user_id, name) VALUES ($1, $2)")
        select = await self.connection.prepare("SELECT name FROM users WHERE user_id = $1")
        self.assertEqual([kind.name for kind in insert.get_parameters()], ["int8", "text"])
        self.assertEqual([column.name for column in select.get_attributes()], ["name"])
        for user in range(303, 333):
            await insert.fetch(user, f"u{user}")
        for user in range(303, 333):
            self.assertEqual(await select.fetchval(user), f"u{user}")

    async def test_statement_cache_can_be_off(self):
        connection = await asyncpg.connect(self.cluster.url(), statement_cache_size=0)
        for user in range(333, 343):
            await connection.execute("INSERT INTO users (user_id) VALUES ($1)", user)
            self.assertEqual(await connection.fetchval("SELECT user_id FROM users WHERE user_id = $1", user), user)
        await connection.close()

    async def test_finds_a_row_by_the_id_it_was_given(self):
        media_id = await self.connection.fetchval("INSERT INTO media (user_id, caption) VALUES ($1, 'mine') RETURNING id", 343)
        row = await self.connection.fetchrow("SELECT user_id, caption FROM media WHERE id = $1", media_id)
        self.assertEqual(tuple(row), (343, "mine"))

    async def test_transaction_with_a_savepoint_and_an_error(self):
        async with self.connection.transaction():
            await self.connection.execute("INSERT INTO users (user_id, name) VALUES ($1, 'kept')", 344)
            with self.assertRaises(asyncpg.UniqueViolationError):
                async with self.connection.transaction():
                    await self.connection.execute("INSERT INTO users (user_id, name) VALUES ($1, 'twice')", 344)
        self.assertEqual(await self.connection.fetchval("SELECT name FROM users WHERE user_id = $1", 344), "kept")

    async def test_error_inside_a_transaction_rolls_it_back(self):
        with self.assertRaises(asyncpg.CheckViolationError) as caught:
            async with self.connection.transaction():
                await self.connection.execute("INSERT INTO users (user_id) VALUES ($1)", 345)
                await self.connection.execute("UPDATE users SET edit_count = -1 WHERE user_id = $1", 345)
        self.assertEqual(caught.exception.table_name, "users")
        self.assertIsNone(await self.connection.fetchval("SELECT 1 FROM users WHERE user_id = $1", 345))

    async def test_transaction_isolation_level_is_kept(self):
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            self.assertEqual(await self.connection.fetchval("SELECT count(*) FROM users WHERE user_id = $1", 346), 0)
            self.assertEqual(await self.connection.fetchval("SHOW transaction_isolation"), "repeatable read")
            with self.assertRaises(asyncpg.ReadOnlySQLTransactionError):
                await self.connection.execute("INSERT INTO users (user_id) VALUES ($1)", 346)

    async def test_cursor_fetches_in_batches(self):
        await self.connection.execute("INSERT INTO follows SELECT 347, n FROM generate_series(1000, 1999) n")
        async with self.connection.transaction():
            rows = [row[0] async for row in self.connection.cursor(
                "SELECT followee_id FROM follows WHERE user_id = $1 ORDER BY 1", 347, prefetch=64)]
            self.assertEqual(rows, list(range(1000, 2000)))
            cursor = await self.connection.cursor("SELECT followee_id FROM follows WHERE user_id = $1 ORDER BY 1", 347)
            self.assertEqual([row[0] for row in await cursor.fetch(3)], [1000, 1001, 1002])
            await cursor.forward(10)
            self.assertEqual((await cursor.fetchrow())[0], 1013)

    async def test_executemany(self):
        await self.connection.executemany("INSERT INTO follows (user_id, followee_id) VALUES ($1, $2)",
                                          [(348, other) for other in range(1000, 1100)])
        self.assertEqual(await self.connection.fetchval("SELECT count(*) FROM follows WHERE user_id = $1", 348), 100)

    async def test_copy_in_and_out(self):
        records = [(349, other) for other in range(1000, 3000)]
        await self.connection.copy_records_to_table("follows", records=records, columns=["user_id", "followee_id"])
        out = io.BytesIO()
        await self.connection.copy_from_query(
            "SELECT user_id, followee_id FROM follows WHERE user_id = $1 ORDER BY 2", 349, output=out)
        self.assertEqual(out.getvalue(), "".join(f"{a}\t{b}\n" for a, b in records).encode())

    async def test_copy_csv_from_a_file(self):
        source = io.BytesIO(b"user_id,followee_id\n350,1\n350,2\n")
        self.assertEqual(await self.connection.copy_to_table("follows", source=source, format="csv", header=True,
                                                             columns=["user_id", "followee_id"]), "COPY 2")

    async def test_copy_with_a_setting_as_hint(self):
        await self.connection.execute("SET mosaic.user_id = '351'")
        await self.connection.copy_records_to_table("media", records=[(351, "a"), (351, None)],
                                                    columns=["user_id", "caption"])
        await self.connection.execute("RESET mosaic.user_id")
        rows = await self.connection.fetch("SELECT caption FROM media WHERE user_id = $1 ORDER BY caption", 351)
        self.assertEqual([row[0] for row in rows], ["a", None])

    async def test_timeout_cancels_a_running_statement(self):
        sleeper = asyncio.ensure_future(
            self.connection.execute("/* mosaic user_id=352 */ SELECT pg_sleep(32)"))
        await asyncio.to_thread(self.cluster.wait_for_active, "pg_sleep(32)")
        sleeper.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await sleeper
        self.assertEqual(await self.connection.fetchval("SELECT 1"), 1)
        await asyncio.to_thread(self.cluster.wait_until_idle, "pg_sleep(32)")

    async def test_ten_megabytes_in_and_out(self):
        raw = bytes(range(256)) * 40960
        await self.connection.execute("INSERT INTO samples (user_id, name, raw) VALUES ($1, 'big', $2)", 353, raw)
        got = await self.connection.fetchval("SELECT raw FROM samples WHERE user_id = $1", 353)
        self.assertTrue(got == raw)

    async def test_script_without_parameters(self):
        await self.connection.execute("INSERT INTO follows VALUES (354, 1); INSERT INTO follows VALUES (354, 2); "
                                      "DELETE FROM follows WHERE user_id = 354 AND followee_id = 1")
        self.assertEqual(await self.connection.fetchval("SELECT count(*) FROM follows WHERE user_id = $1", 354), 1)

    async def test_pool_resets_between_borrowers(self):
        async with asyncpg.create_pool(self.cluster.url(), min_size=2, max_size=2) as pool:
            async with pool.acquire() as connection:
                await connection.execute("SET timezone = 'Asia/Tokyo'")
            for _ in range(6):
                async with pool.acquire() as connection:
                    self.assertNotEqual(await connection.fetchval("SHOW timezone"), "Asia/Tokyo")

            async def work(user):
                async with pool.acquire() as connection:
                    await connection.execute("INSERT INTO users (user_id, name) VALUES ($1, $2)", user, f"u{user}")
                    return await connection.fetchval("SELECT name FROM users WHERE user_id = $1", user)
            self.assertEqual(await asyncio.gather(*map(work, range(360, 390))), [f"u{user}" for user in range(360, 390)])


if __name__ == "__main__":
    unittest.main()
