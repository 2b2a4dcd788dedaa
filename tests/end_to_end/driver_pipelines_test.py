"""Pipelines with errors and savepoints in every place, and prepared statements that outlive errors and changes of tables.

By psycopg 3 as a program uses it, and by raw frames where every place is tried.
"""

import itertools
import select
import unittest

import psycopg

from harness import wire_client as wire
from harness.both_ways import BothWaysTest
from harness.pair import Pair

KEYED = "samples"
_FAILURES = {"runs": "SELECT 1/0", "parses": "SELEC 1", "names": "SELECT nothing FROM {table}", "keys": "INSERT INTO {table} (user_id, name) VALUES (%(user)s, 'one')"}


def libpq_pipeline(connection, statements, syncs):
    """Sends all (sql, values) through libpq's pipeline mode, a sync behind each number in `syncs`, then takes every result.

    psycopg's own pipeline may raise an error while it still sends, if it has come by then: that depends on time, this does not.
    """
    link = connection.pgconn
    results = []
    link.enter_pipeline_mode()
    for number, (sql, values) in enumerate(statements):
        for place, _ in enumerate(values, 1):
            sql = sql.replace("%s", f"${place}", 1)
        link.send_query_params(sql.encode(), [str(value).encode() for value in values] or None)
        if number in syncs:
            link.pipeline_sync()
    while link.flush():
        select.select([], [link.socket], [], 10)
    for number in range(len(statements)):
        while (result := link.get_result()) is not None:
            state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE)
            results.append((number, psycopg.pq.ExecStatus(result.status).name, state, [result.get_value(row, 0) for row in range(result.ntuples)]))
        if number in syncs:
            results.append(("sync", psycopg.pq.ExecStatus(link.get_result().status).name))
    link.exit_pipeline_mode()
    return results


