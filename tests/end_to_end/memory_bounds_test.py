"""What one client can take is bounded: a huge statement, an endless pipeline, many prepared statements. Mosaic's resident size
stays below a bound that follows from the config, the client gets an answer or a clear error, and others are served meanwhile.

MOSAIC_E2E_SCALE=32 is 256 MiB of parentheses, a million messages and 100,000 statements of 1 KB; the gate's scale is 1.
"""

import os
import re
import threading
import time
import unittest

from harness import wire_client as wire
from harness.dialogue import S, B, C, E, P, Q, Speaker
from harness.oracle import OracleTest

SCALE = int(os.environ.get("MOSAIC_E2E_SCALE", "1"))
MIB = 1 << 20
STATEMENT_BYTES = 8 * MIB * SCALE
MESSAGES = 31_250 * SCALE
STATEMENTS, STATEMENT_TEXT = 3_125 * SCALE, 32768 // SCALE  # 100 MB in all, whatever the scale
# A sanitizer keeps shadow memory, a quarantine and zones around each block.
SLACK = 64 * MIB
CLEAR = re.compile("^(42601|54000|54001|54023|53200|53400|08P01|26000|57P05)$")


class Bystander:
    """Another client of the same worker, who asks all the time; `slowest_s` is its longest wait."""

    def __init__(self, mosaic, address, user):
        self._mosaic = mosaic
        self._speaker = Speaker(address, {"u": user}, silence_s=120)
        self._stop = threading.Event()
        self.slowest_s, self.answers, self.problems = 0.0, 0, []  # in seconds that Mosaic ran
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._speaker.leave()

    def _ask(self):
        while not self._stop.is_set() and not self.problems:
            begun = self._mosaic.processor_s()
            heard = [part[0] for part in self._speaker.say([Q("SELECT count(*) FROM samples WHERE user_id = {u}")])]
            self.slowest_s = max(self.slowest_s, self._mosaic.processor_s() - begun)
            self.answers += 1
            if heard != ["T", "D", "C", "Z", "parameters"]:
                self.problems.append(heard)
            self._stop.wait(0.01)


class Peak:
    """The most resident memory of Mosaic while it is looked at."""

    def __init__(self, mosaic):
        self._mosaic = mosaic
        self._stop = threading.Event()
        self.before = self.most = mosaic.resident_bytes()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _look(self):
        while not self._stop.is_set():
            self.most = max(self.most, self._mosaic.resident_bytes())
            self._stop.wait(0.02)

    @property
    def growth(self):
        return self.most - self.before


