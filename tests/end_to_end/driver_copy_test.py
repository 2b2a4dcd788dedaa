"""COPY as drivers speak it: asyncpg's records, queries and binary form, and by the extended protocol as tokio-postgres does.

tokio-postgres sends Parse, Bind, Execute and Sync, waits for CopyInResponse, then CopyData .. CopyDone and another Sync.
"""

import asyncio
import datetime
import io
import struct
import unittest

import asyncpg

from harness import wire_client as wire
from harness.both_ways import BothWaysTest
from harness.cluster import is_plain
from harness.pair import Pair

_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)


async def connect(address):
    address = dict(address)
    return await asyncpg.connect(database=address.pop("dbname"), **address)


class DriverCopy(BothWaysTest):
    own_tables = "CREATE TABLE numbers (user_id bigint, name text, at timestamptz)"

    # --- asyncpg

    def test_asyncpg_records_to_an_unsharded_table(self):
        at = datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc)
        rows = [(n, f"ünï {n}" if n % 3 else None, at) for n in range(3000)]

        async def conversation(address, log):
            connection = await connect(address)
            try:
                log.note("copied", await connection.copy_records_to_table("numbers", records=rows, columns=["user_id", "name", "at"]))
                log.note("stored", [tuple(row) for row in await connection.fetch("SELECT * FROM numbers ORDER BY user_id")])
                await log.attempt_async("wrong type", connection.copy_records_to_table("numbers", records=[("x", 1, 2)], columns=["user_id", "name", "at"]))
                await log.attempt_async("no column", connection.copy_records_to_table("numbers", records=[(1,)], columns=["nothing"]))
                log.note("usable", await connection.fetchval("SELECT count(*) FROM numbers"))
                for options in ({}, {"format": "csv", "header": True}, {"format": "binary"}):
                    out = io.BytesIO()
                    log.note("out", await connection.copy_from_query("SELECT user_id, name FROM numbers WHERE user_id < $1 ORDER BY 1", 50, output=out, **options))
                    log.note(f"bytes {options}", out.getvalue())
                    out = io.BytesIO()
                    log.note("table", await connection.copy_from_table("numbers", columns=["user_id"], output=out, **options))
                    log.note("length", len(out.getvalue()))
                out.seek(0)
                await connection.execute("TRUNCATE numbers")
                log.note("in", await connection.copy_to_table("numbers", source=out, columns=["user_id"], format="binary"))
                log.note("sum", await connection.fetchval("SELECT sum(user_id) FROM numbers"))
                await connection.execute("TRUNCATE numbers")
            finally:
                await connection.close()
        self.alike(conversation)

    def test_asyncpg_records_to_a_sharded_table(self):
        async def conversation(address, log):
            connection = await connect(address)
            try:
                await connection.execute("SET mosaic.user_id = '7800'")  # a binary COPY needs the hint
                rows = [(7800, n) for n in range(5000)]
                log.note("copied", await connection.copy_records_to_table("follows", records=rows, columns=["user_id", "followee_id"]))
                async with connection.transaction():
                    log.note("again", await connection.copy_records_to_table("follows", records=[(7800, 9000)], columns=["user_id", "followee_id"]))
                await log.attempt_async("twice", connection.copy_records_to_table("follows", records=[(7800, 9000)], columns=["user_id", "followee_id"]))
                out = io.BytesIO()
                await connection.copy_from_query("SELECT followee_id FROM follows WHERE user_id = $1 ORDER BY 1", 7800, output=out, format="binary")
                log.note("out", out.getvalue())
                await connection.execute("RESET mosaic.user_id")
                out = io.BytesIO(b"7800\t10000\n7800\t10001\n")
                log.note("text", await connection.copy_to_table("follows", source=out, columns=["user_id", "followee_id"]))
                log.note("count", await connection.fetchval("SELECT count(*) FROM follows WHERE user_id = 7800"))
            finally:
                await connection.close()
        self.alike(conversation)

    def test_asyncpg_copy_that_is_given_up(self):
        async def rows():
            for number in range(20000):
                yield (number, str(number), None)
            raise ZeroDivisionError

        async def conversation(address, log):
            connection = await connect(address)
            try:
                await log.attempt_async("broken source", connection.copy_records_to_table("numbers", records=rows(), columns=["user_id", "name", "at"]))
                log.note("stored", await connection.fetchval("SELECT count(*) FROM numbers"))
                await log.attempt_async("timeout", connection.copy_from_query(
                    "SELECT n, pg_sleep(0.01) FROM generate_series(1, 3000) n", output=io.BytesIO(), timeout=0.5))
                log.note("usable", await asyncio.wait_for(connection.fetchval("SELECT 1"), 20))
            finally:
                await connection.close()
        self.alike(conversation)

    # --- the extended protocol

    def pair(self):
        pair = Pair(self.cluster.address(), self.reference)
        self.addCleanup(pair.abandon)
        pair.connect()
        return pair

    _TARGETS = {"of one node": "numbers (user_id, name)", "sharded": "samples (user_id, name)"}

    def _start(self, pair, sql, prefix=()):
        """As tokio-postgres: a named statement, described, then bound and executed with a Sync, up to CopyInResponse."""
        pair.exchange(*prefix, wire.parse("s0", sql), wire.describe("S", "s0"), wire.SYNC)
        return pair.exchange(wire.bind("", "s0"), wire.execute(), wire.SYNC, until="GZ")

    def _both_fail(self, pair, *messages):
        pair.send(*messages)
        for client, sqlstate in zip(pair.clients, ("22P02" if is_plain() else "MZ016", "22P02")):
            frames = client.take_until("Z")
            self.assertEqual([frame.type for frame in frames][-2:], ["E", "Z"])
            self.assertEqual(wire.error_fields(frames[-2].body)["C"], sqlstate)

    def _finish(self, pair, table, user):
        pair.exchange(wire.close("S", "s0"), wire.SYNC)
        pair.query(f"SELECT name FROM {table.split()[0]} WHERE user_id = {user} ORDER BY 1")
        pair.query(f"DELETE FROM {table.split()[0]} WHERE user_id = {user}")

    def test_tokio_postgres_copies_text_in(self):
        for number, (where, table) in enumerate(self._TARGETS.items()):
            for rows in (0, 1, 3000):
                user = 7810 + number
                with self.subTest(where=where, rows=rows):
                    pair = self.pair()
                    self.assertEqual(self._start(pair, f"COPY {table} FROM STDIN")[-1].type, "G")
                    chunks = [wire.frame("d", f"{user}\tn{row}\n".encode()) for row in range(rows)]
                    pair.exchange(*chunks, wire.frame("c"), wire.SYNC)
                    self._finish(pair, table, user)

    def test_tokio_postgres_copies_binary_in(self):
        for number, (where, table) in enumerate(self._TARGETS.items()):
            user = 7820 + number
            row = struct.pack("!hiqi", 2, 8, user, 3)
            data = _BINARY_HEADER + row + b"abc" + row + b"\xc3\xbcd" + struct.pack("!h", -1)
            with self.subTest(where=where):
                pair = self.pair()
                pair.query(f"SET mosaic.user_id = '{user}'")
                self.assertEqual(self._start(pair, f"COPY {table} FROM STDIN BINARY")[-1].type, "G")
                pair.exchange(*[wire.frame("d", data[at:at + 7]) for at in range(0, len(data), 7)], wire.frame("c"), wire.SYNC)
                self._finish(pair, table, user)

    def test_tokio_postgres_copy_fails_and_goes_on(self):
        faults = {"bad row": [wire.frame("d", b"x\ty\n"), wire.frame("c")], "given up": [wire.frame("d", b"7830\ta\n"), wire.frame("f", b"source broke\0")],
                  "too few": [wire.frame("d", b"7830\n"), wire.frame("c")], "half a row": [wire.frame("d", b"7830\ta\n7830"), wire.frame("c")],
                  "nothing": [wire.frame("c")], "given up at once": [wire.frame("f", b"no\0")]}
        for (where, table), (fault, messages) in ((target, fault) for target in self._TARGETS.items() for fault in faults.items()):
            for begin in (False, True):
                with self.subTest(where=where, fault=fault, begin=begin):
                    pair = self.pair()
                    if begin:
                        pair.exchange(wire.parse("", "BEGIN"), wire.bind("", ""), wire.execute(), wire.SYNC)
                    self._start(pair, f"COPY {table} FROM STDIN")
                    # What is no key Mosaic says in its own words: README, "What behaves unlike one PostgreSQL".
                    is_no_key = where == "sharded" and fault == "bad row"
                    (self._both_fail if is_no_key else pair.exchange)(*([pair] if is_no_key else []), *messages, wire.SYNC)
                    pair.query("ROLLBACK")
                    self._finish(pair, table, 7830)

    def test_copy_in_with_everything_in_one_write(self):
        # libpq's pipeline mode does not, but the protocol allows it: the server skips nothing before it has the rows.
        for where, table in self._TARGETS.items():
            for row, end in ((b"7840\ta\n", wire.frame("c")), (b"7840\tb\n", wire.frame("f", b"no\0")), (b"bad\tb\n", wire.frame("c"))):
                with self.subTest(where=where, row=row, end=end):
                    pair = self.pair()
                    sql = f"COPY {table} FROM STDIN"
                    messages = (wire.parse("", sql), wire.bind("", ""), wire.execute(), wire.frame("d", row), end, wire.SYNC)
                    if where == "sharded" and row.startswith(b"bad"):
                        self._both_fail(pair, *messages)
                    else:
                        pair.exchange(*messages)
                    pair.exchange(wire.parse("s0", "SELECT 1"), wire.SYNC)
                    self._finish(pair, table, 7840)

    def test_copy_of_a_statement_that_is_refused(self):
        for sql in ("COPY nowhere FROM STDIN", "COPY numbers (nothing) FROM STDIN", "COPY numbers FROM STDIN (FORMAT nonsense)", "COPY numbers FROM STDIN NONSENSE"):
            with self.subTest(sql=sql):
                pair = self.pair()
                pair.exchange(wire.parse("s0", sql), wire.describe("S", "s0"), wire.SYNC)
                pair.exchange(wire.bind("", "s0"), wire.execute(), wire.SYNC)
                pair.query("SELECT 1")

    def test_copy_out_by_the_extended_protocol(self):
        for sql in ("COPY (SELECT name FROM samples WHERE user_id = 7850 ORDER BY 1) TO STDOUT", "COPY (SELECT 1, 'x') TO STDOUT BINARY",
                    "COPY numbers TO STDOUT", "COPY (SELECT 1/0) TO STDOUT", "COPY (SELECT 10 / (3 - n) FROM generate_series(1, 5) n) TO STDOUT CSV"):
            with self.subTest(sql=sql):
                pair = self.pair()
                pair.query("TRUNCATE numbers")
                pair.query("INSERT INTO samples (user_id, name) VALUES (7850, 'a'), (7850, 'b') ON CONFLICT DO NOTHING")
                pair.exchange(wire.parse("s0", sql), wire.describe("S", "s0"), wire.SYNC)
                pair.exchange(wire.bind("", "s0"), wire.describe("P", ""), wire.execute(), wire.SYNC)
                pair.exchange(wire.bind("", "s0"), wire.execute("", 1), wire.SYNC)
                pair.exchange(wire.close("S", "s0"), wire.SYNC)


if __name__ == "__main__":
    unittest.main()
