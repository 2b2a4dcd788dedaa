"""What outlasts a statement, as drivers see it: notifications, time zones and date styles, server connections that are terminated."""

import asyncio
import datetime
import select
import unittest

import asyncpg
import psycopg
import psycopg2

from harness.both_ways import BothWaysTest
from harness.processes import wait_until


async def connect_asyncpg(address, **options):
    address = dict(address)
    return await asyncpg.connect(database=address.pop("dbname"), **address, **options)


class DriverSessions(BothWaysTest):
    # --- LISTEN and NOTIFY

    def test_psycopg2_notifications(self):
        def conversation(address, log):
            listener, sender = psycopg2.connect(**address), psycopg2.connect(**address)
            listener.autocommit = sender.autocommit = True
            try:
                cursor, other = listener.cursor(), sender.cursor()

                def received(wanted):
                    while len(listener.notifies) < wanted and select.select([listener], [], [], 10)[0]:
                        listener.poll()
                    got = [(notify.channel, notify.payload) for notify in listener.notifies]
                    listener.notifies.clear()
                    return got
                cursor.execute('LISTEN news; LISTEN "Odd name"')
                other.execute("NOTIFY news")
                other.execute("NOTIFY \"Odd name\", 'with payload ü'")
                other.execute("SELECT pg_notify('news', 'by function')")
                log.note("three", received(3))
                cursor.execute("NOTIFY news, 'to myself'")
                log.note("own", received(1))
                sender.autocommit = False
                other.execute("NOTIFY news, 'rolled back'")
                sender.rollback()
                other.execute("NOTIFY news, 'twice'; NOTIFY news, 'twice'; NOTIFY news, 'committed'")
                sender.commit()
                log.note("committed", received(2))
                cursor.execute("SELECT pg_listening_channels()")
                log.note("channels", sorted(cursor.fetchall()))
                cursor.execute("UNLISTEN news")
                other.execute("NOTIFY news, 'unheard'; NOTIFY \"Odd name\", 'last'")
                sender.commit()
                log.note("last", received(1))
                cursor.execute("UNLISTEN *")
                cursor.execute("SELECT count(*) FROM pg_listening_channels()")
                log.note("none", cursor.fetchone())
            finally:
                listener.close()
                sender.close()
        self.alike(conversation)

    def test_psycopg3_notifications(self):
        def conversation(address, log):
            with psycopg.connect(**address, autocommit=True) as listener, psycopg.connect(**address, autocommit=True) as sender:
                got = []
                listener.add_notify_handler(lambda notify: got.append((notify.channel, notify.payload)))
                with listener.transaction():
                    listener.execute("LISTEN kept")
                with listener.transaction(force_rollback=True):
                    listener.execute("LISTEN dropped")
                sender.execute("NOTIFY kept, '1'")
                sender.execute("NOTIFY dropped, '2'")
                sender.execute("SELECT pg_notify('kept', %s)", ("x" * 7000,))
                log.attempt("heard", wait_until, lambda: listener.execute("SELECT 1") and len(got) >= 2, "two notifications", 10)
                log.note("what", got)
                listener.execute("UNLISTEN *")
                # Generators hand them over while nothing else is asked.
                listener.execute("LISTEN again")
                waiting = listener.notifies()
                sender.execute("NOTIFY again, 'generator'")
                log.note("generator", next(waiting).payload)
                waiting.close()
        self.alike(conversation)

    def test_asyncpg_notifications(self):
        async def conversation(address, log):
            listener, sender = await connect_asyncpg(address), await connect_asyncpg(address)
            try:
                heard = asyncio.Queue()

                def hear(_, __, channel, payload):
                    heard.put_nowait((channel, payload))
                await listener.add_listener("news", hear)
                await sender.execute("NOTIFY news, 'one'")
                await sender.fetch("SELECT pg_notify($1, $2)", "news", "two")
                async with sender.transaction():
                    await sender.execute("NOTIFY news, 'three'")
                for _ in range(3):
                    log.note("heard", await asyncio.wait_for(heard.get(), 10))
                await listener.remove_listener("news", hear)
                await sender.execute("NOTIFY news, 'unheard'")
                log.note("channels", await listener.fetchval("SELECT count(*) FROM pg_listening_channels()"))
                log.note("nothing", heard.empty())
            finally:
                await listener.close()
                await sender.close()
        self.alike(conversation)

    # --- time zones and date styles

    def test_time_zone_of_the_session_and_of_a_transaction(self):
        def conversation(address, log):
            for options in ({}, {"options": "-c timezone=Asia/Tokyo -c datestyle=German"}, {"options": "-c IntervalStyle=iso_8601"}):
                with psycopg.connect(**address, **options) as connection:
                    def seen(what):
                        status = connection.info.parameter_status
                        log.note(what, {name: status(name) for name in ("TimeZone", "DateStyle", "IntervalStyle", "application_name", "client_encoding")})
                        log.attempt("server", lambda: connection.execute("SHOW timezone").fetchone())
                        log.attempt("parsed", lambda: repr(connection.execute("SELECT '2024-07-01 12:00:00+00'::timestamptz").fetchone()[0].utcoffset()))
                        log.attempt("text", lambda: connection.execute("SELECT '2024-07-01 12:00:00+00'::timestamptz::text, date '2024-02-01'::text, "
                                                                      "interval '1 day 2 hours'::text").fetchone())
                    seen("at login")
                    connection.rollback()
                    for sql in ("SET TIME ZONE 'America/New_York'", "SET TIME ZONE -5", "SET LOCAL TIME ZONE 'Europe/Rome'", "SET TIME ZONE INTERVAL '+03:30' HOUR TO MINUTE",
                                "SET datestyle TO 'SQL, DMY'", "SET datestyle TO DMY", "SET datestyle TO German", "SET LOCAL datestyle = 'Postgres'", "SET intervalstyle = sql_standard",
                                "SELECT set_config('timezone', 'Asia/Kathmandu', false)", "SELECT set_config('datestyle', 'ISO, YMD', true)", "RESET timezone", "SET TIME ZONE LOCAL", "SET TIME ZONE DEFAULT"):
                        for end in (connection.rollback, connection.commit):
                            log.note("now", sql)
                            log.attempt("set", lambda statement=sql: connection.execute(statement).statusmessage)
                            seen("inside")
                            end()
                            seen("after")
                            log.attempt("keyed", lambda: connection.execute(
                                "SELECT coalesce(max(at), '2024-07-01 12:00:00+00')::text FROM samples WHERE user_id = 7900").fetchone())
                            connection.rollback()
                            seen("after a keyed statement")
                            connection.rollback()
        self.alike(conversation)

    def test_dates_read_by_the_drivers_own_parsers(self):
        at = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)

        def conversation(address, log):
            connection = psycopg2.connect(**address)
            connection.autocommit = True
            try:
                with connection.cursor() as cursor:
                    cursor.execute("DELETE FROM samples WHERE user_id = 7901")
                    cursor.execute("INSERT INTO samples (user_id, name, at, day) VALUES (7901, 'x', %s, %s)", (at, at.date()))
                    for zone in ("UTC", "Asia/Tokyo", "America/St_Johns", "-03:15"):
                        cursor.execute("SET TIME ZONE %s", (zone,))
                        cursor.execute("SELECT at, day, at::text FROM samples WHERE user_id = 7901")
                        log.note(zone, repr(cursor.fetchone()))
                        cursor.execute("SELECT now() - now(), %s::timestamptz", (at,))
                        log.note(zone, repr(cursor.fetchone()))
            finally:
                connection.close()
        self.alike(conversation)

    def test_asyncpg_server_settings(self):
        async def conversation(address, log):
            for settings in ({"timezone": "Asia/Tokyo"}, {"application_name": "it's \"mine\"", "statement_timeout": "12345"}, {"search_path": "pg_catalog", "jit": "off"},
                             {"my.own_setting": "x"}, {"datestyle": "nonsense"}, {"no_such_setting": "1"}):
                connection = await log.attempt_async_quietly(f"connect {settings}", connect_asyncpg(address, server_settings=settings))
                if connection:
                    for name in settings:
                        await log.attempt_async(name, connection.fetchval("SELECT current_setting($1)", name))
                        await log.attempt_async("keyed", connection.fetchval("SELECT max(current_setting($1)) FROM public.samples WHERE user_id = 7902", name))
                    await connection.close()
        self.alike(conversation)

    # --- server connections that are terminated

    def terminate(self, pid):
        for node in self.cluster.nodes:
            node.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid = %s AND usename = 'app'", (pid,))

    def test_client_goes_on_after_its_server_connection_is_terminated(self):
        # With PostgreSQL the client's connection is gone. Mosaic may keep it, but then it must not call the error FATAL, and
        # must work: never a driver that believes in a connection that is none. Where nothing was lost, none need be told.
        places = {"within a transaction": ["BEGIN", "SELECT count(*) FROM samples WHERE user_id = 7910"],
                  "in a transaction without a table": ["BEGIN", "SELECT 1"], "with a listener": ["LISTEN news"],
                  "with a temporary table": ["CREATE TEMP TABLE mine (n int)"], "with a lock": ["SELECT pg_advisory_lock(7910)"],
                  "after a savepoint": ["BEGIN", "SAVEPOINT s", "SELECT count(*) FROM samples WHERE user_id = 7910"], "idle": []}

        def conversation(address, log):
            for place, statements in places.items():
                connection = psycopg.connect(**address, autocommit=True)
                try:
                    for sql in statements:
                        connection.execute(sql)
                    log.note("place", place)
                    pid = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
                    self.terminate(pid)
                    try:
                        connection.execute("SELECT count(*) FROM samples WHERE user_id = 7910")
                        log.note("is known to be lost", place in ("idle", "in a transaction without a table"))
                    except psycopg.Error as error:
                        log.note("is known to be lost", True)
                        fatal = error.diag.severity_nonlocalized == "FATAL"
                        log.note("a fatal error ends the connection", not fatal or connection.broken)
                    if not connection.closed:
                        connection.execute("ROLLBACK")
                    else:
                        connection = psycopg.connect(**address, autocommit=True)
                    log.note("works", connection.execute("SELECT count(*) FROM samples WHERE user_id = 7910").fetchone())
                    log.note("is at rest", connection.info.transaction_status.name)
                    log.note("has no temporary table", connection.execute("SELECT to_regclass('pg_temp.mine') IS NULL").fetchone())
                finally:
                    connection.close()
        def what_counts(address):
            return [entry for entry in self.hold(conversation, address) if entry[0] != "a fatal error ends the connection" or not entry[1]]
        direct = what_counts(self.reference)
        self.assertEqual(len(direct), 5 * len(places), direct)
        self.assertEqual(what_counts(self.cluster.address()), direct)

    def test_terminated_while_a_statement_runs(self):
        async def conversation(address, log):
            connection = await connect_asyncpg(address)
            await connection.execute("BEGIN")
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            sleeping = asyncio.ensure_future(connection.fetch("SELECT pg_sleep(34)"))
            await asyncio.to_thread(self.cluster.wait_for_active, "pg_sleep(34)")
            await asyncio.to_thread(self.terminate, pid)
            try:
                await asyncio.wait_for(sleeping, 20)
                log.note("error", None)
            except (asyncpg.AdminShutdownError, asyncpg.PostgresConnectionError):  # asyncpg says one or the other
                log.note("error", "connection lost")
            if connection.is_closed():
                connection = await connect_asyncpg(address)
            else:
                await connection.execute("ROLLBACK")
            log.note("works", await asyncio.wait_for(connection.fetchval("SELECT count(*) FROM samples WHERE user_id = 7911"), 20))
            await connection.close()
        self.alike(conversation)


if __name__ == "__main__":
    unittest.main()
