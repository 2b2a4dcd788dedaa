"""Two-phase commit by psycopg2's and psycopg 3's tpc_* and by SQL: prepared here, finished by anyone, found by recovery."""

import itertools
import unittest

import psycopg
import psycopg2

from harness.both_ways import BothWaysTest

_TABLES = {"sharded": ("samples", 8000), "sharded, another node": ("samples", 8003), "of one node": ("notes", 8000)}


class DriverTwoPhase(BothWaysTest):
    own_tables = "CREATE TABLE notes (user_id bigint, name text, PRIMARY KEY (user_id, name))"

    def hold(self, conversation, address):
        """What a conversation that broke off left prepared must not block the next one's rows."""
        try:
            return super().hold(conversation, address)
        finally:
            for node in self.cluster.nodes:
                for gid, database in node.query("SELECT gid, database FROM pg_prepared_xacts"):
                    connection = node.connect(database)
                    connection.cursor().execute("ROLLBACK PREPARED %s", (gid,))
                    connection.close()

    @staticmethod
    def count(connection, table, user):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", (user,))
            got = cursor.fetchone()
        connection.rollback()
        return got

    def test_drivers_commit_and_roll_back(self):
        for (module, (where, (table, user))), end in itertools.product(itertools.product((psycopg2, psycopg), _TABLES.items()), (
                "commit", "rollback", "one-phase commit", "one-phase rollback")):
            def conversation(address, log, module=module, table=table, user=user, end=end):
                connection = module.connect(**address)
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(f"DELETE FROM {table} WHERE user_id = %s", (user,))
                    connection.commit()
                    connection.tpc_begin(connection.xid(42, f"{table} {user} it's", "branch"))
                    with connection.cursor() as cursor:
                        cursor.execute(f"INSERT INTO {table} (user_id, name) VALUES (%s, 'two-phase')", (user,))
                        cursor.execute(f"SELECT count(*) FROM {table} WHERE user_id = %s", (user,))
                        log.note("own", cursor.fetchone())
                    if not end.startswith("one-phase"):
                        connection.tpc_prepare()
                        if module is psycopg2:  # refuses it; psycopg 3 would begin another transaction
                            log.attempt("statement after prepare", connection.cursor().execute, "SELECT 1")
                    log.attempt(end, connection.tpc_commit if end.endswith("commit") else connection.tpc_rollback)
                    log.note("stored", self.count(connection, table, user))
                finally:
                    connection.close()
            with self.subTest(driver=module.__name__, where=where, end=end):
                self.alike(conversation)

    def test_another_client_recovers_and_finishes(self):
        # pg_prepared_xacts is a catalog of each node: what Mosaic shows of it is the default node's (README).
        tables = {where: of for where, of in _TABLES.items() if where != "sharded"}
        for module, (where, (table, user)), end in itertools.product((psycopg2, psycopg), tables.items(), ("tpc_commit", "tpc_rollback")):
            def conversation(address, log, module=module, table=table, user=user, end=end):
                user += 10
                name = f"{table} {user} recovered"
                first = module.connect(**address)
                try:
                    with first.cursor() as cursor:
                        cursor.execute(f"DELETE FROM {table} WHERE user_id = %s", (user,))
                    first.commit()
                    first.tpc_begin(name)
                    with first.cursor() as cursor:
                        cursor.execute(f"INSERT INTO {table} (user_id, name) VALUES (%s, 'left')", (user,))
                    first.tpc_prepare()
                finally:
                    first.close()
                second = module.connect(**address)
                try:
                    log.note("not seen", self.count(second, table, user))
                    found = [xid for xid in second.tpc_recover() if xid.gtrid == name]
                    log.note("found", [(xid.format_id, xid.gtrid, xid.bqual, xid.owner) for xid in found])
                    second.rollback()
                    log.attempt(end, getattr(second, end), found[0] if found else name)
                    log.note("stored", self.count(second, table, user))
                    log.attempt("twice", getattr(second, end), name)
                    second.rollback()
                    log.note("none left", [xid for xid in second.tpc_recover() if xid.gtrid == name])
                finally:
                    second.close()
            with self.subTest(driver=module.__name__, where=where, end=end):
                self.alike(conversation)

    def test_prepare_transaction_by_sql(self):
        def conversation(address, log):
            with psycopg.connect(**address, autocommit=True) as connection, psycopg.connect(**address, autocommit=True) as other:
                def run(sql, at=connection):
                    log.attempt(sql, lambda: at.execute(sql).statusmessage)
                gid = "by sql"
                for table, user in _TABLES.values():
                    user += 20
                    run(f"DELETE FROM {table} WHERE user_id = {user}")
                    for end in ("COMMIT", "ROLLBACK"):
                        for sql in ("BEGIN", f"INSERT INTO {table} (user_id, name) VALUES ({user}, '{end}')", f"PREPARE TRANSACTION '{gid}'"):
                            run(sql)
                        log.note("state", connection.info.transaction_status.name)
                        run("BEGIN", other)
                        run(f"{end} PREPARED '{gid}'", other)  # not within a transaction block
                        run("ROLLBACK", other)
                        run(f"{end} PREPARED '{gid}'", other)
                        run(f"{end} PREPARED '{gid}'")
                        log.note("stored", connection.execute(f"SELECT name FROM {table} WHERE user_id = {user} ORDER BY 1").fetchall())
        self.alike(conversation)

    def test_refusals_of_prepare_transaction(self):
        temporary = "CREATE TEMP TABLE IF NOT EXISTS mine (n int)"
        scripts = {"outside": ["PREPARE TRANSACTION '{gid}'"], "empty": ["BEGIN", "PREPARE TRANSACTION '{gid}'", "COMMIT PREPARED '{gid}'"],
                   "of constants": ["BEGIN", "SELECT 1", "PREPARE TRANSACTION '{gid}'", "COMMIT PREPARED '{gid}'"],
                   "failed": ["BEGIN", "SELECT 1/0", "PREPARE TRANSACTION '{gid}'", "SELECT 1", "COMMIT PREPARED '{gid}'"],
                   "temporary": ["BEGIN", temporary, "PREPARE TRANSACTION '{gid}'", "SELECT 1"],
                   "listening": ["BEGIN", "LISTEN news", "PREPARE TRANSACTION '{gid}'", "SELECT 1"],
                   "held cursor": ["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "PREPARE TRANSACTION '{gid}'", "SELECT 1"],
                   "too long": ["BEGIN", "SELECT 1", "PREPARE TRANSACTION '" + "x" * 300 + "'", "SELECT 1"],
                   "unknown": ["COMMIT PREPARED 'never'", "ROLLBACK PREPARED 'never'"],
                   "same name twice": ["BEGIN", "SELECT 1", "PREPARE TRANSACTION '{gid}'", "BEGIN", "SELECT 2", "PREPARE TRANSACTION '{gid}'", "ROLLBACK PREPARED '{gid}'"],
                   "savepoint": ["BEGIN", "SAVEPOINT s", "INSERT INTO samples (user_id, name) VALUES (8050, 'x')", "ROLLBACK TO s", "PREPARE TRANSACTION '{gid}'",
                                 "ROLLBACK PREPARED '{gid}'", "SELECT count(*) FROM samples WHERE user_id = 8050"]}

        def conversation(address, log):
            for what, script in scripts.items():
                with psycopg.connect(**address, autocommit=True) as connection:
                    log.note("now", what)
                    for sql in script:
                        log.attempt(sql[:40], lambda sql=sql: connection.execute(sql.format(gid=what)).statusmessage)
                        log.note("state", connection.info.transaction_status.name)
        self.alike(conversation)


if __name__ == "__main__":
    unittest.main()