class MemoryBounds(OracleTest):
    needs_mosaic = True
    node_count = 1
    pool = 4
    config = {"limits": {"max_client_prepared_statements": 1_000_000, "statement_cache_bytes": "16MiB",
                         "shape_cache_bytes": "16MiB"}}

    def bounded(self, what, bound, act, others_wait_s=10.0):
        """Runs act() with a bystander and returns its result; Mosaic may grow by `bound` and a little."""
        self.cluster.mosaic.assert_alive()
        with Bystander(self.cluster.mosaic, self.address(), self.near[0]) as bystander, Peak(self.cluster.mosaic) as peak:
            begun = time.monotonic()
            result = act()
            took_s = time.monotonic() - begun
        print(f"{what}: grew by {peak.growth / MIB:.0f} MiB of {(bound + SLACK) / MIB:.0f}, took {took_s:.1f} s; the bystander had {bystander.answers} answers, "
              f"the slowest after {bystander.slowest_s:.2f} s", flush=True)
        self.assertEqual(bystander.problems, [])
        self.assertGreater(bystander.answers, 0)
        self.assertLess(bystander.slowest_s, others_wait_s, "another client was kept waiting")
        self.assertLess(peak.growth, bound + SLACK, what)
        self.cluster.mosaic.assert_alive()
        return result

    def test_a_huge_statement(self):
        """The statement itself is kept once, and once more on its way to the server: max_statement_bytes allows it."""
        for about, text in {"parentheses": b"(" * STATEMENT_BYTES, "commas": b"SELECT 1" + b",1" * (STATEMENT_BYTES // 2),
                            "quotes": b"SELECT " + b"''" * (STATEMENT_BYTES // 2),
                            "operators": b"SELECT 1 " + b"- " * (STATEMENT_BYTES // 2),
                            "semicolons": b";" * STATEMENT_BYTES, "names": b"SELECT " + b"a." * (STATEMENT_BYTES // 2),
                            "one comment": b"/* " + b"x" * STATEMENT_BYTES}.items():
            for spoken in ("simple", "extended") if about in ("parentheses", "names") else ("simple",):
                with self.case(f"{about}, {spoken}"):
                    speaker = Speaker(self.address(), silence_s=60)
                    self.addCleanup(speaker.leave)
                    messages = [Q(text)] if spoken == "simple" else [P("", text.decode()), S]
                    heard = self.bounded(f"{about}, {spoken}", 3 * STATEMENT_BYTES, lambda: speaker.say(messages))
                    errors = [dict(part[1:])["C"] for part in heard if part[0] == "E"]
                    self.assertTrue(errors or heard[-2:-1] == [("Z", b"I")],
                                    f"neither an error nor an answer: {[part[0] for part in heard][:5]}")
                    self.assertTrue(all(CLEAR.match(code) for code in errors), errors)
                    if not speaker.is_closed:
                        self.assertEqual([part[0] for part in speaker.say([Q("SELECT 1")])],
                                         ["T", "D", "C", "Z", "parameters"])

    def test_a_statement_that_is_too_long_is_refused(self):
        """Above max_statement_bytes nothing is kept."""
        speaker = Speaker(self.address(), silence_s=60)
        self.addCleanup(speaker.leave)
        header = b"Q" + (300 * MIB).to_bytes(4, "big")

        def announce():
            speaker.wire.send(header + b"SELECT 1")
            return speaker.wire.take_until("E")
        refused = self.bounded("an announced length", MIB, announce)
        self.assertRegex(str(wire.error_fields(refused[-1].body)), "max_statement_bytes|too (large|long)|length")

    def pipeline(self, message, expected, count):
        """Many messages without Sync, read while they are written; the seconds it took."""
        speaker = Speaker(self.address(), {"u": self.near[1]}, silence_s=300)
        self.addCleanup(speaker.leave)
        once = b"".join(part.encoded(speaker.keys) for part in message)
        chunk = once * 500
        begun = time.monotonic()
        failures = []

        def write():
            try:
                for _ in range(count // (500 * len(message))):
                    speaker.wire.send(chunk)
                speaker.wire.send(wire.SYNC)
            except (wire.ConnectionClosed, TimeoutError) as error:
                failures.append(error)
        writer = threading.Thread(target=write)
        writer.start()
        kinds = {}
        while True:
            part = speaker.wire.take_frame()
            kinds[part.type] = kinds.get(part.type, 0) + 1
            if part.type == "E":
                self.assertRegex(wire.error_fields(part.body)["C"], CLEAR)
            if part.type == "Z":
                break
        writer.join()
        self.assertEqual(failures, [])
        if "E" not in kinds:
            self.assertEqual({kind: number for kind, number in kinds.items() if kind in expected},
                             {kind: count // (500 * len(message)) * 500 for kind in expected})
        return time.monotonic() - begun

    pipelines = {
        "keyed statements": ([P("", "SELECT count(*) FROM samples WHERE user_id = {u}"), B("", ""), E()], "12C"),
        "constants": ([P("", "SELECT 1"), B("", ""), E()], "12C"),
        "Close": ([C("S", "nothing")], "3"), "settings": ([P("", "SET timezone = 'UTC'"), B("", ""), E()], "12C"),
        "Parse": ([P("", "SELECT count(*) FROM samples WHERE user_id = $1")], "1"),
        "savepoints": ([P("", "SAVEPOINT a"), B("", ""), E(), P("", "RELEASE a"), B("", ""), E()], "2C"),
    }

    def test_an_endless_pipeline(self):
        """What is owed for each message is a few bytes; nothing is kept of what has been answered."""
        for about, (message, expected) in self.pipelines.items():
            if about == "savepoints":
                continue
            with self.case(about):
                self.bounded(f"a pipeline of {about}", 64 * MESSAGES, lambda: self.pipeline(message, expected, MESSAGES))

    def test_many_prepared_statements_of_one_client(self):
        """100 MB of texts by one client, who closes none: limited by bytes, with an error that says so, or kept in bounded memory."""
        for about, text in {"keyed": "SELECT /* {n} {filler} */ number FROM samples WHERE user_id = $1",
                            "of no table": "SELECT {n} AS column_{n} /* {filler} */",
                            "one text": "SELECT 1 /* {filler} */"}.items():
            with self.case(about):
                speaker = Speaker(self.address(), silence_s=120)
                self.addCleanup(speaker.leave)
                filler = "x" * (STATEMENT_TEXT - 60)

                def prepare():
                    codes = {}
                    for first in range(0, STATEMENTS, 50):
                        messages = [message for n in range(first,
                                                           first + 50) for message in (P(f"s{n}",
                                                                   text.replace("{n}", str(n)).replace("{filler}", filler)),
                                                                   S)]
                        for part in speaker.say(messages):
                            if part[0] in "1E":
                                code = dict(part[1:])["C"] if part[0] == "E" else "prepared"
                                codes[code] = codes.get(code, 0) + 1
                        if speaker.is_closed:
                            break
                    return codes
                codes = self.bounded(f"{STATEMENTS} statements, {about}", 48 * MIB, prepare)
                print(codes, flush=True)
                self.assertTrue(all(code == "prepared" or CLEAR.match(code) for code in codes), codes)
                self.assertGreater(codes.get("prepared", 0), 100)
                if not speaker.is_closed:
                    heard = speaker.say([Q("SELECT 1"), B("", "s0", [str(self.near[0])] if about == "keyed" else []), E(),
                                         S])
                    self.assertNotIn("E", [part[0] for part in heard])


if __name__ == "__main__":
    unittest.main()
