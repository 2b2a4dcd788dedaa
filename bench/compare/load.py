"""Puts load on a port and returns what came of it: pgbench, psql's COPY, sysbench.

Throughput, latencies and the proxy's processor time are all taken over the same window: from the first moment at which
every client is connected and warm to the last transaction. So logging in is not counted where it is not asked about.
"""

import math
import os
import re
import shlex
import signal
import subprocess
import time

from harness.postgres_node import APP_PASSWORD, BINARIES
from harness.processes import send_signal, spawn

from .generator_output import LoadFailed, metrics_window, read_transactions, sysbench_metrics, window_metrics
from .measure import SAMPLE_PERIOD_S, Sampler, proportional_bytes, resident_bytes

_DEADLINE_S = 120
_CAPTURE_DEADLINE_S = 600  # dozens of rounds
_ATTEMPTS = 3             # of a point whose clients took longer to connect than expected
_FIRST_CONNECT_S = 0.0002  # per client, before anything is known
_WINDOW_MIN = 0.7         # of the seconds asked for
PGBENCH, PSQL = f"{BINARIES}/pgbench", f"{BINARIES}/psql"  # not Debian's wrapper, which starts Perl first


class Load:
    """Runs load generators with their files in `folder` and remembers the last command line for the report."""

    def __init__(self, folder, plan):
        self.folder = folder
        self.plan = plan
        self.last_command = ""
        self._connect_s = {}  # {(contender, clients): seconds}

    def run(self, command, peer, sampled=True):
        """Runs a generator to its end; returns (its output, the sampler of the peer's process, memory at half-time)."""
        self.last_command = shlex.join(command)
        log = os.path.join(self.folder, "generator.log")
        if os.path.exists(log):
            os.unlink(log)
        sampler = Sampler(peer.pid)
        child = spawn(command, log, env=dict(os.environ, PGPASSWORD=APP_PASSWORD))
        begin, memory = time.monotonic(), None
        while True:
            try:
                child.wait(timeout=SAMPLE_PERIOD_S)
                break
            except subprocess.TimeoutExpired:
                pass
            try:
                if sampled:
                    sampler.take()
                if peer.pid and memory is None and time.monotonic() - begin > self.plan.seconds / 2:
                    memory = resident_bytes(peer.pid), proportional_bytes(peer.pid)
            except (FileNotFoundError, ProcessLookupError):
                send_signal(child.pid, signal.SIGKILL)
                child.wait()
                raise LoadFailed(f"the process of {peer.label} ended under load: {peer.log_tail()}") from None
            if time.monotonic() - begin > _DEADLINE_S:
                send_signal(child.pid, signal.SIGKILL)
                child.wait()
                raise LoadFailed(f"no end after {_DEADLINE_S} s: {self.last_command}")
        sampler.take()
        with open(log, errors="replace") as file:
            output = file.read()
        if child.returncode != 0:
            raise LoadFailed(f"exited {child.returncode}: {output.strip()[-400:]}")
        return output, sampler, memory

    def capture(self, command):
        """Runs a program that measures by itself; returns what it printed."""
        self.last_command = shlex.join(command)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_CAPTURE_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"no end after {_CAPTURE_DEADLINE_S} s: {self.last_command}") from None
        if done.returncode != 0:
            raise LoadFailed(f"exited {done.returncode}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def pgbench_command(self, peer, script, clients, mode="simple", *more):
        path = os.path.join(self.folder, "load.sql")
        with open(path, "w") as file:
            file.write(script)
        threads = 1 if clients < 16 else 2
        return [PGBENCH, "-n", "-M", mode, "-c", str(clients), "-j", str(threads), "-f", path, *more, "-h", "127.0.0.1",
                "-p", str(peer.port), "-U", peer.user, peer.database]

    def pgbench(self, peer, script, clients, mode="simple", seconds=None, connect_each=False):
        """One point: metrics by name. With `connect_each` a transaction is a login, a statement and a goodbye."""
        seconds = seconds or self.plan.seconds
        # pgbench's -T begins before its clients connect: what they take was seen in the run before.
        place = (id(peer), clients)
        for _ in range(_ATTEMPTS):
            connect_s = self._connect_s.get(place, clients * _FIRST_CONNECT_S)
            metrics, window_s, seen_s = self._pgbench_once(peer, script, clients, mode, seconds, connect_s, connect_each)
            self._connect_s[place] = seen_s
            if metrics and window_s >= _WINDOW_MIN * seconds:
                metrics["connect_ms"] = seen_s * 1e3
                return metrics
        raise LoadFailed(f"{clients} clients took {seen_s:.1f} s to connect, and too little time was left in each of "
                         f"{_ATTEMPTS} attempts")

    def _pgbench_once(self, peer, script, clients, mode, seconds, connect_s, connect_each):
        """Returns (metrics or None when there was no time for any, length of the window, time to connect)."""
        for name in os.listdir(self.folder):
            if name.startswith("transactions."):
                os.unlink(os.path.join(self.folder, name))
        prefix = os.path.join(self.folder, "transactions")
        run_s = math.ceil(seconds + self.plan.warm_up_s + connect_s)  # pgbench takes whole seconds
        more = ["-T", str(run_s), "-l", f"--log-prefix={prefix}"] + (["-C"] if connect_each else [])
        output, sampler, memory = self.run(self.pgbench_command(peer, script, clients, mode, *more), peer)
        failed = re.search(r"number of failed transactions: (\d+)", output)
        if failed and int(failed[1]) > 0:
            raise LoadFailed(f"{failed[0]}: {output.strip()[-400:]}")
        connected = re.search(r"initial connection time = ([\d.]+) ms", output)  # not there with -C
        seen_s = float(connected[1]) / 1e3 if connected else 0.0
        window = metrics_window(read_transactions(prefix), sampler, self.plan.warm_up_s, seconds)
        if window is None:
            return None, 0.0, seen_s
        metrics = window_metrics(*window, clients)
        if not peer.pid:
            del metrics["cpu_us"]
        if memory:
            metrics["rss_mb"], metrics["pss_mb"] = memory[0] / 1e6, memory[1] / 1e6
        return metrics, window[2].time_s - window[1].time_s, seen_s

    def copy(self, peer, statements, megabytes):
        """psql runs the statements (COPY with data to /dev/null or from a file) on one connection; figures per MB."""
        path = os.path.join(self.folder, "copy.psql")
        with open(path, "w") as file:
            file.write("\n".join(statements) + "\n")
        _, sampler, _ = self.run(
            [PSQL, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(peer.port), "-U", peer.user, "-d",
             peer.database, "-f", path], peer)
        first, last = sampler.samples[0], sampler.samples[-1]
        metrics = {"mb_per_s": megabytes / (last.time_s - first.time_s)}
        if peer.pid:
            metrics["cpu_us_per_mb"] = (last.cpu_s - first.cpu_s) * 1e6 / megabytes
        return metrics

    def sysbench(self, peer, test, clients, rows, *options):
        """One of sysbench's OLTP scripts for `scale_seconds`; the login of a few clients is counted."""
        output, sampler, _ = self.run(
            ["sysbench", test, "--db-driver=pgsql", "--pgsql-host=127.0.0.1", f"--pgsql-port={peer.port}",
             f"--pgsql-user={peer.user}", f"--pgsql-db={peer.database}", "--tables=1", f"--table-size={rows}",
             f"--threads={clients}", f"--time={round(self.plan.scale_seconds)}", "--percentile=99", *options, "run"], peer)
        return sysbench_metrics(output, sampler.samples[-1].cpu_s - sampler.samples[0].cpu_s if peer.pid else None)
