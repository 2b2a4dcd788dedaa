"""The shard keys that Mosaic reads out of COPY data are those that PostgreSQL stores: random data, through the program
copy_rows_oracle, which compares the two. Needs no Mosaic."""

import os
import random
import shutil
import subprocess
import unittest

from harness.postgres_node import DATABASE, PostgresNode
from harness.processes import make_folder, unprivileged_user

ROUNDS = 5000


class CopyRows(unittest.TestCase):
    def test_reads_the_keys_that_postgresql_stores(self):
        folder = make_folder(unprivileged_user())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        node = PostgresNode("pg1", folder)
        node.start()
        self.addCleanup(node.stop)
        seed = os.environ.get("MOSAIC_E2E_SEED") or str(random.SystemRandom().randrange(10 ** 6))
        print(f"MOSAIC_E2E_SEED={seed}", flush=True)
        target = f"host=127.0.0.1 port={node.port} user=postgres dbname={DATABASE}"
        done = subprocess.run([os.environ["COPY_ROWS_ORACLE"], target, seed, str(ROUNDS)], capture_output=True, text=True,
                              timeout=150)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
