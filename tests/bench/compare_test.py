"""The benchmark's arithmetic and its report, on figures whose answers are known. Needs no PostgreSQL and no peer."""

import json
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from compare import generator_output, measure, moves_series, plan, publication  # noqa: E402  (after the path is set)
from compare.comparison import compare  # noqa: E402
from compare.micro import read_benchmarks  # noqa: E402
from compare.report import table, write_report  # noqa: E402
from compare.results import Point, Results  # noqa: E402
from compare.targets import MISSED, NOT_MEASURED, REACHED, at_least, at_most, judge  # noqa: E402


def made_results(mosaic_cpu=(9.0, 10.0, 20.0), began="2026-01-02 03:04"):
    """A run of one comparison: PgBouncer needs 10, 20 and 20 us in three rounds."""
    results = Results("pg", {"name": "made", "rounds": 3}, {"processor": "made", "cores": 2}, {"Mosaic": "mosaic 0"}, began)
    labels = {"protocol": "simple", "clients": 256}
    for peer, cpus in (("mosaic", mosaic_cpu), ("pgbouncer", (10.0, 20.0, 20.0))):
        rounds = [{"tps": 1000.0 * (number + 1), "p50_ms": 1.0, "p99_ms": 2.0, "cpu_us": cpu}
                  for number, cpu in enumerate(cpus)]
        results.points.append(Point("turns", dict(labels), peer, rounds, {}, f"pgbench {peer}"))
    results.points.append(Point("turns", {"protocol": "prepared", "clients": 256}, "pgbouncer", problem="can not"))
    return results


class Arithmetic(unittest.TestCase):
    def test_percentile_is_the_nearest_rank(self):
        hundred = list(range(1, 101))
        for fraction, expected in ((0.5, 50), (0.99, 99), (0.999, 100), (1, 100), (0.001, 1)):
            self.assertEqual(measure.percentile(hundred, fraction), expected, fraction)
        self.assertEqual(measure.percentile([7], 0.5), 7)
        self.assertEqual(measure.percentile([1, 2, 3, 4, 1000], 0.99), 1000)

    def test_percentile_refuses_what_has_none(self):
        with self.assertRaises(ValueError):
            measure.percentile([], 0.5)
        for fraction in (0, -1, 50):
            with self.assertRaises(ValueError):
                measure.percentile([1], fraction)

    def test_median(self):
        self.assertEqual(measure.median([3, 1, 2]), 2)
        self.assertEqual(measure.median([4, 1, 2, 3]), 2.5)

    def test_paired_ratio_cancels_what_slows_a_whole_round(self):
        self.assertEqual(measure.paired_ratio([1, 10, 3], [2, 20, 6]), 0.5)
        self.assertIsNone(measure.paired_ratio([], [1]))
        self.assertIsNone(measure.paired_ratio([1], [0]))

    def test_fairness(self):
        self.assertEqual(measure.fairness([5, 5, 5, 5]), 1)
        self.assertEqual(measure.fairness([8, 0, 0, 0]), 0.25)
        self.assertEqual(measure.fairness([0, 0]), 0)

    def test_strace_table(self):
        summary = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.001000           1      1000           recvfrom
 40.00    0.000500           1       500         3 sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.001500           1      1500         3 total
