"""The photo application beside moves: a photo_load for each proxy and protocol, at a rate that the machine can bear."""

import json
import os
import signal
import subprocess
import time

from harness.processes import spawn, wait_until

from .generator_output import LoadFailed
from .moves_series import Series
from .plan import LOAD_SHARE_TRIALS, PROTOCOLS

_RATE_TOO_HIGH = 100_000  # of one generator: what it achieves is the most that there is
_INTERVAL_S = 0.2
_WARM_UP_S = 1
_PREPARATION_S = 120
_EXIT_TOO_SLOW = 3
_FIRST_USER_STEP = 100_000
_PHOTOS = 1


class PhotoLoads:
    def __init__(self, cluster, plan):
        self.cluster, self.plan = cluster, plan
        self.targets = [(port, protocol) for port in cluster.ports for protocol in PROTOCOLS]
        self.processes = []
        self.series = Series()
        self.last_command = ""
        self._runs = 0

    # --- how much

    def capacity(self):
        """Operations per second when every client always has something to do."""
        return sum(report["rate"]["achieved"] for report in self._run_all(_RATE_TOO_HIGH, self.plan.capacity_seconds))

    def bearable_rate(self, capacity):
        """A share of the capacity; less where the machine does not keep up with it. Per second, over all."""
        rate = capacity * self.plan.share
        for _ in range(LOAD_SHARE_TRIALS):
            if all(report["rate"]["kept_up"] for report in self._run_all(rate / len(self.targets), self.plan.trial_seconds)):
                break
            rate *= self.plan.share
        return rate

    def _run_all(self, rate, seconds):
        paths = self._spawn_all(rate, seconds, "--json")
        statuses = [process.wait(timeout=seconds + _PREPARATION_S) for process in self.processes]
        self.processes = []
        for status, path in zip(statuses, paths):
            if status not in (0, _EXIT_TOO_SLOW):
                raise LoadFailed(_tail(path + ".log"))
        return [_read_json(path) for path in paths]

    # --- beside moves

    def start(self, rate, seconds):
        """Returns when all have begun to count."""
        paths = self._spawn_all(rate / len(self.targets), seconds, "--series")
        self.series = Series(paths)
        wait_until(lambda: self.series.has_begun() or self._dead(), "the load to begin", _PREPARATION_S)
        self.assert_alive()

    def assert_alive(self):
        if dead := self._dead():
            raise LoadFailed("\n".join(_tail(path + ".log") for path in dead))

    def is_calm_within(self, least_s, most_s):
        """Waits for `least_s`, and for the generators to have caught up with what is due; says whether they have."""
        begin_s = time.monotonic()
        time.sleep(least_s)
        while (backlog := self.series.backlog_since(begin_s)) is None or backlog > self.plan.load_connections:
            if time.monotonic() > begin_s + most_s:
                return False
            time.sleep(_INTERVAL_S)
        return True

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
        self.processes = []

    def _dead(self):
        return [path for path, process in zip(self.series.paths, self.processes) if process.poll() is not None]

    def _spawn_all(self, rate, seconds, option):
        self._runs += 1
        paths = []
        for number, (port, protocol) in enumerate(self.targets):
            paths.append(os.path.join(self.cluster.folder, f"load_{self._runs}_{number}.json"))
            first_user = 1 + (self._runs * len(self.targets) + number) * _FIRST_USER_STEP
            command = [os.environ["MOSAIC_PHOTO_LOAD"], "--conninfo",
                       f"host=127.0.0.1 port={port} dbname=photos user=app password=app", "--mode", protocol,
                       "--rate", f"{rate:.1f}", "--warm-up", str(_WARM_UP_S), "--duration", f"{seconds:g}",
                       "--interval", str(_INTERVAL_S), "--connections", str(self.plan.load_connections),
                       "--users", str(self.plan.load_users), "--photos", str(_PHOTOS), "--first-user", str(first_user),
                       "--seed", str(number + 1), option, paths[-1]]
            self.processes.append(spawn(command, paths[-1] + ".log"))
        self.last_command = " ".join(command)
        return paths


def _tail(path):
    with open(path, errors="replace") as file:
        return file.read()[-2000:]


def _read_json(path):
    with open(path) as file:
        return json.load(file)
