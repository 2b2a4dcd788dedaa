"""Statements of very many words are refused in bounded memory while others work on; large ones that are legal run."""

import threading
import unittest

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.wire_client import ServerError, WireClient

SIZE = 64 << 20
# A message, its copies as a prepared statement, buffers that grow by doubling, and what a sanitizer keeps of freed memory.
# Tokens of all words would add 12 times the text, and as much again half while they grow.
PEAK_MAX = 900 << 20


class LargeStatement(EndToEndTest):
    needs_mosaic = True

    def client(self):
        client = WireClient(self.cluster.port, timeout_s=120)
        self.addCleanup(client.close)
        return client.login()

    def refused(self, client, *messages):
        client.send(*messages)
        with self.assertRaises(ServerError) as refused:
            client.rows(client.take_reply())
        self.assertEqual(refused.exception.sqlstate, "54000")
        self.assertIn("1000000 words", refused.exception.message)

    def test_very_many_words_are_refused(self):
        client, other = self.client(), self.client()
        other.query("INSERT INTO users (user_id, name) VALUES (1, 'other') ON CONFLICT DO NOTHING")
        before = self.cluster.mosaic.peak_resident_bytes()
        is_done, seen = threading.Event(), []

        def work_on():
            while not is_done.is_set():
                seen.append(other.query("SELECT name FROM users WHERE user_id = 1"))

        worker = threading.Thread(target=work_on)
        worker.start()
        try:
            for text in (b"(" * SIZE, b"a " * (SIZE // 2), b"SELECT " + b"'' " * (SIZE // 3)):
                self.refused(client, wire.frame("Q", text + b"\0"))
            self.refused(client, wire.frame("P", b"\0" + b"[(" * (SIZE // 2) + b"\0\0\0"), wire.bind("", ""), wire.execute(),
                         wire.SYNC)
        finally:
            is_done.set()
            worker.join(60)
        self.assertTrue(seen and all(rows == [("other",)] for rows in seen))
        self.assertLess(self.cluster.mosaic.peak_resident_bytes() - before, PEAK_MAX)
        self.assertEqual(client.query("SELECT 1"), [("1",)])

    def test_large_statements_run(self):
        client = self.client()
        long = "x" * (50 << 20)
        self.assertEqual(client.query(f"INSERT INTO samples (user_id, name, raw) VALUES (1, 'long', '{long}') "
                                      "RETURNING length(raw)"), [(str(len(long)),)])
        client.query("INSERT INTO users (user_id, name) VALUES (1, 'other') ON CONFLICT DO NOTHING")
        many = ", ".join(map(str, range(100_000)))
        self.assertEqual(client.query(f"SELECT name FROM users WHERE user_id = 1 AND user_id IN ({many})"), [("other",)])


if __name__ == "__main__":
    unittest.main()
