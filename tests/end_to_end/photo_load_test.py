"""The open-loop load generator against Mosaic and against one plain PostgreSQL: its figures add up, a target that stalls
shows in them, and one that is too slow is told apart from one that is not."""

import json
import os
import subprocess
import threading
import unittest

import psycopg2

from harness.cluster import EndToEndTest
from harness.postgres_node import APP_USER
from harness.processes import wait_until

LOAD = os.environ["MOSAIC_PHOTO_LOAD"]
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
COUNTRIES = os.path.join(SOURCE, "conf", "photos_countries.sql")
PLAIN_DATABASE = os.path.join(SOURCE, "bench", "load", "plain_database.sql")
EXIT_TOO_SLOW = 3


class PhotoLoad(EndToEndTest):
    shards = 8
    needs_mosaic = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(COUNTRIES) as countries:
            text = countries.read()
        for node in cls.cluster.nodes:
            node.query(text)

    def load(self, *options, port=None, database="photos", deadline_s=120):
        """Runs it; returns (exit code, its JSON or None, what it printed)."""
        report = os.path.join(self.cluster.folder, f"{self.id()}.json")
        conninfo = f"host=127.0.0.1 port={port or self.cluster.port} dbname={database} user=app password=app"
        done = subprocess.run(
            [LOAD, "--conninfo", conninfo, "--users", "100", "--photos", "1", "--connections", "16", "--json", report,
             *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline_s, check=False)
        print(done.stdout + done.stderr)
        if not os.path.exists(report):
            return done.returncode, None, done.stdout + done.stderr
        with open(report) as file:
            return done.returncode, json.load(file), done.stdout + done.stderr

    def assert_adds_up(self, report):
        rate = report["rate"]
        self.assertEqual(rate["completed"] + rate["unserved"], rate["due"])
        self.assertEqual(report["latency"]["count"], rate["due"])
        self.assertEqual(sum(row["completed"] for row in report["intervals"]), rate["completed"])
        self.assertEqual(sum(row["due"] for row in report["intervals"]), rate["due"])
        self.assertEqual(sum(one["count"] for one in report["operations"].values()), rate["completed"])
        percentiles = [report["latency"][key]
                       for key in ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "p99.99_ms", "max_ms")]
        self.assertEqual(percentiles, sorted(percentiles))
        self.assertEqual((report["errors"], report["lost"], report["wrong_answers"]), (0, 0, 0))

    def test_holds_a_rate_in_every_mode(self):
        for mode in ("simple", "extended", "prepared"):
            with self.subTest(mode=mode):
                code, report, _ = self.load("--rate", "60", "--mode", mode, "--warm-up", "0.5", "--duration", "3",
                                            "--arrivals", "fixed", "--threads", "2")
                self.assertEqual(code, 0)
                self.assert_adds_up(report)
                self.assertTrue(report["rate"]["kept_up"])
                self.assertEqual(report["rate"]["due"], 180)
                self.assertGreaterEqual(len(report["intervals"]), 3)

    def test_draws_the_mix_that_it_is_given(self):
        code, report, _ = self.load("--rate", "60", "--duration", "2", "--warm-up", "0", "--mix",
                                    "read_profile=3,read_photo=1")
        self.assertEqual(code, 0)
        self.assert_adds_up(report)
        self.assertEqual(set(report["operations"]), {"read_profile", "read_photo"})

    def test_reads_its_options_from_a_file(self):
        path = os.path.join(self.cluster.folder, "load.toml")
        with open(path, "w") as config:
            config.write('rate = 40\nduration = 1\nwarm-up = 0\narrivals = "fixed"\nmix = "read_feed=1"\n')
        code, report, _ = self.load("--config", path)
        self.assertEqual(code, 0)
        self.assertEqual((report["rate"]["due"], report["mix"]), (40, {"read_feed": 1}))

    def test_a_stall_of_the_target_shows_in_the_latencies(self):
        node = self.cluster.nodes[0]
        result = {}
        runner = threading.Thread(target=lambda: result.update(zip(("code", "report"), self.load(
            "--rate", "100", "--duration", "6", "--warm-up", "0", "--connections", "4", "--mix", "read_profile=1"))))
        runner.start()
        loaded = ("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND query LIKE 'SELECT user_id, name, bio%' "
                  "AND backend_start > now() - interval '1 hour'")
        wait_until(lambda: node.query(loaded)[0][0] > 0, "the load to reach the node")
        node.suspend()
        stalled = threading.Event()
        stalled.wait(1.0)  # the length of the stall is the subject, nothing is waited for
        node.resume()
        runner.join()
        # In a closed loop four statements would be slow. Here everything that was due meanwhile is.
        report = result["report"]
        self.assert_adds_up(report)
        self.assertGreater(report["latency"]["max_ms"], 900)
        self.assertGreater(report["latency"]["p90_ms"], 100)
        self.assertGreater(report["rate"]["backlog_max"], 20)
        self.assertGreater(max(row["backlog"] for row in report["intervals"]), 4)

    def test_says_when_the_target_does_not_keep_up(self):
        code, report, output = self.load("--rate", "500000", "--duration", "2", "--warm-up", "0", "--mix", "read_profile=1")
        self.assertEqual(code, EXIT_TOO_SLOW)
        self.assert_adds_up(report)
        self.assertFalse(report["rate"]["kept_up"])
        self.assertLess(report["rate"]["achieved"], report["rate"]["offered"])
        self.assertGreater(report["rate"]["unserved"], 100_000)
        self.assertIn("DID NOT KEEP UP", output)

    def test_loads_a_plain_postgresql(self):
        node = self.cluster.nodes[0]
        node.query("CREATE DATABASE plain", database="postgres")
        address = {"host": "127.0.0.1", "port": node.port, "user": "postgres", "password": "", "dbname": "plain"}
        code, _, output = self.load("--rate", "10", "--unsharded", port=node.port, database="plain")
        self.assertEqual(code, 1)
        self.assertIn("expected the application's 7 tables in public, found 0", output)
        self.cluster.psql("-v", f"user={APP_USER}", "-f", PLAIN_DATABASE, address=address)
        code, report, _ = self.load("--rate", "60", "--duration", "2", "--warm-up", "0", "--unsharded", port=node.port,
                                    database="plain")
        self.assertEqual(code, 0)
        self.assert_adds_up(report)
        self.assertEqual(report["target"], "unsharded")
        with psycopg2.connect(**address) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM users")
            self.assertEqual(cursor.fetchone()[0], 100)

    def test_fails_on_errors(self):
        for node in self.cluster.nodes:
            for shard in self.cluster.shards_on(node):
                node.query(f"ALTER TABLE shard_{shard:04}.follows RENAME TO moved")
                self.addCleanup(node.query, f"ALTER TABLE shard_{shard:04}.moved RENAME TO follows")
        code, report, _ = self.load("--rate", "50", "--duration", "1", "--warm-up", "0", "--mix", "follow=1,read_feed=1")
        self.assertEqual(code, 1)
        self.assertGreater(report["errors"], 0)
        self.assertTrue(any("42P01" in failure for failure in report["failures"]), report["failures"])

    def test_refuses_a_mistyped_operation(self):
        code, report, output = self.load("--rate", "10", "--mix", "read_profiel=1")
        self.assertEqual((code, report), (2, None))
        self.assertIn("did you mean 'read_profile'?", output)


if __name__ == "__main__":
    unittest.main()
