"""The performance targets: each is a line with what was measured for it and a verdict. Pure: Results in, rows out."""

from dataclasses import dataclass

from .measure import paired_ratio, percentile
from .plan import PROTOCOLS

REACHED, MISSED, NOT_MEASURED = "reached", "not reached", "not measured in this run"


@dataclass(frozen=True)
class Verdict:
    line: str
    target: str
    result: str
    verdict: str


def at_most(line, target, value, limit, unit="x", because=NOT_MEASURED):
    """A value that must not exceed its limit; missing by how much is told in percent."""
    return _judge(line, target, value, limit, unit, lambda v: v <= limit, lambda v: (v / limit - 1) * 100, because)


def at_least(line, target, value, limit, unit="x", because=NOT_MEASURED):
    return _judge(line, target, value, limit, unit, lambda v: v >= limit, lambda v: (1 - v / limit) * 100, because)


def _judge(line, target, value, limit, unit, is_reached, missed_percent, because):
    if value is None:
        return Verdict(line, target, "-", because)
    shown = f"{value:.2f} {unit}" if unit == "x" else f"{value:.4g} {unit}"
    if is_reached(value):
        return Verdict(line, target, shown, REACHED)
    by = f" by {missed_percent(value):.0f} %" if limit else ""
    return Verdict(line, target, shown, MISSED + by)


def judge(results):
    """All rows, in the order of the targets' list. Moves are a run of their own, with targets of their own."""
    if results.suite == "moves":
        return list(_moves(results))
    return [*_select_cpu(results), *_throughput(results), *_fairness(results), *_shards(results), *_routing(results), *_large(results),
            *_idle(results), *_workers(results)]


# Routed over three nodes with PgBouncer's number of server connections, and as a user configures it.
_CONTENDERS = ("mosaic", "mosaic, as configured")
# PgBouncer as it forwards to one node, and over the same nodes and shards as Mosaic.
_PEERS = ("pgbouncer", "pgbouncer, three nodes")
_TURN_CLIENTS = (16, 256, 2000)
_FEW_CLIENTS = 16  # here the forwarder, with a backend for each client, is the floor; it lies near PgBouncer


def _turns(results, protocol, clients, contender, peer):
    """(Mosaic's point, the peer's, why there is nothing to compare)"""
    mosaic, other = (results.find("turns", name, protocol=protocol, clients=clients) for name in (contender, peer))
    return mosaic, other, "no peer: " + other.problem if other and other.problem else NOT_MEASURED


def _peer_of(peer, protocol):
    """Debian's PgBouncer pools no prepared statements: it is asked by the extended protocol."""
    return peer + ", extended" if protocol == "prepared" else peer


def _select_cpu(results):
    for contender in _CONTENDERS:
        for protocol in PROTOCOLS:
            for clients in _TURN_CLIENTS:
                peers = [("forwarder", 1.15)] if clients <= _FEW_CLIENTS else [(_peer_of(peer, protocol), 0.9) for peer in _PEERS]
                for peer, limit in peers:
                    mosaic, other, because = _turns(results, protocol, clients, contender, peer)
                    yield at_most(f"{contender}: routed point select, {protocol}, {clients:,} clients: proxy CPU per transaction",
                                  f"at most {limit} x {peer}", results.ratio("cpu_us", mosaic, other), limit, because=because)


def _throughput(results):
    for contender in _CONTENDERS:
        for protocol in PROTOCOLS:
            for clients in _TURN_CLIENTS:
                for peer in (_peer_of(peer, protocol) for peer in _PEERS):
                    mosaic, other, because = _turns(results, protocol, clients, contender, peer)
                    yield at_least(f"{contender}: routed point select, {protocol}, {clients:,} clients: throughput",
                                   f"at least that of {peer}", results.ratio("tps", mosaic, other), 1, because=because)


def _fairness(results):
    point = next((point for point in results.select("crowd") if point.peer == "mosaic, unsharded"), None)
    waits = [point.value(metric) if point else None for metric in ("p99_ms", "p50_ms")]
    count = point.labels["clients"] if point else 10_000
    yield at_most(f"{count:,} clients on 40 server connections: p99 to p50", "at most 1.2 x",
                  waits[0] / waits[1] if all(waits) else None, 1.2)


