"""The cache of statement shapes under a flood of statements, through the proxy: many texts of few shapes are parsed once
per shape, many shapes stay within the cache's bytes, and the console shows it all.

By default a fiftieth of the numbers that the cache is made for; MOSAIC_SHAPE_FLOOD=full sends a million texts of a
hundred shapes and then a hundred thousand shapes to a cache of the default size, and prints what it saw."""

import os
import time
import unittest

from harness.cluster import EndToEndTest
from harness.wire_client import WireClient, query

IS_FULL = os.environ.get("MOSAIC_SHAPE_FLOOD") == "full"
HOT_SHAPES = 100
HOT_TEXTS = 1_000_000 if IS_FULL else 20_000
ONE_OFF_SHAPES = 100_000 if IS_FULL else 4_000
CACHE_BYTES = (16 if IS_FULL else 1) << 20
BATCH = 200  # statements on their way at once
READY = b"Z\x00\x00\x00\x05I"


class ShapeFlood(EndToEndTest):
    node_count = 1
    shards = 8
    config = {"mosaic": {"workers": 1}, "limits": {"shape_cache_bytes": CACHE_BYTES}}
    needs_mosaic = True

    def setUp(self):
        super().setUp()
        self.client = self.enterContext(WireClient(self.cluster.port))
        self.client.login()
        self.sent = 0

    def send(self, texts):
        """Sends statements in batches and waits for each batch's answers; an error among them fails the test."""
        batch = []
        for text in texts:
            batch.append(query(text))
            if len(batch) == BATCH:
                self.exchange(batch)
                batch = []
        self.exchange(batch)

    def exchange(self, batch):
        self.client.socket.sendall(b"".join(batch))
        self.sent += len(batch)
        ready, tail = 0, b""
        while ready < len(batch):
            received = self.client.socket.recv(1 << 16)
            self.assertTrue(received, "the proxy closed the connection")
            chunk = tail + received
            self.assertNotIn(b"SERROR\0", chunk)
            ready += chunk.count(READY)
            # What may be the beginning of a mark that the next read completes; a whole mark must not count twice.
            tail = chunk[-(len(READY) - 1):]

    def hot(self, count):
        for _ in range(count):
            self.number += 1
            shape = self.number % HOT_SHAPES
            yield f"SELECT name AS h{shape} FROM users WHERE user_id = {self.number} AND bio <> 'text {self.number}'"

    def one_off(self, count):
        for _ in range(count):
            self.number += 1
            yield f"SELECT name AS once_{self.number} FROM users WHERE user_id = {self.number}"

    number = 0

    def cache(self, title):
        """The worker's row, after the invariants that hold at any time."""
        row, = self.cluster.console("SHOW SHAPE_CACHE")
        print(f"{title}: {row}, resident {self.cluster.mosaic.resident_bytes() >> 20} MiB")
        self.assertLessEqual(row["bytes"], row["bytes_max"])
        self.assertEqual(row["bytes_max"], CACHE_BYTES)
        self.assertEqual(row["evictions"] + row["shapes"], row["misses"])
        return row

    def test_flood(self):
        before = self.cache("before")
        begin = time.monotonic()
        self.send(self.hot(HOT_TEXTS))
        texts = self.cache(f"{HOT_TEXTS} texts of {HOT_SHAPES} shapes, {time.monotonic() - begin:.0f} s")
        self.assertEqual(texts["misses"] - before["misses"], HOT_SHAPES)
        self.assertEqual(texts["hits"] - before["hits"], HOT_TEXTS - HOT_SHAPES)
        self.assertGreater(float(texts["hit_rate"]), 0.99)
        self.assertEqual(texts["evictions"], 0)
        shapes = {row["shape"]: row for row in self.cluster.console("SHOW SHAPES")}
        texts_of = {row["id"]: row for row in self.cluster.console("SHOW SHAPE_TEXTS")}
        shape = shapes["SELECT name AS h7 FROM users WHERE user_id = ? AND bio <> ?"]
        self.assertEqual((shape["placement"], shape["calls"]), ("sharded", HOT_TEXTS // HOT_SHAPES))
        self.assertGreater(texts_of[shape["id"]]["parse_us"], 0)
        self.assertGreater(texts_of[shape["id"]]["bytes"], 0)

        # One-off shapes among the hot ones: the hot ones are used again before they are the oldest.
        begin = time.monotonic()
        hot, one_off = self.hot(ONE_OFF_SHAPES), self.one_off(ONE_OFF_SHAPES)
        self.send(text for pair in zip(one_off, hot) for text in pair)
        mixed = self.cache(f"{ONE_OFF_SHAPES} one-off shapes among as many texts of hot ones, "
                           f"{time.monotonic() - begin:.0f} s")
        self.assertEqual(mixed["misses"] - texts["misses"], ONE_OFF_SHAPES)
        self.assertGreater(mixed["evictions"], ONE_OFF_SHAPES // 2)
        self.assertGreater(mixed["bytes"], CACHE_BYTES * 9 // 10)
        self.assertGreater(mixed["parse_us"], texts["parse_us"])

        # One-off shapes alone push all hot ones out; each of those is parsed once more, and that is all.
        self.send(self.one_off(ONE_OFF_SHAPES))
        scanned = self.cache(f"{ONE_OFF_SHAPES} one-off shapes alone")
        self.send(self.hot(HOT_SHAPES * 20))
        after = self.cache(f"{HOT_SHAPES * 20} texts of hot shapes")
        self.assertEqual(after["misses"] - scanned["misses"], HOT_SHAPES)
        self.assertEqual(after["hits"] + after["misses"] - before["hits"] - before["misses"], self.sent)


if __name__ == "__main__":
    unittest.main()