"""
        self.assertEqual(measure.parse_strace(summary), {"recvfrom": 1000, "sendto": 500})

    def test_processor_time_of_this_process_grows(self):
        before = measure.cpu_seconds(os.getpid())
        sum(number * number for number in range(300_000))
        self.assertGreater(measure.cpu_seconds(os.getpid()), before)
        self.assertGreaterEqual(measure.resident_bytes(os.getpid()), measure.proportional_bytes(os.getpid()) // 2)


class GeneratorOutput(unittest.TestCase):
    def test_only_transactions_of_the_window_count(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "transactions.1"), "w") as log:
                # client, number, latency, script, second, microsecond: one transaction each 100 ms of 10 clients' first two
                for number in range(40):
                    log.write(f"{number % 2} {number} {1000 + number} 0 {100 + number // 10} {number % 10 * 100000:06}\n")
            transactions = generator_output.read_transactions(os.path.join(folder, "transactions"))
        self.assertEqual(len(transactions), 40)
        sampler = measure.Sampler(None)
        sampler.samples = [measure.Sample(100 + tick * 0.25, tick * 0.01) for tick in range(17)]
        window = generator_output.metrics_window(transactions, sampler, 1.0, 2.0)
        metrics = generator_output.window_metrics(*window, 4)
        self.assertEqual((window[1].time_s, window[2].time_s), (101.0, 103.0))
        self.assertAlmostEqual(metrics["tps"], 10)
        self.assertAlmostEqual(metrics["cpu_us"], 0.08 * 1e6 / 20)
        self.assertEqual(metrics["p50_ms"], 1.020)  # transactions 11 to 30
        self.assertEqual(metrics["fairness"], 0.5)  # two of four clients had nothing
        self.assertEqual(metrics["least_served"], 0)

    def test_no_window_after_the_last_transaction(self):
        sampler = measure.Sampler(None)
        sampler.samples = [measure.Sample(100.0 + tick, 0.0) for tick in range(5)]
        self.assertIsNone(generator_output.metrics_window([(100.0, 5, 0), (100.5, 5, 0)], sampler, 1.0, 2.0))
        self.assertIsNone(generator_output.metrics_window([], sampler, 1.0, 2.0))

    def test_sysbench_report(self):
        text = """    transactions:                        1200   (400.00 per sec.)
    queries:                             19200  (6400.00 per sec.)
         99th percentile:                       12.50
