"""What happens beside the load: configuration reloads, clients that come and go politely and rudely, cancelled
statements. Each runs on a thread of its own until stopped, counts what it did, and keeps what it did not expect."""

import random
import socket
import struct
import threading

import psycopg2
import psycopg2.errors

from harness.wire_client import WireClient, query

FIRST_USER = 1_000_000_000  # far from the load's users
STATEMENTS_PER_CLIENT = 4
UNEXPECTED_MAX = 50  # kept; more are counted only


class Disturbances:
    def __init__(self, cluster):
        self.cluster = cluster
        self.counts = {"reloads": 0, "polite_clients": 0, "rude_clients": 0, "cancelled_statements": 0}
        self.unexpected = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._repeat, args=arguments, daemon=True) for arguments in (
            (self._reload, 5.0), (self._polite_client, 0.3), (self._rude_client, 0.5), (self._cancel, 0.5))]

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return {"counts": dict(self.counts), "unexpected": list(self.unexpected)}

    def _repeat(self, act, pause_s):
        chance = random.Random(pause_s)
        while not self._stop.wait(pause_s * chance.uniform(0.5, 1.5)):
            try:
                act(chance)
            except Exception as error:  # whatever it is belongs into the verdict, and the soak goes on
                with self._lock:
                    if len(self.unexpected) < UNEXPECTED_MAX:
                        self.unexpected.append(f"{act.__name__.strip('_')}: {type(error).__name__}: {error}")

    def _count(self, name):
        with self._lock:
            self.counts[name] += 1

    def _reload(self, _):
        self.cluster.console("RELOAD")
        self._count("reloads")

    def _polite_client(self, chance):
        connection = psycopg2.connect(**self.cluster.address())
        try:
            cursor = connection.cursor()
            for _ in range(STATEMENTS_PER_CLIENT):
                user = FIRST_USER + chance.randrange(1000)
                cursor.execute("INSERT INTO users (user_id, name) VALUES (%s, 'churn') ON CONFLICT DO NOTHING", (user,))
                cursor.execute("SELECT name FROM users WHERE user_id = %s", (user,))
                if cursor.fetchall() != [("churn",)]:
                    raise AssertionError(f"user {user} was written and not found")
                connection.commit()
        finally:
            connection.close()
        self._count("polite_clients")

    def _rude_client(self, chance):
        """Leaves inside a transaction, in the middle of a message, or without waiting for its answer."""
        client = WireClient(self.cluster.port)
        try:
            client.login()
            user = FIRST_USER + chance.randrange(1000)
            client.query("BEGIN")
            client.query(f"SELECT name FROM users WHERE user_id = {user}")
            manner = chance.randrange(4)
            if manner == 1:
                client.send(query(f"SELECT * FROM media WHERE user_id = {user}")[:-7])
            elif manner == 2:
                client.send(query(f"SELECT count(*) FROM media m, generate_series(1, 10000) WHERE m.user_id = {user}"))
            elif manner == 3:
                # A reset instead of an orderly end.
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            client.socket.close()
        self._count("rude_clients")

    def _cancel(self, _):
        connection = psycopg2.connect(**self.cluster.address())
        connection.autocommit = True
        done = threading.Event()

        def cancel_until_done():
            while not done.wait(0.2):
                connection.cancel()

        canceller = threading.Thread(target=cancel_until_done)
        canceller.start()
        try:
            cursor = connection.cursor()
            # The WHERE keeps it on one shard; an aggregate sleeps whether a row is there or not.
            cursor.execute("SELECT count(*), pg_sleep(30) FROM users WHERE user_id = %s", (FIRST_USER,))
            raise AssertionError("a statement ran to its end although it was cancelled")
        except psycopg2.errors.QueryCanceled:
            self._count("cancelled_statements")
        finally:
            done.set()
            canceller.join()
            connection.close()
