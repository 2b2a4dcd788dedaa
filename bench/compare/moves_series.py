"""What was written down beside moves, asked about a window of time: the load's intervals, the probing clients' turns.
Pure but for reading the intervals' files."""

import json
import os


class Series:
    """The intervals that some generators have written so far; the latest are read when a window asks for them."""

    def __init__(self, paths=()):
        self.paths = list(paths)
        self.rows = {path: [] for path in self.paths}
        self._offsets = dict.fromkeys(self.paths, 0)

    def read(self):
        for path in self.paths:
            if not os.path.exists(path):
                continue
            with open(path, "rb") as file:
                file.seek(self._offsets[path])
                text = file.read()
            whole = text[:text.rfind(b"\n") + 1]
            self._offsets[path] += len(whole)
            self.rows[path] += [json.loads(line) for line in whole.splitlines()]

    def has_begun(self):
        self.read()
        return all(self.rows.values())

    def reaches(self, time_s):
        self.read()
        return all(rows and rows[-1]["end_s"] >= time_s for rows in self.rows.values())

    def backlog_since(self, time_s):
        """Operations that wait for a free client, by the latest intervals; None before all have ended one since then."""
        return sum(rows[-1]["backlog"] for rows in self.rows.values()) if self.reaches(time_s) else None

    def window(self, begin_s, end_s):
        """Metrics of the intervals whose middles lie between two times of the monotonic clock; None without any."""
        rate, buckets = 0.0, {}
        for rows in self.rows.values():
            inside = [row for row in rows if begin_s <= row["end_s"] - row["seconds"] / 2 <= end_s]
            if not inside:
                return None
            rate += sum(row["completed"] for row in inside) / sum(row["seconds"] for row in inside)
            for row in inside:
                for value_ns, count in row["buckets_ns"]:
                    buckets[value_ns] = buckets.get(value_ns, 0) + count
        if not buckets:
            return None
        return {"tps": rate, "p50_ms": bucket_percentile(buckets, 0.5) / 1e6, "p99_ms": bucket_percentile(buckets, 0.99) / 1e6}

    def total(self, name):
        return sum(row[name] for rows in self.rows.values() for row in rows)


def bucket_percentile(buckets, fraction):
    """The value that `fraction` of all do not exceed; `buckets`: {highest value: how many}."""
    wanted = fraction * sum(buckets.values())
    seen = 0
    for value in sorted(buckets):
        seen += buckets[value]
        if seen >= wanted:
            return value
    raise ValueError("a percentile of no values")


# --- Turns of probing clients: (began, acknowledged), by the latter -------------------------------------------------


def longest_gap(turns):
    """(begin, end) of the longest time in which no write was acknowledged."""
    ends = [ended for _, ended in turns]
    return max(zip(ends, ends[1:]), key=lambda pair: pair[1] - pair[0], default=(0.0, 0.0))


def slowest(turns):
    return max((ended - began for began, ended in turns), default=0.0)


def per_second(turns, begin_s, bin_s, bins):
    """Acknowledged writes per second in each of so many bins."""
    counts = [0] * bins
    for _, ended in turns:
        place = int((ended - begin_s) // bin_s)
        if 0 <= place < bins:
            counts[place] += 1
    return [count / bin_s for count in counts]