"""
        self.assertEqual(generator_output.sysbench_metrics(text, 0.6), {
            "tps": 400.0, "qps": 6400.0, "p99_ms": 12.5, "cpu_us": 500.0, "cpu_us_per_query": 31.25})
        with self.assertRaises(generator_output.LoadFailed):
            generator_output.sysbench_metrics("FATAL: no", None)

    def test_google_benchmark(self):
        document = {"benchmarks": [
            {"name": "a", "run_name": "a", "run_type": "iteration", "cpu_time": 2.0, "time_unit": "us", "allocations": 0.0},
            {"name": "a", "run_name": "a", "run_type": "iteration", "cpu_time": 4.0, "time_unit": "us", "allocations": 0.0},
            {"name": "a_mean", "run_name": "a", "run_type": "aggregate", "cpu_time": 3.0, "time_unit": "us"},
            {"name": "b", "run_type": "iteration", "error_occurred": True, "error_message": "refused"}]}
        a, b = read_benchmarks("micro_x", document)
        self.assertEqual((a.value("cpu_ns"), a.value("allocations"), len(a.rounds)), (3000.0, 0.0, 2))
        self.assertEqual((b.problem, b.rounds), ("refused", []))


class Verdicts(unittest.TestCase):
    def test_tell_by_how_much_a_target_is_missed(self):
        self.assertEqual(at_most("l", "t", 0.9, 0.9).verdict, REACHED)
        self.assertEqual(at_most("l", "t", 1.8, 0.9).verdict, f"{MISSED} by 100 %")
        self.assertEqual(at_least("l", "t", 1.0, 1).verdict, REACHED)
        self.assertEqual(at_least("l", "t", 0.75, 1).verdict, f"{MISSED} by 25 %")
        self.assertEqual(at_most("l", "t", 2.0, 0, "allocations").verdict, MISSED)
        self.assertEqual(at_most("l", "t", None, 1).verdict, NOT_MEASURED)

    def test_compare_round_by_round(self):
        results = made_results()
        mosaic, pgbouncer = results.points[:2]
        self.assertEqual(results.ratio("cpu_us", mosaic, pgbouncer), 0.9)  # 0.9, 0.5, 1.0
        row = next(row for row in judge(results) if row.verdict != NOT_MEASURED)
        self.assertEqual((row.result, row.verdict), ("0.90 x", REACHED))

    def test_nothing_measured_is_said_in_each_row(self):
        empty = Results("pg", {"name": "made"}, {}, {}, "2026-01-02 03:04")
        rows = judge(empty)
        self.assertGreater(len(rows), 20)
        self.assertEqual({row.verdict for row in rows}, {NOT_MEASURED})


def moves_results(pauses=(10.0, 20.0), errors=0, findings=0, begun=2):
    results = Results("moves", {"name": "made"}, {}, {}, "2026-01-02 03:04")
    results.points.append(Point("moves", {"size of the shard": "1 GB"}, "moves",
                                [{"write_pause_ms": pause, "gap_ms": pause + 1, "size_mb": 1024.0} for pause in pauses]))
    for peer, p99s in (("while a shard moves", (4.0, 9.0, 2.0)), ("while none does", (2.0, 9.0, 2.0))):
        results.points.append(Point("moves_others", {"size of the shard": "1 GB"}, peer, [{"p99_ms": p99} for p99 in p99s]))
    results.facts.update({"moves begun": begun, "moves complete": len(pauses), "their errors, and writes lost or doubled": findings,
                          "its errors, lost connections and wrong answers": errors})
    return results


class Moves(unittest.TestCase):
    def verdicts(self, **figures):
        return [(row.result, row.verdict) for row in judge(moves_results(**figures))]

    def test_targets_of_a_good_run(self):
        self.assertEqual(self.verdicts(), [
            ("0 moves", REACHED), ("0 errors", REACHED), ("0 findings", REACHED), ("20 ms", REACHED), ("21 ms", REACHED),
            ("1.00 x", REACHED)])  # 2, 1, 1

    def test_each_target_can_be_missed(self):
        rows = self.verdicts(pauses=(10.0, 75.0), errors=1, findings=2, begun=3)
        self.assertEqual([result for result, verdict in rows if verdict.startswith(MISSED)],
                         ["1 moves", "1 errors", "2 findings", "75 ms", "76 ms"])

    def test_nothing_measured_is_said(self):
        rows = judge(Results("moves", {"name": "made"}, {}, {}, "2026-01-02 03:04"))
        self.assertEqual({row.verdict for row in rows}, {NOT_MEASURED})

    def test_a_window_puts_the_intervals_of_all_generators_together(self):
        def line(end_s, completed, *buckets):
            return json.dumps({"end_s": end_s, "seconds": 1.0, "completed": completed, "errors": 1, "backlog": completed,
                               "buckets_ns": buckets}) + "\n"
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in "ab"]
            series = moves_series.Series(paths)
            self.assertFalse(series.has_begun())
            for path, count in zip(paths, (98, 1)):
                with open(path, "w") as file:
                    file.write(line(11.0, 7, [9_000_000, 7]) + line(12.0, count, [2_000_000, count]))
                    file.write(line(13.0, 1, [5_000_000, 1]) + line(14.0, 9)[:20])  # being written
            self.assertTrue(series.reaches(13.0))
            self.assertFalse(series.reaches(13.5))
            self.assertEqual(series.window(11.2, 13.0), {"tps": 50.5, "p50_ms": 2.0, "p99_ms": 5.0})
            self.assertIsNone(series.window(20.0, 30.0))
            self.assertEqual((series.total("errors"), series.backlog_since(13.0), series.backlog_since(14.0)), (6, 2, None))

    def test_gaps_between_acknowledged_writes(self):
        turns = [(0.9, 1.0), (1.0, 1.01), (1.02, 1.25), (1.2, 1.26)]
        self.assertEqual(moves_series.longest_gap(turns), (1.01, 1.25))
        self.assertAlmostEqual(moves_series.slowest(turns), 0.23)
        self.assertEqual(moves_series.per_second(turns, 1.0, 0.125, 3), [16.0, 0.0, 16.0])
        self.assertEqual((moves_series.longest_gap([]), moves_series.slowest([])), ((0.0, 0.0), 0.0))

    def test_sizes_are_spread_by_their_logarithms(self):
        self.assertEqual(plan.spread_mb(1, 16, 5), (1, 2, 4, 8, 16))
        self.assertEqual(len(plan.FULL_MOVES.sizes_mb), 50)
        self.assertEqual(plan.FULL_MOVES.sizes_mb.count(1024), 2)

    def test_report_and_readme(self):
        results = moves_results()
        results.series["moves_timeline"] = {"moved": [1.0]}
        self.assertEqual(Results.from_json(json.loads(json.dumps(results.as_json()))).as_json(), results.as_json())
        self.assertIn("| 1 GB | moves | 1,024.0 | 15.0 (10.0-20.0) | 16.0 (11.0-21.0) |", write_report(results))
        with open(os.path.join(ROOT, "bench", "README.md")) as file:
            readme = file.read()
        text = publication.with_latest(readme, results, "results/x")
        begin, end = readme.index("## Moving shards"), readme.index("## The latest published report")
        self.assertEqual((text[:begin], text[text.index("## The latest published report"):]), (readme[:begin], readme[end:]))
        self.assertIn("](results/x/moves_pauses.svg)", text)


class Reports(unittest.TestCase):
    def test_survives_json(self):
        results = made_results()
        again = Results.from_json(json.loads(json.dumps(results.as_json())))
        self.assertEqual(again.as_json(), results.as_json())
        self.assertEqual(write_report(again), write_report(results))

    def test_shows_median_spread_ratio_and_problem(self):
        text = write_report(made_results(), {"turns": ["turns_cpu_us.svg"]})
        self.assertIn("| simple | 256 | mosaic | 2,000 (1,000-3,000) | 1.00 | 2.00 | 10.0 (9.0-20.0) | 0.90 |", text)
        self.assertIn("No figures for turns/prepared/256/pgbouncer: can not.", text)
        self.assertIn("![Point select, in short turns](turns_cpu_us.svg)", text)
        self.assertIn("turns/simple/256/mosaic\n    pgbench mosaic", text)
        self.assertNotIn("## Workers", text)

    def test_shows_system_calls_by_name(self):
        results = made_results()
        results.points[0].once = {"syscalls": 4.5, "syscalls_recvfrom": 2.0}
        results.facts["server_statements_simple"] = 1.0
        text = write_report(results)
        self.assertIn("| protocol | clients | contender | all | recvfrom |", text)
        self.assertIn("| simple | 256 | mosaic | 4.50 | 2.00 |", text)
        self.assertIn("| server_statements_simple | 1.0 |", text)

    def test_comparison_gives_ratios_of_common_points(self):
        old = made_results((5.0, 5.0, 5.0), "2025-01-01 00:00")
        old.points.pop(1)
        changes = compare(made_results(), old)
        self.assertEqual([change.key for change in changes], ["turns/simple/256/mosaic"])
        self.assertEqual(changes[0].ratios, {"throughput": 1.0, "p99": 1.0, "CPU": 2.0})
        self.assertIn("| turns/simple/256/mosaic | 1.00 | 1.00 | 2.00 |", write_report(made_results(), old=old))

    def test_table_escapes_its_own_border(self):
        self.assertEqual(table(("a",), [("x|y",)]), ["| a |", "| --- |", "| x\\|y |", ""])

    def test_publication_names_no_path_of_this_machine(self):
        document = {"a": ["run /made/up/folder/x", 1], "b": {"c": "/made/up"}}
        self.assertEqual(publication.without_paths(document, {"/made/up/folder": "RUN"}),
                         {"a": ["run RUN/x", 1], "b": {"c": "/made/up"}})

    def test_readme_keeps_what_is_around_the_generated_part(self):
        readme = f"before\n{publication.BEGIN}\nold\n{publication.END}\nafter\n"
        once = publication.with_latest(readme, made_results(), "results/x")
        self.assertTrue(once.startswith("before\n") and once.endswith("\nafter\n"))
        self.assertNotIn("old", once)
        self.assertIn("(results/x/report.md)", once)
        self.assertEqual(publication.with_latest(once, made_results(), "results/x"), once)


if __name__ == "__main__":
    unittest.main()
