"""Rows taken piece by piece: named and WITH HOLD cursors, portals with a row limit over Sync, server cursors of every driver; large objects.

Each over a sharded table, a table of one node, and no table at all.
"""

import asyncio
import itertools
import os
import unittest

import asyncpg
import psycopg
import psycopg2

from harness import wire_client as wire
from harness.both_ways import BothWaysTest
from harness.pair import Pair

_SOURCES = {
    "sharded": "SELECT number FROM samples WHERE user_id = 7700 ORDER BY 1",
    "of one node": "SELECT number FROM numbers ORDER BY 1",
    "no table": "SELECT n FROM generate_series(1, 20) n",
    "catalog": "SELECT oid::int FROM pg_type WHERE oid < 30 ORDER BY 1",
}
_FILL = ("INSERT INTO samples (user_id, name, number) SELECT 7700, 'n' || n, n FROM generate_series(1, 20) n ON CONFLICT DO NOTHING",
         "INSERT INTO numbers SELECT n FROM generate_series(1, 20) n ON CONFLICT DO NOTHING")


class DriverCursors(BothWaysTest):
    own_tables = "CREATE TABLE numbers (number int PRIMARY KEY)"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address in (cls.reference, cls.cluster.address()):
            with psycopg.connect(**address, autocommit=True) as connection:
                for sql in _FILL:
                    connection.execute(sql)

    # --- SQL cursors

    def test_psycopg2_named_cursors(self):
        for (source, sql), itersize, withhold, scrollable in itertools.product(_SOURCES.items(), (1, 7, 100), (False, True), (None, True, False)):
            def conversation(address, log, sql=sql, itersize=itersize, withhold=withhold, scrollable=scrollable):
                connection = psycopg2.connect(**address)
                try:
                    cursor = connection.cursor("odd \"name'", withhold=withhold, scrollable=scrollable)
                    cursor.itersize = itersize
                    log.attempt("execute", cursor.execute, sql)
                    log.attempt("one", cursor.fetchone)
                    log.attempt("many", cursor.fetchmany, 3)
                    log.attempt("scroll", cursor.scroll, 2)
                    log.attempt("back", cursor.scroll, -1)
                    if withhold:
                        connection.commit()
                    log.attempt("rest", lambda: [row[0] for row in cursor])
                    log.attempt("close", cursor.close)
                    connection.rollback()
                finally:
                    connection.close()
            with self.subTest(source=source, itersize=itersize, withhold=withhold, scrollable=scrollable):
                self.alike(conversation)

    def test_psycopg3_server_cursors(self):
        for (source, sql), scrollable, withhold, binary in itertools.product(_SOURCES.items(), (None, True), (False, True), (False, True)):
            def conversation(address, log, sql=sql, scrollable=scrollable, withhold=withhold, binary=binary):
                with psycopg.connect(**address, autocommit=withhold) as connection:
                    cursor = connection.cursor("c", scrollable=scrollable, withhold=withhold)
                    log.attempt("execute", lambda: bool(cursor.execute(sql, binary=binary)))
                    log.attempt("many", cursor.fetchmany, 5)
                    log.attempt("scroll", cursor.scroll, 3)
                    log.attempt("back", cursor.scroll, -4)
                    log.attempt("one", cursor.fetchone)
                    log.attempt("keyed between", lambda: connection.execute("SELECT count(*) FROM samples WHERE user_id = 7700").fetchone()
                                if "numbers" not in sql else None)
                    log.attempt("rest", cursor.fetchall)
                    log.attempt("close", cursor.close)
                    log.attempt("after", lambda: connection.execute("SELECT name FROM pg_cursors").fetchall())
            with self.subTest(source=source, scrollable=scrollable, withhold=withhold, binary=binary):
                self.alike(conversation)

    def test_held_cursors_stay_with_their_client(self):
        def conversation(address, log):
            with psycopg.connect(**address, autocommit=True) as one, psycopg.connect(**address, autocommit=True) as other:
                for connection, start in ((one, 1), (other, 100)):
                    connection.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT n FROM generate_series({start}, {start + 5}) n")
                for _ in range(3):
                    for connection in (one, other):
                        log.attempt("fetch", lambda at=connection: at.execute("FETCH 1 FROM held").fetchall())
                        log.attempt("cursors", lambda at=connection: at.execute("SELECT name, is_holdable FROM pg_cursors").fetchall())
                one.execute("CLOSE held")
                log.attempt("closed", lambda: one.execute("FETCH 1 FROM held"))
                log.attempt("open", lambda: other.execute("FETCH 1 FROM held").fetchall())
                other.execute("CLOSE ALL")
                log.attempt("closed", lambda: other.execute("FETCH 1 FROM held"))
        self.alike(conversation)

    # --- portals with a row limit

    def test_asyncpg_cursors(self):
        for (source, sql), prefetch in itertools.product(_SOURCES.items(), (1, 6, 50)):
            async def conversation(address, log, sql=sql, prefetch=prefetch):
                address = dict(address)
                connection = await asyncpg.connect(database=address.pop("dbname"), **address)
                try:
                    async with connection.transaction():
                        rows = []
                        async for row in connection.cursor(sql, prefetch=prefetch):
                            rows.append(row[0])
                        log.note("iterated", rows)
                        cursor = await connection.cursor(sql)
                        log.note("fetch", [row[0] for row in await cursor.fetch(4)])
                        log.note("forward", await cursor.forward(2))
                        log.note("row", tuple(await cursor.fetchrow()))
                        statement = await connection.prepare(sql)
                        other = await statement.cursor()
                        log.note("other", [row[0] for row in await other.fetch(3)])
                        log.note("first again", [row[0] for row in await cursor.fetch(40)])
                    await log.attempt_async("outside", asyncio.wait_for(cursor.fetch(1), 20))
                finally:
                    await connection.close()
            with self.subTest(source=source, prefetch=prefetch):
                self.alike(conversation)

    def test_suspended_portal_over_sync(self):
        # PostgreSQL manual, "Extended Query": a portal lives to the end of its transaction; Sync ends the implicit one.
        begins = ("", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN READ ONLY")
        betweens = ("", "SELECT 1", "SHOW transaction_isolation", "SAVEPOINT s", "SET LOCAL application_name = 'x'", "SELECT 1/0")
        for (source, sql), begin, between, name in itertools.product(_SOURCES.items(), begins, betweens, ("", "p")):
            with self.subTest(source=source, begin=begin, between=between, name=name), Pair(self.cluster.address(), self.reference) as pair:
                pair.connect()
                if begin:
                    pair.exchange(wire.parse("", begin), wire.bind("", ""), wire.execute(), wire.SYNC)
                pair.exchange(wire.parse("", sql), wire.bind(name, ""), wire.describe("P", name), wire.execute(name, 3), wire.SYNC)
                if between:
                    pair.query(between) if name else pair.exchange(wire.parse("x", between), wire.bind("other", "x"), wire.execute("other"), wire.SYNC)
                pair.exchange(wire.execute(name, 2), wire.FLUSH, wire.execute(name, 3), wire.SYNC)
                pair.exchange(wire.execute(name), wire.SYNC)
                pair.exchange(wire.close("P", name), wire.SYNC)
                pair.query("ROLLBACK")
                pair.query("SELECT count(*) FROM pg_cursors")

    def test_effects_behind_a_suspended_portal_count(self):
        effects = {"SET application_name = 'behind'": "SHOW application_name", "SET search_path = public, pg_catalog": "SHOW search_path",
                   "SET timezone = 'Asia/Tokyo'": "SHOW timezone", "SET ROLE NONE": "SELECT current_user", "SET DateStyle = 'German'": "SELECT date '2024-02-01'"}
        for (source, sql), (effect, question) in itertools.product(_SOURCES.items(), effects.items()):
            with self.subTest(source=source, effect=effect), Pair(self.cluster.address(), self.reference) as pair:
                pair.connect()
                pair.exchange(wire.parse("", sql), wire.bind("p", ""), wire.execute("p", 3), wire.parse("", effect), wire.bind("", ""), wire.execute(), wire.SYNC)
                pair.query(question)
                pair.query(sql)
                pair.query(question)
                pair.query("RESET ALL")

    # --- large objects

    def test_psycopg2_large_objects(self):
        def conversation(address, log):
            connection = psycopg2.connect(**address)
            try:
                large = connection.lobject(0, "wb")
                oid = large.oid
                log.note("wrote", large.write(bytes(range(256)) * 400))
                log.note("at", large.tell())
                large.close()
                connection.commit()
                large = connection.lobject(oid, "rb")
                log.note("seek", large.seek(1000))
                log.note("read", bytes(large.read(10)))
                log.note("end", large.seek(0, os.SEEK_END))
                connection.rollback()
                log.attempt("closed by rollback", large.read)
                large = connection.lobject(oid, "rwb")
                log.attempt("truncate", large.truncate, 100)
                log.note("length", large.seek(0, os.SEEK_END))
                path = os.path.join(self.cluster.folder, f"exported-{address['dbname']}")
                large.export(path)
                with open(path, "rb") as file:
                    log.note("exported", file.read())
                connection.commit()
                imported = connection.lobject(0, "wb", 0, path)
                log.note("imported", imported.oid != oid)
                connection.commit()
                connection.lobject(oid, "n").unlink()
                connection.commit()
                log.attempt("gone", connection.lobject, oid, "rb")
                connection.rollback()
                connection.lobject(imported.oid, "n").unlink()
                connection.commit()
                with connection.cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM pg_largeobject_metadata")
                    log.note("left", cursor.fetchone())
            finally:
                connection.close()
        self.alike(conversation)

    def test_large_objects_by_sql_functions(self):
        def conversation(address, log):
            with psycopg.connect(**address) as connection:
                def one(sql, *values):
                    return connection.execute(sql, values).fetchone()[0]
                oid = one("SELECT lo_from_bytea(0, %s)", b"hello large object")
                log.note("get", one("SELECT lo_get(%s)", oid))
                connection.commit()
                descriptor = one("SELECT lo_open(%s, 393216)", oid)
                log.attempt("seek", one, "SELECT lo_lseek(%s, 6, 0)", descriptor)
                log.attempt("read", one, "SELECT loread(%s, 5)", descriptor)
                log.attempt("write", one, "SELECT lowrite(%s, %s)", descriptor, b"!")
                connection.commit()
                log.attempt("descriptor is gone", one, "SELECT loread(%s, 5)", descriptor)
                connection.rollback()
                log.attempt("unlink", one, "SELECT lo_unlink(%s)", oid)
                connection.commit()
        self.alike(conversation)


if __name__ == "__main__":
    unittest.main()
