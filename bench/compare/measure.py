"""What a process costs: processor time, memory, system calls; and the arithmetic on series of figures.

Everything about a process is read from /proc and by strace; nothing here knows what the process is.
"""

import os
import re
import signal
import time
from typing import NamedTuple

SAMPLE_PERIOD_S = 0.025  # between two looks at a process under load
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    time_s: float  # of the wall clock, as pgbench's log has it
    cpu_s: float


def cpu_seconds(pid):
    """User and system time of all threads. The scheduler's nanoseconds where the kernel has them, else clock ticks."""
    try:
        total_ns = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total_ns += int(file.read().split()[0])
        if total_ns:
            return total_ns / 1e9
    except (FileNotFoundError, IndexError):
        pass  # a kernel without CONFIG_SCHED_INFO, or a thread that just ended
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()  # the name may hold blanks
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES


def proportional_bytes(pid):
    """PSS: pages that are shared with other processes count in part only."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE)[1]) * 1024


class Sampler:
    """Collects the processor time of a process beside a wall clock; `pid` None (no proxy) collects only the clock."""

    def __init__(self, pid):
        self.pid = pid
        self.samples = []
        self.take()

    def take(self):
        self.samples.append(Sample(time.time(), cpu_seconds(self.pid) if self.pid else 0.0))

    def window(self, begin_s, end_s):
        """The first and the last sample within two wall-clock times; None when there are not two."""
        inside = [sample for sample in self.samples if begin_s <= sample.time_s <= end_s]
        return (inside[0], inside[-1]) if len(inside) >= 2 else None


# --- Arithmetic -----------------------------------------------------------------------------------------------------


def percentile(ascending, fraction):
    """Nearest rank: the smallest value that at least `fraction` of all values do not exceed. `ascending` is sorted."""
    if not ascending:
        raise ValueError("a percentile of no values")
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction above 0 and at most 1, got {fraction}")
    rank = -(-len(ascending) * fraction // 1)  # rounded up
    return ascending[max(int(rank), 1) - 1]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def paired_ratio(values, others):
    """The median of the ratios round by round: what slows down a whole round slows down both."""
    ratios = [value / other for value, other in zip(values, others) if other]
    return median(ratios) if ratios else None


def fairness(counts):
    """Jain's index of how evenly something was given out: 1 when all got the same, 1/n when one got all."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0


# --- System calls ---------------------------------------------------------------------------------------------------


def parse_strace(summary):
    """The table that `strace -c` writes: {name of the system call: number of calls}."""
    calls = {}
    for line in summary.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[0].replace(".", "").isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    return calls


def count_system_calls(pid, work, spawn, wait_until, folder):
    """Runs work() while strace counts what `pid` calls; returns {name: calls}. Raises when strace may not attach."""
    summary, log = os.path.join(folder, "strace.txt"), os.path.join(folder, "strace.log")
    for path in (summary, log):
        if os.path.exists(path):
            os.unlink(path)
    tracer = spawn(["strace", "-c", "-f", "-p", str(pid), "-o", summary], log)

    def is_attached():
        if tracer.poll() is not None:
            with open(log) as file:
                raise RuntimeError(f"strace can not attach to process {pid}: {file.read().strip()}")
        with open(f"/proc/{pid}/status") as file:
            return f"TracerPid:\t{tracer.pid}" in file.read()

    wait_until(is_attached, f"strace to attach to process {pid}")
    try:
        work()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=30)
    with open(summary) as file:
        return parse_strace(file.read())
