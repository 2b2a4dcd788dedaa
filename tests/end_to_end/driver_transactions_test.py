"""How drivers choose what kind of transaction they run: read only, isolation levels, deferrable, by every driver's own way.

Each conversation asks the server what it believes, reads and tries to write, sharded and not.
"""

import itertools
import unittest

import asyncpg
import psycopg
import psycopg2
import psycopg2.extensions
import sqlalchemy as sa

from harness.both_ways import BothWaysTest

_ASKED = ("transaction_isolation", "transaction_read_only", "transaction_deferrable", "default_transaction_isolation", "default_transaction_read_only")
_LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


def look(log, run, rollback, user):
    """`run` executes a statement and returns its rows. Notes the state, and what a write to each sort of table does to it."""
    for name in _ASKED:
        log.attempt(name, run, f"SHOW {name}")
    for table in ("samples", "notes"):
        log.attempt(f"reads {table}", run, f"SELECT count(*) FROM {table} WHERE user_id = {user}")
        log.attempt("isolation there", run, f"SELECT current_setting('transaction_isolation') FROM {table} WHERE user_id = {user} UNION ALL SELECT 'none'")
        rollback()
        log.attempt(f"writes {table}", run, f"INSERT INTO {table} (user_id, name) VALUES ({user}, 'w') ON CONFLICT DO NOTHING RETURNING user_id")
        log.attempt("state after", run, "SHOW transaction_read_only")
        rollback()


