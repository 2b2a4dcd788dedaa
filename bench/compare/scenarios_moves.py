"""What does a move of a shard cost those who work meanwhile, and how long does it keep writers waiting?

Two nodes, two proxies, the photo application through both in every protocol, and clients that write to the moving shard, and
to one that stays, all the time. Each move is followed by a window as long without one.
"""

import random
import sys
import time

from harness.processes import wait_until

from .measure import median, percentile
from .moves_cluster import MB, MovesCluster
from .moves_load import PhotoLoads
from .moves_probes import Probes
from .moves_series import longest_gap, per_second, slowest
from .results import Point

CLASSES = ((5, "up to 4 MB"), (20, "4 to 16 MB"), (80, "16 to 64 MB"), (400, "256 MB"), (float("inf"), "1 GB"))  # MB wanted
PHASES = ("preparing", "copying", "indexing", "catching_up", "verifying", "ready", "cutover", "switched", "finishing")
PAUSE_PARTS = ("hold", "drain", "close", "catch_up", "open", "flip")
DURING, WITHOUT = "while a shard moves", "while none does"
MOVES = "moves"
MOVE, DUMP = "a move, copying and indexing", "pg_dump -Fc | pg_restore"
TIMELINE_MB_MAX = 64  # of the move in the figure: a large one's switch would be lost in it
_MOVE_DEADLINE_S = 900
_POLL_S = 0.1
_BEFORE_SWITCH = ("planned", *PHASES[:PHASES.index("cutover")])
_SWITCH_MARGIN_S = 0.4  # a poll, and a state that is told late
_SEED = 7           # of the order of sizes
_AROUND_S = 1.0     # before and after the switch, in the figure
_BIN_S = 0.02
_LOAD_AROUND_S = 3  # before and after the move
_BUDGET_SLACK_S = 900  # the load outlasts the budget by the last move


def class_of(size_mb):
    return next(name for limit_mb, name in CLASSES if size_mb < limit_mb)


