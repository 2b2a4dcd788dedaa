"""Patterns of node-postgres programs, held both ways; the script is driver_node_patterns.js, this file compares what it saw.

MOSAIC_NODE_MODULES names the folder that holds the packages `pg` and `pg-cursor`.
"""

import json
import os
import re
import subprocess
import unittest

import psycopg

from harness.both_ways import BothWaysTest
from harness.cluster import SOURCE

SCRIPT = os.path.join(SOURCE, "driver_node_patterns.js")


class DriverNodePatterns(BothWaysTest):
    own_tables = ("CREATE TABLE numbers (number int PRIMARY KEY); INSERT INTO numbers SELECT n FROM generate_series(1, 20) n;"
                  "CREATE TABLE numbers_of (user_id bigint, name text)")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for address in (cls.reference, cls.cluster.address()):
            with psycopg.connect(**address, autocommit=True) as connection:
                connection.execute("INSERT INTO samples (user_id, name, number) SELECT 8200, 'n' || n, n FROM generate_series(1, 20) n ON CONFLICT DO NOTHING")

    def test_every_case_sees_the_same(self):
        modules = os.environ.get("MOSAIC_NODE_MODULES", "")
        for package in ("pg", "pg-cursor"):
            self.assertTrue(os.path.isdir(os.path.join(modules, package)),
                            f"MOSAIC_NODE_MODULES ({modules!r}) must be a folder with the npm package {package}")
        with open(SCRIPT) as source:
            cases = re.findall(r"^  async (\w+)\(", source.read(), re.MULTILINE)
        self.assertGreater(len(cases), 8)
        for case in cases:
            def conversation(address, log, case=case):
                environment = dict(os.environ, PGHOST=address["host"], PGPORT=str(address["port"]), PGUSER=address["user"],
                                   PGPASSWORD=address["password"], PGDATABASE=address["dbname"])
                try:
                    done = subprocess.run(["node", SCRIPT, case], capture_output=True, text=True, timeout=60, env=environment, check=False)
                    output, problem = done.stdout, done.stderr if done.returncode else None
                except subprocess.TimeoutExpired as error:
                    output, problem = (error.stdout or b"").decode(), "still waiting after 60 s"
                for line in output.splitlines():
                    what, value = json.loads(line)
                    log.note(what, value)
                if problem:
                    raise AssertionError(problem)
            with self.subTest(case=case):
                self.assertIn(("case", case), self.alike(conversation))
                for node in self.cluster.nodes:
                    self.assertEqual(node.query("SELECT gid FROM pg_prepared_xacts"), [])


if __name__ == "__main__":
    unittest.main()