class DriverTransactions(BothWaysTest):
    own_tables = "CREATE TABLE notes (user_id bigint, name text, PRIMARY KEY (user_id, name))"

    def test_psycopg2_set_session(self):
        options = itertools.product(_LEVELS, (None, False, True), (None, True), (False, True))

        def conversation(address, log):
            connection = psycopg2.connect(**address)
            try:
                for level, readonly, deferrable, autocommit in options_now:
                    def run(sql):
                        with connection.cursor() as cursor:
                            cursor.execute(sql)
                            return cursor.fetchall()
                    log.note("with", (level, readonly, deferrable, autocommit))
                    connection.set_session(isolation_level=level, readonly=readonly, deferrable=deferrable, autocommit=autocommit)
                    look(log, run, connection.rollback, 7600)
                connection.set_session("DEFAULT", "DEFAULT", "DEFAULT", False)
                look(log, run, connection.rollback, 7600)
            finally:
                connection.close()
        for level, group in itertools.groupby(options, key=lambda option: option[0]):
            options_now = list(group)
            with self.subTest(level=level):
                self.alike(conversation)

    def test_psycopg2_properties_and_old_levels(self):
        def conversation(address, log):
            connection = psycopg2.connect(**address)
            try:
                def run(sql):
                    with connection.cursor() as cursor:
                        cursor.execute(sql)
                        return cursor.fetchall()
                connection.readonly = True
                look(log, run, connection.rollback, 7601)
                connection.isolation_level = psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE
                look(log, run, connection.rollback, 7601)
                connection.readonly = None
                connection.isolation_level = None
                look(log, run, connection.rollback, 7601)
                for level in (0, 1, 2, 3, 4):
                    connection.set_isolation_level(level)
                    look(log, run, connection.rollback, 7601)
            finally:
                connection.close()
        self.alike(conversation)

    def test_psycopg3_attributes(self):
        for level, read_only, deferrable in itertools.product((None, *psycopg.IsolationLevel), (None, False, True), (None, True)):
            def conversation(address, log, level=level, read_only=read_only, deferrable=deferrable):
                with psycopg.connect(**address) as connection:
                    connection.isolation_level, connection.read_only, connection.deferrable = level, read_only, deferrable
                    look(log, lambda sql: connection.execute(sql).fetchall(), connection.rollback, 7602)
                    connection.isolation_level = connection.read_only = connection.deferrable = None
                    look(log, lambda sql: connection.execute(sql).fetchall(), connection.rollback, 7602)
            with self.subTest(level=level, read_only=read_only, deferrable=deferrable):
                self.alike(conversation)

    def test_asyncpg_transactions(self):
        for level, readonly, deferrable in itertools.product(("read_committed", "repeatable_read", "serializable"), (False, True), (False, True)):
            async def conversation(address, log, level=level, readonly=readonly, deferrable=deferrable):
                address = dict(address)
                connection = await asyncpg.connect(database=address.pop("dbname"), **address)
                try:
                    for sql in ("SELECT count(*) FROM samples WHERE user_id = 7603", "SELECT count(*) FROM notes WHERE user_id = 7603",
                                "INSERT INTO samples (user_id, name) VALUES (7603, 'w') ON CONFLICT DO NOTHING",
                                "INSERT INTO notes (user_id, name) VALUES (7603, 'w') ON CONFLICT DO NOTHING"):
                        transaction = connection.transaction(isolation=level, readonly=readonly, deferrable=deferrable)
                        await transaction.start()
                        for name in _ASKED:
                            await log.attempt_async(name, connection.fetchval(f"SHOW {name}"))
                        await log.attempt_async(sql, connection.fetchval(sql))
                        nested = connection.transaction()
                        await log.attempt_async("savepoint", nested.start())
                        await log.attempt_async("state there", connection.fetchval("SHOW transaction_read_only"))
                        await log.attempt_async("rollback", transaction.rollback())
                finally:
                    await connection.close()
            with self.subTest(level=level, readonly=readonly, deferrable=deferrable):
                self.alike(conversation)

    def test_sqlalchemy_isolation_levels_and_options(self):
        def conversation(address, log):
            url = sa.engine.URL.create("postgresql+psycopg2", address["user"], address["password"], address["host"], address["port"], address["dbname"])
            engine = sa.create_engine(url, future=True, pool_size=1, max_overflow=0)
            try:
                for level, readonly, deferrable in itertools.product((*_LEVELS, "AUTOCOMMIT"), (False, True), (False, True)):
                    options = {"isolation_level": level, "postgresql_readonly": readonly, "postgresql_deferrable": deferrable}
                    log.note("with", options)
                    with engine.connect().execution_options(**options) as connection:
                        log.note("level", connection.get_isolation_level())
                        look(log, lambda sql, at=connection: [tuple(row) for row in at.execute(sa.text(sql))], connection.rollback, 7604)
                    with engine.connect() as connection:  # the pool gave it back with the engine's own level
                        log.note("level after", connection.get_isolation_level())
            finally:
                engine.dispose()
        self.alike(conversation)

    def test_pgjdbc_session_characteristics(self):
        # pgjdbc's setReadOnly and setTransactionIsolation say this outside of transactions, and begin with the next statement.
        said = ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE, NOT DEFERRABLE", "RESET ALL")

        def conversation(address, log):
            with psycopg.connect(**address, autocommit=True) as connection:
                def run(sql):
                    return connection.execute(sql).fetchall()

                def rollback():
                    connection.execute("ROLLBACK")
                for characteristics in said:
                    log.attempt(characteristics, lambda sql=characteristics: connection.execute(sql).statusmessage)
                    look(log, run, rollback, 7605)
                    for users in ((7605, 7606), (7607, 7608)):  # one keyed transaction after another: none is bound to a node
                        for user in users:
                            connection.execute("BEGIN")
                            log.attempt("keyed", run, f"SELECT count(*) FROM samples WHERE user_id = {user}")
                            log.attempt("keyed write", run, f"INSERT INTO samples (user_id, name) VALUES ({user}, 'w') ON CONFLICT DO NOTHING RETURNING name")
                            rollback()
        self.alike(conversation)

    def test_characteristics_of_the_running_transaction(self):
        openings = ("BEGIN", "BEGIN READ ONLY", "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        changes = ("SET TRANSACTION READ ONLY", "SET TRANSACTION READ WRITE", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET transaction_read_only = on",
                   "SET LOCAL transaction_isolation = 'repeatable read'", "SET CONSTRAINTS ALL DEFERRED", "SELECT set_config('transaction_read_only', 'on', true)")
        befores = (None, "SELECT 1", "SAVEPOINT s", "SELECT count(*) FROM samples WHERE user_id = 7609")

        def conversation(address, log):
            with psycopg.connect(**address, autocommit=True) as connection:
                def run(sql):
                    cursor = connection.execute(sql)
                    return cursor.fetchall() if cursor.description else cursor.statusmessage
                for opening, before, change in itertools.product(openings, befores, changes):
                    log.note("opened", (opening, before, change))
                    for sql in (opening, before, change, "SHOW transaction_isolation", "SHOW transaction_read_only",
                                "INSERT INTO samples (user_id, name) VALUES (7609, 'w') ON CONFLICT DO NOTHING RETURNING name", "ROLLBACK"):
                        if sql:
                            log.attempt(sql, run, sql)
        self.alike(conversation)


if __name__ == "__main__":
    unittest.main()