class MovesSuite:
    def __init__(self, plan, results):
        self.plan, self.results = plan, results
        self.cluster = MovesCluster(plan.shards)
        self.load = PhotoLoads(self.cluster, plan)
        self.began_s = time.monotonic()
        self.findings, self.failed = [], []
        self.writes = 0
        self.begun = self.restless = 0
        self.timelines = []  # what the figure of one needs, of each move of a small shard

    @property
    def folder(self):
        return self.cluster.folder

    def run(self):
        """Returns the names of what went wrong."""
        self.cluster.start()
        moves = self._choose()
        self._say(f"{len(moves)} shards get {sum(self.plan.sizes_mb):,.0f} MB")
        self.cluster.fill({shard: int(size_mb * MB) for shard, _, _, size_mb in moves})
        rate = self._find_rate()
        # Compared with pg_dump first: there is time for the largest.
        copied = sorted(moves, key=lambda move: -move[3])[:self.plan.copies]
        self.load.start(rate, self.plan.budget_s + _BUDGET_SLACK_S)
        try:
            self._run_moves(moves, copied)
            self.load.assert_alive()
        finally:
            self.load.stop()
            self._conclude(len(moves))
        return self.failed

    def stop(self):
        self.load.stop()
        self.cluster.stop()

    # --- before

    def _choose(self):
        """(shard, source, target, size in MB) of each move, from either node in turn. Sizes in random order, but the smallest
        first: all shards grow by what the application writes."""
        sizes = list(self.plan.sizes_mb)
        random.Random(_SEED).shuffle(sizes)
        sizes.sort(key=lambda size_mb: size_mb >= CLASSES[0][0])
        shards = [self.cluster.shards_on(node) for node in self.cluster.nodes]
        self.still = shards[0].pop()  # never moves: others' writers are there
        moves = []
        for number, size_mb in enumerate(sizes):
            side = number % 2
            moves.append((shards[side].pop(0), self.cluster.nodes[side], self.cluster.nodes[1 - side], size_mb))
        return moves

    def _find_rate(self):
        with Probes(self.cluster, self.still, self.plan.probe_pause_s), \
                Probes(self.cluster, self.still, self.plan.probe_pause_s):
            capacity = self.load.capacity()
            rate = self.load.bearable_rate(capacity)
        self._say(f"capacity {capacity:.0f} operations/s, wanted {rate:.0f}")
        self.results.facts["operations per second that the machine can do"] = round(capacity)
        self.results.facts["operations per second beside the moves"] = round(rate)
        self.results.facts["share of the capacity"] = round(rate / capacity, 2)
        return rate

    # --- the moves

    def _run_moves(self, moves, copied):
        for number, move in enumerate(moves):
            if time.monotonic() > self.began_s + self.plan.budget_s:
                self._say(f"no time is left for {len(moves) - number} moves")
                return
            if move in copied:
                self._dump(*move)
            self._move(*move)
            self.load.assert_alive()
            for process in (self.cluster.mosaic, self.cluster.other):
                process.assert_alive()

    def _dump(self, shard, source, target, size_mb):
        size = self.cluster.size_of(shard, source)
        began_s = time.monotonic()
        self.cluster.dump_and_restore(shard, source, target)
        seconds = time.monotonic() - began_s
        self._point("moves_copy", class_of(size_mb), DUMP).rounds.append({"mb_per_s": size / MB / seconds, "seconds": seconds})
        self._say(f"shard {shard:2}, {size / MB:7.1f} MB: pg_dump | pg_restore {seconds:.1f} s")

    def _move(self, shard, source, target, size_mb):
        pause_s = self.plan.probe_pause_s
        with Probes(self.cluster, shard, pause_s) as moved, Probes(self.cluster, self.still, pause_s) as others:
            moved.wait_for_turns(10)
            was_calm = self._settle()
            size = self.cluster.size_of(shard, source)
            begin_s = time.monotonic()
            number = self.cluster.begin_move(shard, target)
            self.begun += 1
            state, switch = self._wait_for(number)
            end_s = time.monotonic()
            was_calm = self._settle() and was_calm
            quiet_begin_s = time.monotonic()
            time.sleep(min(end_s - begin_s, self.plan.quiet_s_max))
            quiet = (quiet_begin_s, time.monotonic())
        self._account(moved, others)
        row = self.cluster.move(number)
        if state != "complete":
            self.failed.append(f"move {number} of shard {shard}: {state}, {row['message']}")
            return
        pauses, phases = self._pauses(row, size, switch, quiet[0], moved, others), self._phases(row, size, end_s - begin_s)
        self._keep(size_mb, pauses, phases)
        if was_calm:
            self._compare_windows(size_mb, (begin_s, end_s), quiet)
        else:
            self.restless += 1
        if size_mb <= TIMELINE_MB_MAX:
            around = (switch[0] - _AROUND_S, switch[1] + _AROUND_S)
            self.timelines.append((pauses["write_pause_ms"], pauses["size_mb"], (begin_s, end_s), switch, moved.turns(*around),
                                   others.turns(*around)))
        self._tell(shard, pauses, phases)

    def _tell(self, shard, pauses, phases):
        parts = ", ".join(f"{part} {pauses[part + '_ms']:.1f}" for part in PAUSE_PARTS if part + "_ms" in pauses)
        self._say(f"shard {shard:2}, {pauses['size_mb']:7.1f} MB: {phases['total_s']:5.1f} s, {pauses['attempts']:.0f} attempts, writes "
                  f"paused {pauses['write_pause_ms']:.1f} ms ({parts}), longest gap {pauses['gap_ms']:.1f} ms, without a move "
                  f"{pauses['quiet_gap_ms']:.1f}")

    def _settle(self):
        """What a move has delayed is no part of the window that follows. Whether the load has caught up with it."""
        return self.load.is_calm_within(self.plan.settle_s, self.plan.settle_s_max)

    def _wait_for(self, number):
        """(its state when it has ended, (begin, end) of the time around its switch)"""
        begin_s = end_s = time.monotonic()

        def ended():
            nonlocal begin_s, end_s
            state, is_over = self.cluster.state_of(number)
            if state in _BEFORE_SWITCH:
                begin_s = end_s = time.monotonic()
            elif state == "cutover":
                end_s = time.monotonic()
            return state if is_over else None
        state = wait_until(ended, lambda: f"move {number} to end: {self.cluster.move(number)}", _MOVE_DEADLINE_S, _POLL_S)
        return state, (begin_s - _SWITCH_MARGIN_S, end_s + _SWITCH_MARGIN_S)

    def _account(self, *probes):
        for probe in probes:
            self.writes += probe.writes()
            self.findings += probe.findings()

    @staticmethod
    def _pauses(row, size, switch, quiet_s, moved, others):
        seconds = switch[1] - switch[0]
        turns, still = moved.turns(*switch), others.turns(*switch)
        gap = longest_gap(turns)
        metrics = {
            "size_mb": size / MB, "attempts": float(row["attempts"]), "write_pause_ms": float(row["write_pause_ms"]),
            "read_pause_ms": float(row["read_pause_ms"]), "gap_ms": (gap[1] - gap[0]) * 1e3, "slowest_ms": slowest(turns) * 1e3,
            "others_slowest_ms": slowest(still) * 1e3, "writes_per_s": len(turns) / seconds,
        }
        for name, turns_of in (("quiet_gap_ms", moved.turns(quiet_s, quiet_s + seconds)), ("others_gap_ms", still)):
            begin_s, end_s = longest_gap(turns_of)
            metrics[name] = (end_s - begin_s) * 1e3
        for part in PAUSE_PARTS:
            if row.get(f"of it {part}_ms"):
                metrics[f"{part}_ms"] = float(row[f"of it {part}_ms"])
        return metrics

    @staticmethod
    def _phases(row, size, total_s):
        phases = {"size_mb": size / MB, "rows": float(row["rows"]), "rows_compared": float(row["rows_compared"]), "total_s": total_s}
        for phase in PHASES:
            if row.get(f"ms in {phase}"):
                phases[f"{phase}_s"] = float(row[f"ms in {phase}"]) / 1e3
        return phases

    def _keep(self, size_mb, pauses, phases):
        name = class_of(size_mb)
        self._point("moves", name, MOVES).rounds.append(pauses)
        self._point("moves_phases", name, MOVES).rounds.append(phases)
        copy_s = phases.get("copying_s", 0) + phases.get("indexing_s", 0)
        copies = self._point("moves_copy", name, DUMP, made=False)
        if copies and copy_s and len(self._point("moves_copy", name, MOVE).rounds) < len(copies.rounds):
            self._point("moves_copy", name, MOVE).rounds.append({"mb_per_s": phases["size_mb"] / copy_s, "seconds": copy_s})

    def _compare_windows(self, size_mb, window, quiet):
        """What the application had while the shard moved, and afterwards."""
        wait_until(lambda: self.load.series.reaches(quiet[1]), "the load's figures", 30)
        during, without = self.load.series.window(*window), self.load.series.window(*quiet)
        if during and without:
            self._point("moves_others", class_of(size_mb), DURING).rounds.append(during)
            self._point("moves_others", class_of(size_mb), WITHOUT).rounds.append(without)

    def _point(self, scenario, name, peer, made=True):
        point = self.results.find(scenario, peer, **{"size of the shard": name})
        if point is None and made:
            point = Point(scenario, {"size of the shard": name}, peer, command=self.load.last_command if peer == MOVES else "")
            self.results.points.append(point)
        return point

    # --- after

    def _conclude(self, wanted):
        self.load.series.read()
        order = {name: place for place, (_, name) in enumerate(CLASSES)}
        self.results.points.sort(key=lambda point: order[point.labels["size of the shard"]])
        facts, series = self.results.facts, self.load.series
        moves = [metrics for point in self.results.select("moves") for metrics in point.rounds]
        facts["moves planned"], facts["moves begun"], facts["moves complete"] = wanted, self.begun, len(moves)
        facts["moves without a comparison of windows, because the load had not caught up before"] = self.restless
        facts["operations of the application"] = series.total("completed")
        facts["its errors, lost connections and wrong answers"] = (
            series.total("errors") + series.total("lost") + series.total("wrong_answers"))
        facts["writes of the probing clients"] = self.writes
        facts["their errors, and writes lost or doubled"] = len(self.findings)
        for place, finding in enumerate(self.findings[:20]):
            facts[f"finding {place + 1}"] = finding
        facts["rows compared by the moves"] = round(sum(phases["rows_compared"] for point in self.results.select("moves_phases")
                                                        for phases in point.rounds))
        self._tell_percentiles("all", moves)
        for point in self.results.select("moves"):
            self._tell_percentiles(point.labels["size of the shard"], point.rounds)
        if self.timelines:
            self.results.series["moves_timeline"] = self._timeline()
        if self.findings:
            self.failed.append(f"{len(self.findings)} findings of the probing clients")

    def _tell_percentiles(self, name, moves):
        for metric, what in (("write_pause_ms", "write pause"), ("gap_ms", "longest gap of a probing client's shard")):
            values = sorted(metrics[metric] for metrics in moves)
            if values:
                shown = ", ".join(f"{label} {percentile(values, fraction):.1f}"
                                  for label, fraction in (("p50", 0.5), ("p99", 0.99), ("max", 1)))
                self.results.facts[f"{what}, ms, {name} ({len(values)} moves)"] = shown

    def _timeline(self):
        """Of the move whose pause is the median's, for the figure."""
        middle = median([pause for pause, *_ in self.timelines])
        pause, size_mb, (begin_s, end_s), switch, moved, still = min(self.timelines, key=lambda entry: abs(entry[0] - middle))
        gap = longest_gap([turn for turn in moved if switch[0] <= turn[1] <= switch[1]])
        first_s = (gap[0] + gap[1]) / 2 - _AROUND_S
        bins = round(2 * _AROUND_S / _BIN_S)
        rows = self._load_rows(begin_s - _LOAD_AROUND_S, end_s + _LOAD_AROUND_S)
        return {
            "size_mb": size_mb, "write_pause_ms": pause, "bin_s": _BIN_S, "first_s": -_AROUND_S,
            "moved": per_second(moved, first_s, _BIN_S, bins), "others": per_second(still, first_s, _BIN_S, bins),
            "begin_s": 0.0, "end_s": end_s - begin_s, "switch_s": gap[1] - begin_s,
            "load": [(at_s - begin_s, metrics["tps"], metrics["p99_ms"]) for at_s, metrics in rows],
        }

    def _load_rows(self, begin_s, end_s, step_s=0.25):
        rows, at_s = [], begin_s
        while at_s < end_s:
            metrics = self.load.series.window(at_s, at_s + step_s)
            if metrics:
                rows.append((at_s + step_s / 2, metrics))
            at_s += step_s
        return rows

    def _say(self, text):
        print(f"{time.monotonic() - self.began_s:6.0f} s  {text}", file=sys.stderr, flush=True)
