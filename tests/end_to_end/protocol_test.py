"""Every act of the repertoire on its own, compared with a direct connection: what a difference in isolation_test means."""

import random
import unittest

from harness import repertoire, wire_client as wire
from harness.cluster import DATABASE, EndToEndTest, is_plain
from harness.pair import Pair
from harness.wire_client import ServerError, WireClient


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

    def test_replies_come_when_a_server_would_send_them(self):
        """Nothing before Sync's answer, as from a server's buffer; with Flush at once."""
        with WireClient(self.cluster.port) as client:
            client.login()
            messages = (wire.parse("", "SELECT pg_advisory_xact_lock(5)"), wire.bind("", ""), wire.execute())
            for _ in range(3):  # from the second time on Mosaic may know the statement
                with self.cluster.held_back(5):
                    client.send(*messages, wire.SYNC)
                    self.cluster.wait_for_active("pg_advisory_xact_lock(5)")
                    self.assertFalse(client.has_more())
                self.assertEqual([frame.type for frame in client.take_reply()], ["1", "2", "D", "C", "Z"])
                client.send(messages[0], wire.FLUSH)
                self.assertEqual(client.take_frame().type, "1")
                with self.cluster.held_back(5):
                    client.send(messages[0], wire.FLUSH, *messages[1:], wire.SYNC)
                    self.cluster.wait_for_active("pg_advisory_xact_lock(5)")
                    client.peek()
                    self.assertEqual(client.received, wire.frame("1"))
                self.assertEqual([frame.type for frame in client.take_reply()], ["1", "2", "D", "C", "Z"])

    def test_constants_mean_what_the_clients_settings_say(self):
        """PostgreSQL reads constants when it parses: what a server keeps for one client must not serve another's zone."""
        sql = "SELECT extract(epoch FROM '1970-01-02 00:00'::timestamptz)::int"
        hours = {"UTC": 0, "Asia/Tokyo": 9, "Etc/GMT+5": -5}
        clients = {}
        for zone in hours:
            clients[zone] = WireClient(self.cluster.port)
            self.addCleanup(clients[zone].close)
            clients[zone].login(TimeZone=zone)

        def run(client, name, is_parsed):
            client.send(*([wire.parse(name, sql)] if is_parsed else []), wire.bind("", name), wire.execute(), wire.SYNC)
            return 24 - int(client.rows(client.take_reply())[0][0]) // 3600

        for attempt in range(8):  # beyond prepare_threshold
            for zone, client in clients.items():
                with self.subTest(zone=zone, attempt=attempt):
                    self.assertEqual(run(client, "", True), hours[zone])
                    self.assertEqual(run(client, "named", attempt == 0), hours[zone])
        client = clients["UTC"]
        for name in ("", "again"):
            client.query("BEGIN")
            client.query("SET LOCAL timezone = 'Asia/Tokyo'")
            self.assertEqual(run(client, name, True), 9)
            client.query("COMMIT")
            self.assertEqual(run(client, name, True) if not name else run(client, "named", False), 0)
        client.query("SET timezone = 'Asia/Tokyo'")
        self.assertEqual(run(client, "", True), 9)
        self.assertEqual(run(clients["Etc/GMT+5"], "", True), -5)

    @unittest.skipIf(is_plain(), "a plain PostgreSQL keeps nothing that the client does not")
    def test_tables_change_behind_mosaics_back(self):
        """At most one statement meets the old plan; from then on every Parse gets a new one."""
        node = self.cluster.nodes[0]

        def alter(sql):
            node.query(sql, database=DATABASE)

        def run(client, name):
            client.send(wire.parse(name, "SELECT * FROM changing"), wire.bind("", name), wire.describe("P", ""),
                        wire.execute(), wire.SYNC)
            frames = client.take_reply()
            found = [frame for frame in frames if frame.type == "E"]
            if found:
                return wire.error_fields(found[0].body)["C"]
            return [name for name, *_ in wire.row_description(next(f for f in frames if f.type == "T").body)]

        alter("CREATE TABLE changing (a int); GRANT ALL ON changing TO PUBLIC")
        self.addCleanup(alter, "DROP TABLE changing")
        with WireClient(self.cluster.port) as first, WireClient(self.cluster.port) as second:
            first.login()
            second.login()
            for _ in range(8):  # beyond prepare_threshold: the servers keep it
                self.assertEqual(run(first, ""), ["a"])
            alter("ALTER TABLE changing ADD COLUMN b int")
            self.assertIn(run(first, ""), (["a", "b"], "0A000"))
            for _ in range(8):
                self.assertEqual(run(first, ""), ["a", "b"])
            self.assertEqual(run(second, "named"), ["a", "b"])

    @unittest.skipIf(is_plain(), "Mosaic's own refusal has no counterpart in a plain PostgreSQL")
    def test_refusal_inside_a_transaction_fails_it_like_any_error(self):
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
