"""The benchmark command: measures, reports, cleans up. Called by run.sh, which has installed and built everything."""

import argparse
import json
import os
import signal
import sys
import time

from . import machine, plots, plots_moves
from .cluster import BenchCluster
from .load import Load
from .micro import MicroSuite
from .peers import versions
from .plan import FULL, FULL_MOVES, QUICK, QUICK_MOVES
from .publication import publish, without_paths
from .report import write_report
from .results import Results
from .rounds import Rounds
from .scenarios_moves import MovesSuite
from .scenarios_pg import PgSuite
from .scenarios_scale import ScaleSuite

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECKOUT = os.path.dirname(BENCH)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="run.sh", description="Compares Mosaic with its peers; see bench/README.md.")
    parser.add_argument("suite", nargs="?", choices=("micro", "pg", "scale", "moves", "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="short rounds: minutes instead of half an hour")
    parser.add_argument("--compare", metavar="OLD.JSON", help="report.json of an earlier run: prints ratios to it")
    parser.add_argument("--out", metavar="DIR", help="folder for the report (default: build/bench/<date>)")
    parser.add_argument("--publish", action="store_true", help="also keep the report in bench/results and bench/README.md")
    return parser.parse_args()


def measure(suite, plan, results):
    """Fills the results; what was measured before a failure stays in them. Returns the keys of points that failed."""
    if suite in ("micro", "all"):
        MicroSuite(os.path.join(CHECKOUT, "build", "release", "bench", "micro"), plan, results).run()
    failed = [point.key for point in results.points if point.problem]
    if suite == "micro":
        return failed
    cluster = BenchCluster()
    try:
        cluster.start()
        load_folder = os.path.join(cluster.folder, "load")
        os.mkdir(load_folder)
        load = Load(load_folder, plan)
        rounds = Rounds(results, plan, load)
        if suite in ("pg", "all"):
            PgSuite(cluster, rounds, load, plan, results).run()
        if suite in ("scale", "all"):
            ScaleSuite(cluster, rounds, load, plan, results).run()
        return failed + rounds.failed
    finally:
        cluster.stop()
        _without_paths(results, cluster.folder)


def measure_moves(plan, results):
    """The same for the suite of its own."""
    suite = MovesSuite(plan, results)
    try:
        return suite.run()
    finally:
        suite.stop()
        _without_paths(results, suite.folder)


def _without_paths(results, folder):
    """What the report repeats must mean something elsewhere."""
    document = without_paths(results.as_json(), {folder: "RUN", CHECKOUT: "."})
    results.__dict__.update(Results.from_json(document).__dict__)


def write_files(results, folder, old):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "report.json"), "w") as file:
        json.dump(results.as_json(), file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "report.md"), "w") as file:
        file.write(write_report(results, plots.draw(results, folder) | plots_moves.draw(results, folder), old))
    return os.path.join(folder, "report.md")


def main():
    # Both unwind, so that everything started is stopped; a script's background job would ignore SIGINT otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = parse_arguments()
    old = None
    if arguments.compare:
        with open(arguments.compare) as file:
            old = Results.from_json(json.load(file))
    is_moves = arguments.suite == "moves"
    plan = (QUICK_MOVES if arguments.quick else FULL_MOVES) if is_moves else QUICK if arguments.quick else FULL
    began = time.localtime()
    results = Results(arguments.suite, plan.as_json(), machine.describe(),
                      versions() | {"commit": machine.commit(CHECKOUT)}, time.strftime("%Y-%m-%d %H:%M", began))
    folder = arguments.out or os.path.join(CHECKOUT, "build", "bench", time.strftime("%Y-%m-%d-%H%M%S", began))
    start_s = time.monotonic()
    try:
        failed = measure_moves(plan, results) if is_moves else measure(arguments.suite, plan, results)
    finally:
        results.seconds = time.monotonic() - start_s
        if results.points:
            path = write_files(results, folder, old)
            print(f"Report: {path}", file=sys.stderr)
    if old:
        text = write_report(results, old=old)
        print(text[text.index("## Compared"):].split("\n## ")[0])
    if arguments.publish:
        print(f"Published: {publish(results, folder, BENCH)}", file=sys.stderr)
    if failed:
        print(f"Failed, or without figures: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("Interrupted: everything that was started is stopped.", file=sys.stderr)
        sys.exit(130)
