"""pgbench over three nodes in every query mode: no failure, and every row where it belongs.

The shard function is `modulo`, so that this test knows each row's shard by itself.
"""

import re
import unittest

from harness.cluster import EndToEndTest
from harness.processes import run

SCRIPT = r"""
\set user random(1, 5000)
\set other random(1, 1000000000)
INSERT INTO users (user_id, name) VALUES (:user, 'u') ON CONFLICT (user_id) DO UPDATE SET edit_count = users.edit_count + 1;
BEGIN;
INSERT INTO media (user_id, caption) VALUES (:user, 'c') RETURNING id \gset
UPDATE media SET caption = 'seen' WHERE id = :id;
INSERT INTO likes (user_id, media_id) VALUES (:user, :id);
END;
SELECT count(*) AS found FROM media m JOIN likes l ON l.user_id = m.user_id AND l.media_id = m.id WHERE m.user_id = :user AND m.id = :id \gset
INSERT INTO follows (user_id, followee_id) VALUES (:user, 2000000000 - :other) ON CONFLICT DO NOTHING;
SELECT 1 / :found;
"""


class Pgbench(EndToEndTest):
    node_count = 3
    shards = 24
    needs_mosaic = True
    config = {"shards": {"function": "modulo"}}
    clients = 64
    each = 20  # transactions of a client: enough that every shard gets some, however slow the machine is

    def check_mode(self, mode):
        script = f"{self.cluster.folder}/work.sql"
        with open(script, "w") as file:
            file.write(SCRIPT)
        before = len(self.cluster.stored("media", "id"))
        address = self.cluster.address()
        done = run(["pgbench", "-n", "-c", str(self.clients), "-j", "2", "-t", str(self.each), "-M", mode, "-f", script,
                    "-h", address["host"], "-p", str(address["port"]), "-U", address["user"], address["dbname"]],
                   env={"PGPASSWORD": address["password"], "PATH": "/usr/bin:/bin"}, check=False, deadline_s=90)
        output = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, output)
        self.assertIn("number of failed transactions: 0 (0.000%)", output)
        finished = self.clients * self.each
        self.assertIn(f"actually processed: {finished}/{finished}", output)
        print(f"{mode}: {re.search(r'tps = [0-9.]+', output)[0]}", flush=True)
        return before, finished

    def check_places(self, before, finished):
        media = self.cluster.stored("media", "user_id, id, caption")
        self.assertEqual(len(media), before + finished)
        for _, shard, user, media_id, caption in media:
            self.assertEqual((shard, (media_id >> 10) & 8191, caption), (user % 24, user % 24, "seen"))
        self.assertEqual(len({row[3] for row in media}), len(media))
        for table in ("users", "likes", "follows"):
            for _, shard, user in self.cluster.stored(table, "user_id"):
                self.assertEqual(shard, user % 24)
        self.assertEqual({row[0] for row in media}, {"pg1", "pg2", "pg3"})
        for node in self.cluster.nodes:
            self.assertEqual(sorted({row[1] for row in media if row[0] == node.name}), self.cluster.shards_on(node))

    def test_simple(self):
        self.check_places(*self.check_mode("simple"))

    def test_extended(self):
        self.check_places(*self.check_mode("extended"))

    def test_prepared(self):
        self.check_places(*self.check_mode("prepared"))


if __name__ == "__main__":
    unittest.main()
