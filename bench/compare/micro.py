"""The suite `micro`: runs every Google Benchmark program of bench/micro and keeps its figures."""

import json
import os
import subprocess
import sys

from .results import Point

_DEADLINE_S = 600
_NOT_COUNTERS = {"name", "run_name", "run_type", "repetitions", "repetition_index", "threads", "iterations", "real_time",
                 "cpu_time", "time_unit", "family_index", "per_family_instance_index", "aggregate_name",
                 "aggregate_unit", "error_occurred", "error_message"}
_TO_NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


class MicroSuite:
    def __init__(self, folder, plan, results):
        """`folder`: where the build has put the programs."""
        self.folder, self.plan, self.results = folder, plan, results

    def run(self):
        programs = sorted(name for name in os.listdir(self.folder)
                          if os.path.isfile(os.path.join(self.folder, name))
                          and os.access(os.path.join(self.folder, name), os.X_OK))
        if not programs:
            raise RuntimeError(f"no micro-benchmark in {self.folder}: was it built?")
        for program in programs:
            print(f"micro: {program}", file=sys.stderr, flush=True)
            command = [os.path.join(self.folder, program), "--benchmark_format=json",
                       f"--benchmark_min_time={self.plan.micro_min_time_s}",
                       f"--benchmark_repetitions={self.plan.rounds}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=True)
            self.results.points += read_benchmarks(program, json.loads(done.stdout),
                                                   f"build/release/bench/micro/{program} {' '.join(command[1:])}")


def read_benchmarks(program, document, command=""):
    """Google Benchmark's JSON as points: one per benchmark, its repetitions as rounds."""
    points = {}
    for entry in document["benchmarks"]:
        if entry.get("run_type") == "aggregate":
            continue
        name = entry.get("run_name", entry["name"])
        point = points.setdefault(name, Point("micro", {"program": program}, name, command=command))
        if entry.get("error_occurred"):
            point.problem = entry.get("error_message", "failed")
            continue
        metrics = {"cpu_ns": entry["cpu_time"] * _TO_NS[entry["time_unit"]]}
        for counter, value in entry.items():
            if counter not in _NOT_COUNTERS and isinstance(value, (int, float)):
                metrics[counter] = value
        point.rounds.append(metrics)
    return list(points.values())
