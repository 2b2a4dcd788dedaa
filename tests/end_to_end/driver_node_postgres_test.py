"""Ordinary use through node-postgres; the script is driver_node_postgres.js, this file starts it and reads its verdict.

MOSAIC_NODE_MODULES names the folder that holds the package `pg`.
"""

import os
import re
import subprocess
import unittest

from harness.cluster import EndToEndTest, SOURCE

SCRIPT = os.path.join(SOURCE, "driver_node_postgres.js")


class NodePostgres(EndToEndTest):
    def test_every_case_of_the_script_passes(self):
        modules = os.environ.get("MOSAIC_NODE_MODULES", "")
        self.assertTrue(os.path.isdir(os.path.join(modules, "pg")),
                        f"MOSAIC_NODE_MODULES ({modules!r}) must be a folder with the npm package pg")
        address = self.cluster.address()
        environment = dict(os.environ, PGHOST=address["host"], PGPORT=str(address["port"]), PGUSER=address["user"],
                           PGPASSWORD=address["password"], PGDATABASE=address["dbname"])
        with subprocess.Popen(["node", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=environment) as script:
            self.addCleanup(script.kill)
            lines = []
            for line in script.stdout:
                lines.append(line)
                if line.strip() == "sleeping":
                    self.cluster.wait_for_active("pg_sleep(33)")
                    script.stdin.write("cancel\n")
                    script.stdin.flush()
            status = script.wait(timeout=60)
        output = "".join(lines)
        with open(SCRIPT) as source:
            cases = re.findall(r"^  async (\w+)\(", source.read(), re.MULTILINE)
        self.assertGreater(len(cases), 10)
        self.assertEqual(status, 0, output)
        self.assertEqual(re.findall(r"^ok (\w+)$", output, re.MULTILINE), cases, output)


if __name__ == "__main__":
    unittest.main()