def _shards(results):
    for protocol in ("simple", "prepared"):
        sharded = results.find("shards", "mosaic", protocol=protocol, shards="1024")
        plain = results.find("shards", "mosaic", protocol=protocol, shards="none")
        yield at_least(f"addressing a shard, {protocol}: throughput of 1,024 shards to unsharded, same proxy and node",
                       "at least 0.95 x", results.ratio("tps", sharded, plain), 0.95)
        yield at_most(f"addressing a shard, {protocol}: statements that PostgreSQL logs for each of the client's",
                      "no extra statement: 1", results.facts.get(f"server_statements_{protocol}"), 1, "statements")


def _routing(results):
    decisions = [point for point in results.select("micro")
                 if point.peer.startswith("decide/select_100_bytes") and point.value("cpu_ns") is not None]
    slowest = max((point.value("cpu_ns") for point in decisions), default=None)
    allocations = [point.value("allocations") for point in decisions if point.value("allocations") is not None]
    yield at_most("routing decision, shape in cache, 100-byte statement (the slowest of its forms)", "at most 300 ns",
                  slowest, 300, "ns")
    yield at_most("the same: allocations", "none", max(allocations, default=None), 0, "allocations")


def _large(results):
    for what in ("1 MB row", "COPY in", "COPY out"):
        mosaic, haproxy = (results.find("large", peer, what=what) for peer in ("mosaic", "haproxy"))
        yield at_most(f"{what}: CPU per MB", "at most HAProxy's", results.ratio("cpu_us_per_mb", mosaic, haproxy), 1)


def _idle(results):
    points = [point for point in results.select("idle") if point.labels["idle clients"]]
    crowded = {point.peer: point for point in points}
    mosaic, other = crowded.get("mosaic"), crowded.get("pgbouncer")
    sizes = [point.value("bytes_per_client") if point else None for point in (mosaic, other)]
    yield at_most("idle client: bytes", "at most PgBouncer's", sizes[0] / sizes[1] if all(sizes) else None, 1)
    alone = results.find("idle", "mosaic", **{"idle clients": 0})
    ratio = results.ratio("p99_ms", mosaic, alone)
    count = mosaic.labels["idle clients"] if mosaic else 10_000
    # "Without a change" needs a bound: what one round differs from the next on an idle machine.
    yield at_most(f"{count:,} idle clients on one worker: p99 of 16 active ones to that without",
                  "no change (at most 1.1 x)", ratio, 1.1)


def _workers(results):
    for protocol in ("simple", "prepared"):
        one, two = (results.find("workers", "mosaic", protocol=protocol, workers=workers) for workers in (1, 2))
        yield at_most(f"CPU per transaction at 2 workers to that at 1, {protocol}, 256 clients", "at most 1.1 x",
                      results.ratio("cpu_us", two, one), 1.1)


def _moves(results):
    moves, facts = [move for point in results.select("moves") for move in point.rounds], results.facts
    yield at_most("moves that were begun and did not complete", "none",
                  facts["moves begun"] - facts["moves complete"] if "moves begun" in facts else None, 0, "moves")
    yield at_most("the application: errors, lost connections, wrong answers", "none",
                  facts.get("its errors, lost connections and wrong answers"), 0, "errors")
    yield at_most("probing clients: errors, acknowledged writes lost or doubled", "none",
                  facts.get("their errors, and writes lost or doubled"), 0, "findings")
    for metric, line in (("write_pause_ms", "write pause of a move, p99"),
                         ("gap_ms", "the same as clients saw it: longest time without an acknowledged write, p99")):
        values = sorted(move[metric] for move in moves)
        yield at_most(line, "at most 50 ms", percentile(values, 0.99) if values else None, 50, "ms")
    during, without = ([values["p99_ms"] for point in results.select("moves_others", peer) for values in point.rounds]
                       for peer in ("while a shard moves", "while none does"))
    yield at_most("other operations: p99 while a shard moves to that while none does", "at most 1.1 x",
                  paired_ratio(during, without), 1.1)
