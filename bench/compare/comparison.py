"""Compares two runs, point by point: the ratios of their medians. Pure: two Results in, rows out.

Two runs differ by what else the machine did, too; that is why both also hold the peers. A contender's ratio beside the
peers' own ratios tells more than alone.
"""

from dataclasses import dataclass

METRICS = (("tps", "throughput"), ("p99_ms", "p99"), ("cpu_us", "CPU"), ("cpu_us_per_mb", "CPU/MB"),
           ("bytes_per_client", "bytes/client"), ("cpu_us_per_login", "CPU/login"), ("cpu_ns", "CPU ns"),
           ("syscalls", "system calls"))


@dataclass(frozen=True)
class Change:
    key: str
    ratios: dict  # {heading: new / old}


def compare(new, old):
    """The points that both runs have, in the new one's order; ratios only of metrics that both have."""
    before = {point.key: point for point in old.points}
    changes = []
    for point in new.points:
        other = before.get(point.key)
        if other is None:
            continue
        ratios = {}
        for metric, heading in METRICS:
            now, then = point.value(metric), other.value(metric)
            if now is not None and then:
                ratios[heading] = now / then
        if ratios:
            changes.append(Change(point.key, ratios))
    return changes
