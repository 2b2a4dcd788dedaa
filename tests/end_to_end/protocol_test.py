"""Every act of the repertoire on its own, compared with a direct connection: what a difference in isolation_test means."""

import random
import unittest

from harness import repertoire, wire_client as wire
from harness.cluster import EndToEndTest, is_plain
from harness.pair import Pair


class Protocol(EndToEndTest):
    node_count = 2
    shards = 8

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.cluster.create_reference()

    def pair(self, user, **parameters):
        pair = Pair(self.cluster.address(), self.reference)
        self.addCleanup(pair.abandon)  # again, should the caller fail before it does
        pair.connect(**parameters)
        pair.query(f"INSERT INTO samples (user_id, name, number, at) SELECT {user}, 'n' || n, n, '2024-05-06 07:08:09+00' "
                   f"FROM generate_series(0, 3) n")
        return pair

    def test_each_act_alone_with_many_seeds(self):
        for number, act in enumerate(repertoire.ACTS):
            for seed in range(6):
                with self.subTest(act=act.__name__, seed=seed):
                    user = 1000 + number * 100 + seed
                    with self.pair(user) as pair:
                        act(pair, random.Random(seed), user)

    def test_each_act_inside_a_transaction(self):
        for number, act in enumerate(repertoire.ACTS):
            for seed in range(4):
                with self.subTest(act=act.__name__, seed=seed):
                    user = 11000 + number * 100 + seed
                    with self.pair(user) as pair:
                        pair.query("BEGIN")
                        if seed % 2:
                            pair.query(f"SELECT count(*) FROM samples WHERE user_id = {user}")
                        act(pair, random.Random(seed), user)
                        pair.query("COMMIT")
                        repertoire.see_settings(pair, random.Random(seed), user)

    def test_each_act_inside_a_failed_transaction(self):
        for number, act in enumerate(repertoire.ACTS):
            for seed in range(2):
                with self.subTest(act=act.__name__, seed=seed):
                    user = 21000 + number * 100 + seed
                    with self.pair(user) as pair:
                        pair.query("BEGIN")
                        if seed % 2:
                            repertoire.upsert(pair, random.Random(seed), user)
                        pair.query("SELECT 1 / 0")
                        act(pair, random.Random(seed), user)
                        pair.query("ROLLBACK")
                        repertoire.select(pair, random.Random(seed), user)

    def test_startup_parameters(self):
        for user, parameters in enumerate(({"TimeZone": "Asia/Tokyo"}, {"options": "-c datestyle=German -c statement_timeout=99s"},
                           {"client_encoding": "LATIN1"}, {"extra_float_digits": "3"},
                           {"search_path": "public"}), 31000):
            with self.subTest(parameters=parameters):
                with self.pair(user, **parameters) as pair:
                    repertoire.see_settings(pair, random.Random(1), user)
                    pair.query("SET timezone = 'UTC'; SET datestyle = 'SQL'")
                    pair.query("RESET ALL")
                    repertoire.see_settings(pair, random.Random(1), user)

    def test_messages_of_the_extended_protocol_out_of_order(self):
        pair = self.pair(32000)
        pair.exchange(wire.SYNC)
        pair.exchange(wire.execute("nothing"), wire.SYNC)
        pair.exchange(wire.bind("", "nothing"), wire.SYNC)
        pair.exchange(wire.describe("P", "nothing"), wire.SYNC)
        pair.exchange(wire.close("P", "nothing"), wire.close("S", "nothing"), wire.SYNC)
        pair.exchange(wire.parse("", "SELECT $1::int", [23]), wire.bind("", "", ["x"]), wire.execute(), wire.SYNC)
        pair.exchange(wire.parse("", "SELECT 1; SELECT 2"), wire.SYNC)
        pair.exchange(wire.parse("", ""), wire.bind("", ""), wire.describe("P", ""), wire.execute(), wire.SYNC)
        pair.exchange(wire.parse("", "SELECT $1 FROM samples WHERE user_id = 32000"), wire.describe("S", ""), wire.SYNC)
        pair.exchange(wire.bind("", "", []), wire.execute(), wire.SYNC)
        pair.exchange(wire.parse("twice", "SELECT 1"), wire.parse("twice", "SELECT 2"), wire.SYNC)
        pair.exchange(wire.bind("", "twice"), wire.execute(), wire.SYNC)
        pair.exchange(wire.FLUSH, wire.SYNC)
        pair.query("SELECT 1")

    def test_transaction_control_by_the_extended_protocol(self):
        pair = self.pair(33000)

        def run(sql, *values):
            pair.exchange(wire.parse("", sql), wire.bind("", "", values), wire.describe("P", ""), wire.execute(), wire.SYNC)
        for sql in ("BEGIN", "UPDATE samples SET number = 9 WHERE user_id = 33000", "SAVEPOINT a",
                    "SELECT 1 / 0 FROM samples WHERE user_id = 33000", "ROLLBACK TO a", "SET LOCAL timezone = 'Asia/Tokyo'",
                    "SHOW timezone", "SELECT number, at FROM samples WHERE user_id = 33000 ORDER BY name", "COMMIT",
                    "SHOW timezone", "ROLLBACK", "SET timezone = 'Asia/Tokyo'", "SHOW timezone"):
            run(sql)
        run("SELECT set_config('timezone', $1, false)", "America/New_York")
        run("SELECT number, at FROM samples WHERE user_id = 33000 ORDER BY name")
        # A whole transaction in one write, with one Sync.
        pair.exchange(*[part for sql in ("BEGIN", "UPDATE samples SET number = 1 WHERE user_id = 33000", "COMMIT")
                        for part in (wire.parse("", sql), wire.bind("", ""), wire.execute())], wire.SYNC)
        repertoire.select(pair, random.Random(1), 33000)

    def test_long_sequences_of_one_client(self):
        acts, weights = list(repertoire.ACTS), list(repertoire.ACTS.values())
        for seed in range(6):
            with self.subTest(seed=seed):
                rng, user = random.Random(seed), 34000 + seed
                with self.pair(user) as pair:
                    for act in rng.choices(acts, weights, k=60):
                        act(pair, rng, user)

    @unittest.skipIf(is_plain(), "Mosaic's own refusal has no counterpart in a plain PostgreSQL")
    def test_refusal_inside_a_transaction_fails_it_like_any_error(self):
        from harness.wire_client import ServerError, WireClient
        for first in ("SELECT 1", "SELECT count(*) FROM users WHERE user_id = 7"):
            with WireClient(self.cluster.port) as client:
                client.login()
                client.query("BEGIN")
                client.query(first)
                for sql, sqlstate in (("SELECT * FROM media", "MZ010"), ("SELECT 1", "25P02"),
                                      ("SELECT count(*) FROM users WHERE user_id = 7", "25P02")):
                    client.send(wire.query(sql))
                    frames = client.take_reply()
                    with self.assertRaises(ServerError) as caught:
                        client.rows(frames)
                    self.assertEqual((caught.exception.sqlstate, frames[-1].body), (sqlstate, b"E"))
                client.send(wire.query("COMMIT"))
                self.assertEqual([frame.body for frame in client.take_reply()], [b"ROLLBACK\0", b"I"])
                self.assertEqual(client.query("SELECT 1"), [("1",)])


if __name__ == "__main__":
    unittest.main()
