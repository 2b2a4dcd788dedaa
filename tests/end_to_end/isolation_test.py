"""Nothing of one client is ever seen by another.

50 clients share a few server connections, each doing random acts of the repertoire (statements in every protocol, errors,
settings, transactions, cursors, COPY, cancels, disconnects in every phase). Every reply is compared with that of a
plain PostgreSQL which holds the same rows of that user. MOSAIC_E2E_SEED repeats a run's choices (not its timing).
"""

import random
import threading
import traceback
import unittest

import psycopg

from harness import repertoire, wire_client as wire
from harness.cluster import EndToEndTest
from harness.pair import Pair
from harness.processes import seed, wait_until
from harness.wire_client import ServerError, WireClient

WIRE_CLIENTS = 40
DRIVER_CLIENTS = 10
ACTS_EACH = 70
POOL = 4


class Isolation(EndToEndTest):
    node_count = 2
    shards = 12
    config = {"pool": {"default_pool_size": POOL}}
    needs_mosaic = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.cluster.create_reference()

    def wire_client(self, user, rng):
        acts, weights = list(repertoire.ACTS), list(repertoire.ACTS.values())
        with Pair(self.cluster.address(), self.reference) as pair:
            pair.connect()
            for _ in range(ACTS_EACH):
                rng.choices(acts, weights)[0](pair, rng, user)

    def driver_client(self, user, rng):
        """psycopg, with its own habits of preparing and pipelining, on both sides."""
        connections = [psycopg.connect(**address, prepare_threshold=rng.choice([0, 2, None]))
                       for address in (self.cluster.address(), self.reference)]

        def outcome(connection, acts):
            got = []
            try:
                with connection.transaction():
                    if acts[0] == "pipeline":
                        with connection.pipeline():
                            cursors = [connection.execute(sql, values) for sql, values in acts[1:]]
                        got += [cursor.fetchall() for cursor in cursors]
                    else:
                        for sql, values in acts[1:]:
                            cursor = connection.execute(sql, values)
                            got.append(cursor.fetchall() if cursor.description else cursor.rowcount)
            except psycopg.Error as error:
                got.append((error.sqlstate, error.diag.message_primary, error.diag.message_detail))
            return got

        choices = [("SELECT name, number FROM samples WHERE user_id = %s ORDER BY name", lambda: (user,)),
                   ("INSERT INTO samples (user_id, name, number) VALUES (%s, %s, 1) ON CONFLICT (user_id, name) DO UPDATE "
                    "SET number = samples.number + 1 RETURNING name, number", lambda: (user, f"d{rng.randrange(5)}")),
                   ("SELECT count(*), %s::text FROM samples WHERE user_id = %s", lambda: (f"c{rng.random()}", user)),
                   ("UPDATE samples SET tags = %s WHERE user_id = %s RETURNING user_id", lambda: (["x", str(rng.random())], user)),
                   ("SELECT number / 0 FROM samples WHERE user_id = %s", lambda: (user,))]
        for _ in range(ACTS_EACH // 2):
            kind = rng.choice(["plain", "plain", "pipeline"])
            picked = rng.choices(choices, weights=[5, 5, 4, 3, 1], k=rng.randrange(1, 5))
            acts = [kind] + [(sql, values()) for sql, values in picked]
            subject, direct = (outcome(connection, acts) for connection in connections)
            if subject != direct:
                raise AssertionError(f"psycopg {acts}\nPostgreSQL: {direct}\nmosaic:     {subject}")
        for connection in connections:
            connection.close()

    def test_every_reply_is_that_of_a_direct_connection(self):
        chosen = seed()
        problems = []

        def client(number):
            rng = random.Random(chosen * 1000 + number)
            try:
                (self.wire_client if number < WIRE_CLIENTS else self.driver_client)(1000 + number, rng)
            except Exception:  # every kind of failure is a finding: it is shown below
                problems.append(f"client {number}, seed {chosen}:\n{traceback.format_exc()}")

        threads = [threading.Thread(target=client, args=(number,)) for number in range(WIRE_CLIENTS + DRIVER_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertFalse(problems, f"{len(problems)} clients saw a difference; the first:\n" + "\n\n".join(problems[:3]))
        self.check_rows()
        self.check_leftovers()

    def check_rows(self):
        """After all of it, the rows on the shards are those of the plain PostgreSQL, and each is on its own shard."""
        with psycopg.connect(**self.reference) as connection:
            direct = connection.execute("SELECT user_id, name, number, tags FROM samples ORDER BY 1, 2").fetchall()
        stored = self.cluster.stored("samples", "user_id, name, number, tags")
        for _, shard, user, *_ in stored:
            self.assertEqual(shard, self.cluster.shard_of(user))
        self.assertEqual(sorted((row[2:] for row in stored), key=lambda row: row[:2]), sorted(direct, key=lambda row: row[:2]))

    def check_leftovers(self):
        """No server session keeps anything of a client that has gone: seen from inside every session at once."""
        for node in self.cluster.nodes:
            wait_until(lambda: not node.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND datname = 'photos' "
                                              "AND state <> 'idle'"), f"{node.name} to have only idle sessions")
            self.assertEqual(node.query("SELECT * FROM pg_prepared_xacts"), [])
            self.assertEqual(node.query("SELECT * FROM pg_locks WHERE locktype = 'advisory'"), [])
        fresh = self.session_view(WireClient(self.reference["port"]).login(database=self.reference["dbname"]), "")
        for node in self.cluster.nodes:
            user = self.cluster.users_on(node, 1)[0]
            clients = [WireClient(self.cluster.port).login() for _ in range(POOL)]
            for client in clients:  # the transactions hold every server session of the node's pool at the same time
                client.query("BEGIN")
                client.query(f"SELECT count(*) FROM samples WHERE user_id = {user}")
            pids = {client.query(f"SELECT pg_backend_pid() FROM (SELECT count(*) FROM samples WHERE user_id = {user}) one")[0]
                    for client in clients}
            self.assertEqual(len(pids), POOL)
            for client in clients:
                self.assertEqual(self.session_view(client, f"/* mosaic user_id={user} */"), fresh)
                client.query("COMMIT")
                client.send(wire.bind("", "s1", [str(user)]), wire.SYNC)
                with self.assertRaises(ServerError) as caught:
                    client.rows(client.take_reply())
                self.assertEqual(caught.exception.sqlstate, "26000")
                client.terminate()

    @staticmethod
    def session_view(client, hint):
        """What a session knows about itself, apart from Mosaic's own prepared statements."""
        settings = client.query(f"{hint} SELECT name, setting FROM pg_settings WHERE source IN ('session', 'client') "
                                "AND name NOT IN ('application_name', 'client_encoding') ORDER BY 1")
        # Mosaic asks for its encoding itself: only the value tells something.
        settings += client.query(f"{hint} SHOW client_encoding")
        custom = client.query(f"{hint} SELECT coalesce(current_setting('my.setting', true), '')")
        cursors = client.query(f"{hint} SELECT name FROM pg_cursors WHERE statement NOT LIKE '%pg_cursors%'")
        temporary = client.query(f"{hint} SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()")
        return settings, custom, cursors, temporary


if __name__ == "__main__":
    unittest.main()
