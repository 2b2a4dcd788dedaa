"""Reads what load generators write: pgbench's log of transactions, sysbench's report. Pure but for reading the log."""

import os
import re

from .measure import SAMPLE_PERIOD_S, fairness, percentile


class LoadFailed(Exception):
    """The load generator ended with an error: the point has no figures, only this text."""


def read_transactions(prefix):
    """pgbench's per-transaction logs: (completion time in s, latency in us, client), in order of time."""
    folder, name = os.path.split(prefix)
    transactions = []
    for entry in os.listdir(folder):
        if not entry.startswith(name + "."):
            continue
        with open(os.path.join(folder, entry)) as file:
            for line in file:
                client, _, latency_us, _, epoch_s, epoch_us = line.split()[:6]
                transactions.append((int(epoch_s) + int(epoch_us) / 1e6, int(latency_us), int(client)))
    transactions.sort()
    return transactions


def metrics_window(transactions, sampler, warm_up_s, seconds):
    """(transactions, first sample, last sample) of the time that counts; None when there is none.

    It begins `warm_up_s` after the first transaction and lasts `seconds` at most.
    """
    if not transactions:
        return None
    begin_s = transactions[0][0] + warm_up_s
    samples = sampler.window(begin_s, min(transactions[-1][0], begin_s + seconds + 2 * SAMPLE_PERIOD_S))
    if not samples:
        return None
    first, last = samples
    inside = [(latency_us, client) for time_s, latency_us, client in transactions if first.time_s < time_s <= last.time_s]
    return (inside, first, last) if inside else None


def window_metrics(inside, first, last, clients):
    """Metrics of the (latency in us, client) pairs that ended between two samples."""
    latencies = sorted(latency_us for latency_us, _ in inside)
    metrics = {"tps": len(inside) / (last.time_s - first.time_s)}
    for name, fraction in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)):
        metrics[name] = percentile(latencies, fraction) / 1e3
    metrics["cpu_us"] = (last.cpu_s - first.cpu_s) * 1e6 / len(inside)
    counts = [0] * clients
    for _, client in inside:
        counts[client] += 1
    metrics["fairness"] = fairness(counts)
    metrics["least_served"] = min(counts) / (len(inside) / clients)
    return metrics


def sysbench_metrics(output, cpu_s):
    """The figures of a sysbench report; processor time is per transaction."""
    transactions = re.search(r"transactions:\s+(\d+)\s+\(([\d.]+) per sec", output)
    queries = re.search(r"queries:\s+(\d+)\s+\(([\d.]+) per sec", output)
    p99 = re.search(r"99th percentile:\s+([\d.]+)", output)
    if not transactions or int(transactions[1]) == 0:
        raise LoadFailed(f"sysbench finished no transaction: {output.strip()[-400:]}")
    metrics = {"tps": float(transactions[2]), "qps": float(queries[2]), "p99_ms": float(p99[1])}
    if cpu_s is not None:
        metrics["cpu_us"] = cpu_s * 1e6 / int(transactions[1])
        metrics["cpu_us_per_query"] = cpu_s * 1e6 / int(queries[1])
    return metrics
