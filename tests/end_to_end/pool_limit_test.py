"""500 clients on 20 server connections per node: never more than 20, whatever `workers` is, and no client starves."""

import bisect
import collections
import glob
import os
import threading
import unittest

from harness.cluster import Cluster
from harness.processes import run

CLIENTS = 500
POOL = 20
TRANSACTIONS = 25  # of each client
OVERTAKEN_MOST = 6
SCRIPT = "\\set user random(1, 100000)\nSELECT count(*) FROM media WHERE user_id = :user;\n"


class Sampler(threading.Thread):
    """Looks at pg_stat_activity of one node until told to stop; keeps the most connections of `app` it saw."""

    def __init__(self, node):
        super().__init__()
        self.node = node
        self.most = 0
        self.stop = threading.Event()

    def run(self):
        connection = self.node.connect()
        with connection.cursor() as cursor:
            while not self.stop.wait(0.1):
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")
                self.most = max(self.most, cursor.fetchone()[0])
        connection.close()


class PoolLimit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Logging in is not what this is about, and 500 clients that prove their passwords at once take a sanitized build long.
        cls.cluster = Cluster(node_count=3, shards=12, config={"pool": {"default_pool_size": POOL}, "auth": {"type": "trust"}})
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start_nodes()
        cls.cluster.initialise()
        for node in cls.cluster.nodes:
            # The server itself refuses the 21st: a failure that sampling could miss.
            node.query(f"ALTER ROLE app CONNECTION LIMIT {POOL}")

    def check(self, workers):
        self.cluster.sections["mosaic"]["workers"] = workers
        self.cluster.write_files()
        self.cluster.mosaic.start()
        script = os.path.join(self.cluster.folder, "select.sql")
        log = os.path.join(self.cluster.folder, f"latencies-{workers}")
        with open(script, "w") as file:
            file.write(SCRIPT)
        samplers = [Sampler(node) for node in self.cluster.nodes]
        for sampler in samplers:
            sampler.start()
        address = self.cluster.address()
        done = run(["pgbench", "-n", "-c", str(CLIENTS), "-j", "1", "-t", str(TRANSACTIONS), "-M", "extended", "-f", script, "-l",
                    f"--log-prefix={log}", "-h", address["host"], "-p", str(address["port"]), "-U", address["user"],
                    address["dbname"]], env={"PGPASSWORD": address["password"], "PATH": "/usr/bin:/bin"},
                   check=False, deadline_s=120)
        for sampler in samplers:
            sampler.stop.set()
            sampler.join()
        output = done.stdout + done.stderr + self.cluster.mosaic.log_tail()
        self.assertEqual(done.returncode, 0, output)
        self.assertIn("number of failed transactions: 0 (0.000%)", output)
        for sampler in samplers:
            self.assertGreater(sampler.most, POOL // 2, "the pool was hardly used: this test shows nothing")
            self.assertLessEqual(sampler.most, POOL)
        self.check_fairness(log, workers)
        self.cluster.mosaic.clean_stop()

    def check_fairness(self, log, workers):
        """Counted in transactions of others, not in seconds, and by one thread, which counts nothing while it does not run:
        a slow or busy machine is as fair as any."""
        finished, spans = collections.Counter(), []
        for path in glob.glob(log + "*"):
            with open(path) as lines:
                for line in lines:
                    client, _, latency_us, _, second, microsecond = line.split()[:6]
                    finished[int(client)] += 1
                    end_us = int(second) * 1_000_000 + int(microsecond)
                    spans.append((end_us - int(latency_us), end_us))
        self.assertEqual(finished, {client: TRANSACTIONS for client in range(CLIENTS)})
        ends = sorted(end for _, end in spans)
        overtaken = [bisect.bisect_left(ends, end) - bisect.bisect_right(ends, begin) for begin, end in spans]
        print(f"{workers} workers: {len(spans)} transactions; others' during one: mean {sum(overtaken) // len(spans)}, "
              f"most {max(overtaken)}", flush=True)
        # In a fair queue each client is served about once while one waits.
        self.assertLessEqual(max(overtaken), OVERTAKEN_MOST * CLIENTS)

    def test_one_worker(self):
        self.check(1)

    def test_two_workers(self):
        self.check(2)

    def test_three_workers(self):
        self.check(3)


if __name__ == "__main__":
    unittest.main()
