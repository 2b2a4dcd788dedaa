"""Bytes that no honest client sends: no crash, no leak, bounded memory, and honest clients notice nothing."""

import os
import random
import socket
import struct
import threading
import unittest

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.processes import free_descriptors, wait_until
from harness.wire_client import ConnectionClosed, ServerError, WireClient

MEMORY_GROWTH_MAX = 150 << 20  # of the ASAN build, whose allocator keeps a good part of what was freed


class HonestClient(threading.Thread):
    """Works all the time; any error or long silence it sees fails the test."""

    def __init__(self, port, user):
        super().__init__()
        self.port, self.user = port, user
        self.stop_asked = threading.Event()
        self.problem, self.turns = None, 0

    def run(self):
        try:
            while not self.stop_asked.is_set():
                with WireClient(self.port, timeout_s=60) as client:
                    client.login()
                    for _ in range(50):
                        rows = client.query(f"SELECT name FROM users WHERE user_id = {self.user}")
                        assert rows == [("honest",)], rows
                        self.turns += 1
                        if self.stop_asked.wait(0.005):
                            break
        except Exception as error:  # shown by the test
            self.problem = error


class Garbage(EndToEndTest):
    node_count = 2
    shards = 4
    needs_mosaic = True
    config = {"pool": {"default_pool_size": 5}}

    @classmethod
    def setUpClass(cls):
        free_descriptors(12000)  # inherited by mosaic
        super().setUpClass()

    def setUp(self):
        super().setUp()
        with WireClient(self.cluster.port) as client:
            client.login()
            for user in (1, 2, 3):
                client.query(f"INSERT INTO users (user_id, name) VALUES ({user}, 'honest') ON CONFLICT (user_id) DO NOTHING")
        self.resident_before = self.cluster.mosaic.resident_bytes()
        self.honest = [HonestClient(self.cluster.port, user) for user in (1, 2, 3)]
        for client in self.honest:
            client.start()

    def tearDown(self):
        turns = [client.turns for client in self.honest]
        try:
            wait_until(lambda: all(client.problem or client.turns > turn for client, turn in zip(self.honest, turns)),
                       "the honest clients to go on")
        finally:
            for client in self.honest:
                client.stop_asked.set()
            for client in self.honest:
                client.join(30)
        self.cluster.mosaic.assert_alive()
        for client in self.honest:
            self.assertIsNone(client.problem)
        growth = self.cluster.mosaic.resident_bytes() - self.resident_before
        self.assertLess(growth, MEMORY_GROWTH_MAX, f"resident memory grew by {growth >> 20} MB")

    def raw(self):
        client = WireClient(self.cluster.port, timeout_s=20)
        self.addCleanup(client.close)
        return client

    def offer(self, client, data):
        """Sends bytes that mosaic may refuse at any moment by closing; returns what it said before, if anything."""
        try:
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            return client.take_close()
        except (ConnectionClosed, OSError):
            return b""

    def test_random_bytes_instead_of_a_login(self):
        rng = random.Random(1)
        for _ in range(300):
            self.offer(self.raw(), rng.randbytes(rng.choice([1, 4, 8, 9, 100, 5000])))

    def test_startup_packets_of_impossible_length(self):
        for length in (-1, -2 ** 31, 0, 1, 3, 4, 7, 2 ** 31 - 1, 10 ** 9, 10 ** 6):
            with self.subTest(length=length):
                client = self.raw()
                client.send(struct.pack("!i", length) + b"\0\3\0\0user\0app\0\0")
                answer = client.take_close() if length < 8 or length > 10_000 else b""
                self.assertIn(answer[:1], (b"", b"E"))

    def test_malformed_startup_packets(self):
        for body in (b"", b"\0", b"user", b"user\0", b"user\0app", b"user\0app\0", b"\0\0", b"user\0\0\0", b"a\0b\0" * 2000 + b"\0",
                     b"user\0app\0user\0other\0\0", b"user\0" + b"x" * 5000 + b"\0\0", b"database\0photos\0\0",
                     b"user\0app\0options\0-c\0\0", b"user\0app\0options\0--=\0\0", b"user\0\xff\xfe\0\0"):
            with self.subTest(body=body[:40]):
                client = self.raw()
                answer = self.offer(client, struct.pack("!ii", len(body) + 8, wire.PROTOCOL_3_0) + body)
                self.assertIn(answer[:1], (b"", b"E", b"R"))

    def test_endless_encryption_requests(self):
        client = self.raw()
        request = struct.pack("!ii", 8, wire.SSL_REQUEST)
        self.assertLess(len(self.offer(client, request * 1000)), 2000)

    def test_tls_hello_without_asking(self):
        self.offer(self.raw(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500))

    def test_http_and_redis_greetings(self):
        self.offer(self.raw(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.offer(self.raw(), b"*1\r\n$4\r\nPING\r\n")

    def test_random_bytes_after_login(self):
        rng = random.Random(2)
        for _ in range(100):
            self.offer(self.raw().login(), rng.randbytes(rng.choice([1, 4, 5, 9, 100, 5000])))

    def test_frames_of_impossible_length(self):
        for kind in "QPBDESXCHdcfpF":
            for length in (-1, -2 ** 31, 0, 3, 2 ** 31 - 1):
                with self.subTest(kind=kind, length=length):
                    client = self.raw().login()
                    client.send(kind.encode() + struct.pack("!i", length) + b"some bytes")
                    if length < 4:
                        self.assertIn(client.take_close()[:1], (b"E", b""))  # PostgreSQL closes without a word
                    else:
                        self.offer(client, b"x" * 100_000)

    def test_unknown_frame_types(self):
        for code in range(256):
            kind = chr(code)
            if kind in "QPBDESXCHdcfpF":
                continue
            client = self.raw().login()
            answer = self.offer(client, bytes([code]) + struct.pack("!i", 4))
            self.assertEqual(answer[:1], b"E", f"frame type {code}")
            self.assertIn(b"C08P01\0", answer)

    def test_malformed_bodies(self):
        rng = random.Random(3)
        good = [wire.parse("s", "SELECT $1::int", [23]), wire.bind("", "s", ["1", None], [0, 1], [0]), wire.describe("S", "s"),
                wire.execute("", 5), wire.close("P", "x"), wire.query("SELECT 1")]
        for _ in range(400):
            client = self.raw().login()
            message = bytearray(rng.choice(good))
            if rng.random() < 0.5:
                message = message[:rng.randrange(5, len(message))]  # cut, with a length that fits
            else:
                message[rng.randrange(5, len(message))] = rng.randrange(256)
            message[1:5] = struct.pack("!i", len(message) - 1)
            client.send(bytes(message), wire.SYNC)
            try:
                self.assertIn(client.take_until("ZE")[-1].type, "ZE")
            except ConnectionClosed:
                pass
            client.close()

    def test_counts_that_promise_more_than_the_message_holds(self):
        for body in (b"\0\0" + struct.pack("!h", 32767), b"\0\0" + struct.pack("!h", -1),
                     b"\0\0" + struct.pack("!hh", 0, 32767), b"\0\0" + struct.pack("!hhi", 0, 1, 2 ** 31 - 1),
                     b"\0\0" + struct.pack("!hhi", 0, 1, -2), b"\0\0" + struct.pack("!hhh", 0, 0, 32767)):
            client = self.raw().login()
            client.send(wire.parse("", "SELECT $1::text"), wire.frame("B", body), wire.execute(), wire.SYNC)
            error = next(frame for frame in client.take_until("EZ") if frame.type in "EZ")
            self.assertEqual(error.type, "E")
            self.assertIn(b"C08P01\0", error.body)

    def test_function_calls_that_can_not_be_read(self):
        client = self.raw().login()
        for body in (b"", b"\0", struct.pack("!ihhi", 1598, 0, 1, 2 ** 31 - 1), struct.pack("!ihh", 1598, 32767, 0)):
            client.send(wire.frame("F", body))
            frames = client.take_reply()
            self.assertEqual([frame.type for frame in frames], ["E", "Z"])
            self.assertIn(b"C08P01\0", frames[0].body)
        client.send(wire.frame("F", struct.pack("!ihhh", 1598, 0, 0, 0)))  # random()
        self.assertEqual([frame.type for frame in client.take_reply()], ["V", "Z"])
        self.assertEqual(client.query("SELECT 1"), [("1",)])

    def test_copy_messages_outside_of_copy_are_ignored(self):
        # PostgreSQL manual, "COPY Operations": the backend ignores them, for they may follow a failed COPY.
        client = self.raw().login()
        client.send(wire.frame("d", b"x\n"), wire.frame("c"), wire.frame("f", b"no\0"))
        self.assertEqual(client.query("SELECT 1"), [("1",)])

    def test_statement_that_never_ends_does_not_fill_the_memory(self):
        before = self.cluster.mosaic.resident_bytes()
        clients = []
        for _ in range(8):  # each promises 200 MB, which max_statement_bytes allows, and sends a little
            client = self.raw().login()
            client.send(b"Q" + struct.pack("!i", 200 << 20) + b"SELECT '" + b"x" * 100_000)
            clients.append(client)
        wait_until(lambda: all(client.is_all_taken() for client in clients), "mosaic to take what was sent")
        growth = self.cluster.mosaic.resident_bytes() - before
        print(f"8 statements of 200 MB, begun: {growth >> 20} MB", flush=True)
        self.assertLess(growth, 100 << 20)
        self.assertFalse(any(client.has_more() for client in clients), "they were refused: this shows nothing")

    def test_client_that_does_not_read_holds_bounded_memory(self):
        before = self.cluster.mosaic.resident_bytes()
        sleepy = self.raw().login()
        sleepy.send(wire.query("/* mosaic user_id=9 */ SELECT repeat('x', 10000) FROM generate_series(1, 20000)"))
        node = self.cluster.wait_for_active("generate_series(1, 20000)")
        looks = []

        def is_held_up():
            """The server has had nowhere to write for twenty looks."""
            self.assertLess(self.cluster.mosaic.resident_bytes() - before, 60 << 20,
                            "200 MB of result are on their way to a client that does not read")
            looks.append(node.query("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'")[0][0])
            return len(looks) >= 20 and all(looks[-20:])
        wait_until(is_held_up, "the server to be held up", deadline_s=60)
        self.assertEqual(len([frame for frame in sleepy.take_reply() if frame.type == "D"]), 20000)

    def test_thousands_of_half_open_logins(self):
        before = self.cluster.mosaic.resident_bytes()
        halves = (b"", struct.pack("!i", 100), wire.startup_packet(user="app", database="photos")[:20],
                  wire.startup_packet(user="app", database="photos"))
        sockets = []
        try:
            for number in range(5000):
                half = socket.create_connection(("127.0.0.1", self.cluster.port), timeout=20)
                half.sendall(halves[number % len(halves)])
                sockets.append(half)
            with WireClient(self.cluster.port, timeout_s=20) as client:
                client.login()
                self.assertEqual(client.query("SELECT name FROM users WHERE user_id = 1"), [("honest",)])
            wait_until(lambda: len(os.listdir(f"/proc/{self.cluster.mosaic.pid}/fd")) >= 5000, "mosaic to accept them all")
            growth = self.cluster.mosaic.resident_bytes() - before
            print(f"5000 half-open logins: {growth >> 20} MB, {growth // 5000} bytes each", flush=True)
            self.assertLess(growth, MEMORY_GROWTH_MAX)
        finally:
            for half in sockets:
                half.close()
        wait_until(lambda: len(os.listdir(f"/proc/{self.cluster.mosaic.pid}/fd")) < 200, "mosaic to close its ends")


class LoginTimeout(EndToEndTest):
    node_count = 1
    shards = 2
    needs_mosaic = True
    config = {"limits": {"client_login_timeout": 1}}

    def wait_for_the_timeout(self, part):
        """A login that stops at `part` is closed, and so the timeout has passed for whoever came before."""
        with WireClient(self.cluster.port, timeout_s=60) as client:
            client.send(part)
            client.take_close()

    def test_half_open_login_is_closed_after_the_timeout(self):
        for part in (b"", struct.pack("!i", 100), wire.startup_packet(user="app", database="photos")):
            self.wait_for_the_timeout(part)

    def test_logged_in_client_is_not(self):
        with WireClient(self.cluster.port, timeout_s=60) as client:
            client.login()
            self.wait_for_the_timeout(b"")
            self.assertFalse(client.has_more())
            self.assertEqual(client.query("SELECT 1"), [("1",)])


if __name__ == "__main__":
    unittest.main()
