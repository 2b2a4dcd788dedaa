"""The soak's verdict must be able to fail: on memory and descriptors that grow, on errors, on what did not happen."""

import os
import random
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "soak"))
import verdict  # noqa: E402  (after the path)

MIB = 1 << 20


def make_samples(memory=lambda minute: 40 * MIB, descriptors=lambda minute: 150, minutes=20):
    noise = random.Random(1)
    return [{"seconds": 2.0 * i, "pss_bytes": memory(i / 30) + noise.randrange(200_000),
             "descriptors": descriptors(i / 30) + noise.randrange(8)} for i in range(minutes * 30)]


LOAD = {"errors": 0, "lost": 0, "wrong_answers": 0, "failures": [], "rate": {"completed": 1000, "kept_up": True}}
DISTURBANCES = {"counts": {"reloads": 3, "rude_clients": 5}, "unexpected": []}
AFTER = {"before_descriptors": 20, "servers": 40, "descriptors": 61}


def judge(samples=None, load=LOAD, disturbances=DISTURBANCES, after=AFTER):
    return verdict.judge(samples or make_samples(), load, disturbances, after)


class Verdict(unittest.TestCase):
    def assert_fails(self, result, name):
        self.assertFalse(result["passed"])
        self.assertEqual([check for check in result["checks"] if not result["checks"][check]["ok"]], [name])

    def test_passes_what_is_flat(self):
        result = judge()
        self.assertTrue(result["passed"], result)

    def test_allows_growth_at_the_beginning(self):
        self.assertTrue(judge(make_samples(memory=lambda minute: int(20 * MIB + min(minute, 5) * 4 * MIB)))["passed"])

    def test_allows_a_burst(self):
        self.assertTrue(judge(make_samples(memory=lambda minute: (90 if 18 < minute < 19 else 40) * MIB))["passed"])

    def test_fails_on_a_leak(self):
        # 300 KiB per minute: 3 MiB over the second half of 20 minutes.
        result = judge(make_samples(memory=lambda minute: int(40 * MIB + minute * 300 * 1024)))
        self.assert_fails(result, "memory is flat")
        self.assertAlmostEqual(result["checks"]["memory is flat"]["grew_by"], 10 * 300 * 1024, delta=100_000)

    def test_fails_on_descriptors_that_grow(self):
        self.assert_fails(judge(make_samples(descriptors=lambda minute: int(150 + 2 * minute))), "descriptors are flat")

    def test_fails_on_descriptors_that_stay_open(self):
        self.assert_fails(judge(after=dict(AFTER, descriptors=70)), "descriptors are closed")

    def test_fails_on_every_sort_of_failure(self):
        for key in ("errors", "lost", "wrong_answers"):
            self.assert_fails(judge(load=dict(LOAD, **{key: 1})), "no statement of the load failed")
        self.assert_fails(judge(load=dict(LOAD, rate={"completed": 0, "kept_up": True})),
                          "no statement of the load failed")
        self.assert_fails(judge(disturbances=dict(DISTURBANCES, unexpected=["reload: refused"])),
                          "disturbances went as expected")
        self.assert_fails(judge(disturbances={"counts": {"reloads": 0}, "unexpected": []}), "every disturbance happened")

    def test_does_not_judge_by_too_few_samples(self):
        result = judge(make_samples()[:5])
        self.assertFalse(result["checks"]["memory is flat"]["ok"])

    def test_slope_is_that_of_a_line(self):
        self.assertAlmostEqual(verdict.slope([(x, 3 * x + 1) for x in range(10)]), 3)
        self.assertEqual(verdict.slope([(1, 5)]), 0)
        self.assertLessEqual(len(verdict.thin(list(range(5000)))), 400)


if __name__ == "__main__":
    unittest.main()
