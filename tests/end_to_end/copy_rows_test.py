"""The shard keys that Mosaic reads out of COPY data are those that PostgreSQL stores: random data, through the program
copy_rows_oracle, which compares the two. Needs no Mosaic."""

import os
import shutil
import subprocess
import unittest

from harness.postgres_node import DATABASE, PostgresNode
from harness.processes import make_folder, seed, unprivileged_user

ROUNDS = 5000


class CopyRows(unittest.TestCase):
    def test_reads_the_keys_that_postgresql_stores(self):
        folder = make_folder(unprivileged_user())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        node = PostgresNode("pg1", folder)
        node.start()
        self.addCleanup(node.stop)
        target = f"host=127.0.0.1 port={node.port} user=postgres dbname={DATABASE}"
        done = subprocess.run([os.environ["COPY_ROWS_ORACLE"], target, str(seed()), str(ROUNDS)], capture_output=True, text=True,
                              timeout=150)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
