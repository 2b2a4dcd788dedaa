"""What one process holds, read from /proc: memory, file descriptors, threads, CPU time."""

import os

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def _fields(path, names):
    found = {}
    with open(path) as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in names:
                found[name] = int(rest.split()[0])
    return found


def sample(pid):
    status = _fields(f"/proc/{pid}/status", ("VmRSS", "Threads"))
    shared = _fields(f"/proc/{pid}/smaps_rollup", ("Pss",))
    with open(f"/proc/{pid}/stat") as file:
        # Behind the command, which may hold anything, in parentheses: field 3 on (proc(5)).
        fields = file.read().rpartition(")")[2].split()
    return {"rss_bytes": status["VmRSS"] * 1024, "pss_bytes": shared["Pss"] * 1024, "threads": status["Threads"],
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "cpu_seconds": (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND}
