"""The demo's workload through Mosaic, compared row by row with its oracle - and proof that the comparison can fail:
rows lost, changed and misplaced behind Mosaic's back are found."""

import json
import os
import subprocess
import threading
import unittest

from harness.cluster import EndToEndTest
from harness.processes import wait_until

WORKLOAD = os.environ["MOSAIC_PHOTO_WORKLOAD"]
COUNTRIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "photos_countries.sql")


class PhotoWorkload(EndToEndTest):
    node_count = 2
    shards = 8
    needs_mosaic = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open(COUNTRIES) as countries:
            text = countries.read()
        for node in cls.cluster.nodes:
            node.query(text)

    def workload(self, *options, check=True):
        """Runs it; returns (exit code, its JSON)."""
        report = os.path.join(self.cluster.folder, f"{self.id()}.json")
        command = [WORKLOAD, "--conninfo", f"host=127.0.0.1 port={self.cluster.port} dbname=photos user=app password=app",
                   "--console", f"host=127.0.0.1 port={self.cluster.port} dbname=mosaic user=operator password=operator",
                   "--connections", "24", "--users", "300", "--json", report, *options]
        for node in self.cluster.nodes:
            command += ["--node", f"{node.name}=host=127.0.0.1 port={node.port} dbname=photos user=postgres"]
        if check:
            command.append("--check")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False)
        print(done.stdout + done.stderr)
        with open(report) as file:
            return done.returncode, json.load(file)

    def spoil(self, event, body):
        """Makes every shard spoil what is written to media, as a bug in routing or a lost write would."""
        for node in self.cluster.nodes:
            for shard in self.cluster.shards_on(node):
                node.query(f"""CREATE FUNCTION shard_{shard:04}.spoil() RETURNS trigger LANGUAGE plpgsql AS
                               $$ BEGIN {body} END $$;
                               CREATE TRIGGER spoil {event} ON shard_{shard:04}.media
                               FOR EACH ROW EXECUTE FUNCTION shard_{shard:04}.spoil()""")

    def repair(self):
        for node in self.cluster.nodes:
            for shard in self.cluster.shards_on(node):
                node.query(f"DROP TRIGGER IF EXISTS spoil ON shard_{shard:04}.media;"
                           f"DROP FUNCTION IF EXISTS shard_{shard:04}.spoil()")

    def spoiled_run(self, event, body, sort):
        self.spoil(event, body)
        self.addCleanup(self.repair)
        code, report = self.workload("--operations", "1500", "--mode", "simple")
        self.assertEqual(code, 1)
        self.assertGreater(report["check"]["differences"], 0)
        self.assertTrue(any(example.startswith(sort) for example in report["check"]["examples"]),
                        report["check"]["examples"])

    def test_finds_every_row_on_its_shard_in_all_query_modes(self):
        code, report = self.workload("--operations", "3000", "--servers-max", "20")
        self.assertEqual(code, 0, report["failures"])
        self.assertEqual([phase["mode"] for phase in report["phases"]], ["simple", "extended", "prepared"])
        for phase in report["phases"]:
            self.assertGreater(phase["statements"], 3000)
            self.assertEqual((phase["errors"], phase["lost"], phase["wrong_answers"]), (0, 0, 0))
        self.assertGreater(report["check"]["rows_compared"], 1000)
        self.assertEqual(sum(node["shards"] for node in report["nodes"]), self.shards)
        self.assertTrue(all(node["rows"] > 0 and node["servers_peak"] > 0 for node in report["nodes"]), report["nodes"])

    def test_finds_lost_rows(self):
        self.spoiled_run("AFTER INSERT",
                         "IF NEW.id % 7 = 0 THEN EXECUTE format('DELETE FROM %I.media WHERE id = $1', TG_TABLE_SCHEMA) "
                         "USING NEW.id; END IF; RETURN NULL;", "missing")

    def test_finds_changed_rows(self):
        self.spoiled_run("BEFORE INSERT", "NEW.width = NEW.width + 1; RETURN NEW;", "changed")

    def test_finds_rows_with_another_shards_id(self):
        self.spoiled_run("BEFORE INSERT", "NEW.id = NEW.id # 1024; RETURN NEW;", "misplaced")

    def test_allows_exactly_both_outcomes_when_a_node_dies_under_writes(self):
        victim = self.cluster.nodes[1]
        result = {}
        runner = threading.Thread(target=lambda: result.update(zip(("code", "report"), self.workload(
            "--operations", "3000", "--mode", "simple,prepared", "--tolerate-errors"))))
        runner.start()
        photos = " + ".join(f"(SELECT count(*) FROM shard_{shard:04}.media)" for shard in self.cluster.shards_on(victim))
        before = victim.query(f"SELECT {photos}")[0][0]
        wait_until(lambda: victim.query(f"SELECT {photos}")[0][0] > before + 100, "uploads to be under way")
        victim.kill()
        victim.start()
        runner.join()
        self.assertEqual(result["code"], 0, result["report"]["failures"])
        failed = sum(phase["errors"] + phase["lost"] for phase in result["report"]["phases"])
        self.assertGreater(failed, 0, "the node's death was not noticed: nothing was tested")
        self.assertEqual(result["report"]["check"]["differences"], 0)


if __name__ == "__main__":
    unittest.main()