class DriverPipelines(BothWaysTest):
    own_tables = "CREATE TABLE notes (user_id bigint, name text, number int, PRIMARY KEY (user_id, name))"

    @staticmethod
    def connect(address, **options):
        return psycopg.connect(**address, **options)

    # --- psycopg 3

    def test_pipeline_with_an_error_in_every_place(self):
        steps = ["first", "second", "third", "fourth"]
        for user, (failure, at, autocommit) in enumerate(itertools.product(_FAILURES, range(5), (False, True)), 7000):
            for table in ("notes", KEYED):
                def conversation(address, log, user=user, failure=failure, at=at, autocommit=autocommit, table=table):
                    with self.connect(address, autocommit=autocommit) as connection:
                        insert = f"INSERT INTO {table} (user_id, name) VALUES (%s, %s) RETURNING name"
                        connection.execute(insert, (user, "one"))
                        connection.commit()
                        bad = _FAILURES[failure].format(table=table) % {"user": user}
                        if failure == "names":
                            bad += f" WHERE user_id = {user}"
                        statements = [(insert, (user, step)) for step in steps]
                        statements.insert(at, (bad, ()))
                        if not autocommit:
                            statements.insert(0, ("BEGIN", ()))
                        log.note("results", libpq_pipeline(connection, statements, {len(statements) - 1}))
                        log.note("status", connection.info.transaction_status.name)
                        connection.rollback()
                        log.note("stored", connection.execute(f"SELECT name FROM {table} WHERE user_id = %s ORDER BY 1", (user,)).fetchall())
                with self.subTest(failure=failure, at=at, autocommit=autocommit, table=table):
                    self.alike(conversation)

    def test_nested_transactions_inside_a_pipeline(self):
        for user, (outer, inner, table) in enumerate(itertools.product(("ends", "fails"), ("ends", "fails", "rolls back"), ("notes", KEYED)), 7100):
            def conversation(address, log, user=user, outer=outer, inner=inner, table=table):
                insert = f"INSERT INTO {table} (user_id, name) VALUES (%s, %s)"
                with self.connect(address, autocommit=True) as connection:
                    def run():
                        with connection.pipeline():
                            with connection.transaction():
                                connection.execute(insert, (user, "outer"))
                                try:
                                    with connection.transaction() as nested:
                                        connection.execute(insert, (user, "inner"))
                                        if inner == "fails":
                                            connection.execute("SELECT 1/0").fetchone()
                                        elif inner == "rolls back":
                                            raise psycopg.Rollback(nested)
                                except psycopg.errors.DivisionByZero:
                                    log.note("inner", "failed")
                                connection.execute(insert, (user, "after"))
                                if outer == "fails":
                                    connection.execute("SELECT 1/0").fetchone()
                    log.attempt("run", run)
                    log.note("status", connection.info.transaction_status.name)
                    log.note("stored", connection.execute(f"SELECT name FROM {table} WHERE user_id = %s ORDER BY 1", (user,)).fetchall())
            with self.subTest(outer=outer, inner=inner, table=table):
                self.alike(conversation)

    def test_syncs_between_statements_of_a_pipeline(self):
        for user, (at, sync_at) in enumerate(itertools.product(range(4), range(4)), 7200):
            def conversation(address, log, user=user, at=at, sync_at=sync_at):
                insert = f"INSERT INTO {KEYED} (user_id, name) VALUES (%s, %s)"
                statements = [("SELECT 1/0", ()) if number == at else (insert, (user, f"n{number}")) for number in range(4)]
                with self.connect(address, autocommit=True) as connection:
                    log.note("results", libpq_pipeline(connection, statements, {sync_at, 3}))
                    log.note("stored", connection.execute(f"SELECT name FROM {KEYED} WHERE user_id = %s ORDER BY 1", (user,)).fetchall())
            with self.subTest(at=at, sync_at=sync_at):
                self.alike(conversation)

    # --- prepared statements after errors and changes

    def test_prepared_statement_is_used_again_after_an_error(self):
        def conversation(address, log):
            with self.connect(address, autocommit=True) as connection:
                for turn in range(3):
                    log.attempt("divides", lambda: connection.execute("SELECT 10 / %s::int", (0,), prepare=True).fetchone())
                    log.attempt("works", lambda turn=turn: connection.execute("SELECT 10 / %s::int", (turn + 1,), prepare=True).fetchone())
                    log.attempt("refused", lambda: connection.execute("SELECT nothing FROM samples WHERE user_id = %s", (7300,), prepare=True))
                    log.attempt("keyed", lambda: connection.execute("SELECT count(*) FROM samples WHERE user_id = %s", (7300,), prepare=True).fetchone())
        self.alike(conversation)

    def test_prepared_statement_is_used_again_in_and_after_a_failed_transaction(self):
        def conversation(address, log):
            with self.connect(address) as connection:
                query = "SELECT count(*) FROM samples WHERE user_id = %s"
                log.attempt("first", lambda: connection.execute(query, (7301,), prepare=True).fetchone())
                log.attempt("fails", lambda: connection.execute("SELECT 1/0"))
                log.attempt("in failed", lambda: connection.execute(query, (7301,), prepare=True).fetchone())
                connection.rollback()
                log.attempt("after", lambda: connection.execute(query, (7301,), prepare=True).fetchone())
                log.note("names", connection.execute("SELECT 1").fetchone())
        self.alike(conversation)

    def test_prepared_statement_after_its_table_changed(self):
        # "cached plan must not change result type" where the row's shape did, else no error; a new Parse always works.
        changes = ("ALTER TABLE changing ADD b int", "ALTER TABLE changing DROP COLUMN b", "ALTER TABLE changing ALTER a TYPE varchar(10)",
                   "CREATE INDEX ON changing (id)", "TRUNCATE changing")
        for sql in ("SELECT * FROM changing", "SELECT id FROM changing", "INSERT INTO changing (id) VALUES (1) RETURNING *"):
            with Pair(self.cluster.address(), self.reference) as pair, Pair(self.cluster.address(), self.reference) as other:
                pair.connect()
                other.connect()
                other.query("DROP TABLE IF EXISTS changing; CREATE TABLE changing (id int, a text)")
                for change in changes:
                    use = [wire.bind("", "s"), wire.describe("P", ""), wire.execute(), wire.SYNC]
                    with self.subTest(sql=sql, change=change):
                        pair.exchange(wire.close("S", "s"), wire.parse("s", sql), wire.describe("S", "s"), wire.SYNC)
                        pair.exchange(*use)
                    other.query(change)
                    with self.subTest(sql=sql, after=change):
                        self._use_after_a_change(pair, use)
                    with self.subTest(sql=sql, parsed_again_after=change):
                        pair.exchange(wire.close("S", "s"), wire.parse("s", sql), wire.describe("S", "s"), wire.SYNC)
                        pair.exchange(*use)
                        pair.exchange(wire.close("S", "s"), wire.SYNC)

    def _use_after_a_change(self, pair, use):
        """A server of Mosaic's that never had the old plan answers where PostgreSQL's session refuses its own (README, "Prepared
        statements"); it must not be the other way round."""
        pair.send(*use)
        subject, direct = ([frame for frame in client.take_until("Z")] for client in pair.clients)
        refused = [frame for frame in direct if frame.type == "E"]
        if not refused or any(frame.type == "E" for frame in subject):
            self.assertEqual([frame.type for frame in subject], [frame.type for frame in direct])
        else:
            self.assertIn("0A000", refused[0].body.decode("latin-1"))

    # --- raw frames: every place

    def _extended(self, sql):
        return [wire.parse("", sql), wire.bind("", ""), wire.describe("P", ""), wire.execute()]

    def test_transaction_in_one_segment_with_an_error_in_every_place(self):
        for user, (table, failure) in enumerate(itertools.product(("notes", KEYED), ("SELECT 1/0", "SELEC 1", "SELECT nothing FROM {table} WHERE user_id = {user}")), 7400):
            insert = f"INSERT INTO {table} (user_id, name) VALUES ({user}, '%s')"
            script = ["BEGIN", insert % "a", "SAVEPOINT s", insert % "b", "ROLLBACK TO s", insert % "c", "RELEASE s", "COMMIT"]
            for at, sync_at in itertools.product(range(len(script) + 1), range(0, len(script) + 2, 2)):
                statements = list(script)
                statements.insert(at, failure.format(table=table, user=user))
                messages = []
                for number, sql in enumerate(statements):
                    if number == sync_at:
                        messages.append(wire.SYNC)
                    messages += self._extended(sql)
                with self.subTest(table=table, failure=failure, at=at, sync_at=sync_at), Pair(self.cluster.address(), self.reference) as pair:
                    pair.connect()
                    pair.query(f"DELETE FROM {table} WHERE user_id = {user}")
                    pair.exchange(*messages, wire.SYNC, times=2 if sync_at < len(statements) else 1)
                    pair.exchange(*self._extended("ROLLBACK"), wire.SYNC)
                    pair.query(f"SELECT name FROM {table} WHERE user_id = {user} ORDER BY 1")

    def test_failed_transaction_is_left_within_one_segment(self):
        for user, (way, then) in enumerate(itertools.product(("ROLLBACK", "ROLLBACK TO s", "COMMIT"), ("insert", "select", "commit")), 7500):
            insert = f"INSERT INTO {KEYED} (user_id, name) VALUES ({user}, '%s')"
            follow = {"insert": insert % "z", "select": "SELECT 1", "commit": "COMMIT"}[then]
            with Pair(self.cluster.address(), self.reference) as pair, self.subTest(way=way, then=then):
                pair.connect()
                for sql in ("BEGIN", insert % "a", "SAVEPOINT s", "SELECT 1/0"):
                    pair.exchange(*self._extended(sql), wire.SYNC)
                pair.exchange(*self._extended(way), *self._extended(follow), wire.SYNC)
                pair.exchange(*self._extended("COMMIT"), wire.SYNC)
                pair.query(f"SELECT name FROM {KEYED} WHERE user_id = {user} ORDER BY 1")


if __name__ == "__main__":
    unittest.main()
