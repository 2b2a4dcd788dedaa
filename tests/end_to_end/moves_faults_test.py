"""The worst happens at every point of a move (MOSAIC_FAULT): the proxy that moves is killed, stops for longer than its lease
and goes on, or loses its connection; or it stops there and the other proxy, the source, the target or the catalog's node is
killed, or frozen for five seconds. Afterwards the move has ended, one side is open, nothing is left behind, and every
acknowledged write is there once.

Without further ado, what is near the switch. MOSAIC_FAULT_MATRIX=full runs all of it, "cutover,switched.back: kill" the cases
that begin so; MOSAIC_FAULT_TABLE=FILE writes a table of how each case ended: FAULTS.md beside this file is one."""

import os
import signal
import time
import unittest

import psycopg2

from harness.moves import MovesTest, is_stopped
from harness.processes import wait_until

# In the order in which a move comes by; "undo" and "abort" are those of another way.
FORWARD = ["prepare.guarded", "prepare.dumped", "prepare.target", "prepare.source", "prepare.published", "prepare.slot",
           "prepare.subscribed", "copy.begun", "copy.table", "copy.done", "index.done", "catch_up.enabled", "catch_up.marker",
           "verify.done", "ready.slot", "ready.subscribed", "cutover.held", "cutover.drained", "cutover.closed", "cutover.marker",
           "cutover.opened", "cutover.flipped", "switched.closed", "switched.opened", "switched.dropped", "switched.back",
           "soak.begun", "finish.dropped", "finish.schema"]
ABORT = ["abort.dropped", "abort.schema"]
ACTIONS = ["kill", "drop", "zombie", "other kill", "other zombie", "source kill", "source frozen", "target kill", "target frozen",
           "catalog kill", "catalog frozen"]
SHORT = [("cutover.closed", "kill"), ("cutover.opened", "zombie"), ("cutover.flipped", "source kill"),
         ("cutover.marker", "target kill"), ("switched.closed", "catalog frozen"), ("abort.dropped", "drop")]
SHARD = 3


TABLE_HEAD = """# Faults at every point of a move

Written by `MOSAIC_FAULT_MATRIX=full MOSAIC_FAULT_TABLE=FAULTS.md python3 tests/end_to_end/moves_faults_test.py`, which `./test.sh
--full` runs. A row is a point that a move comes by (`admin/move/fault_points.cpp`), a column what happens there: the proxy that
moves is killed, loses a connection (drop), or is stopped for longer than its lease (zombie); the other proxy, or the node of the
source, of the target or of the catalog is killed or frozen for five seconds. Three shards are written to through both proxies
meanwhile. A cell is how the move ended; in each of them one side was open then, nothing was left behind, and every
acknowledged write was there once. "failed": it was not so. Empty: not run.
"""


class MoveFaults(MovesTest):
    node_count = 3
    shards = 9  # 0 to 2 on pg1, which has the catalog; 3 to 5 on pg2; 6 to 8 on pg3
    config = {"moves": {"lease": 1.5}, "pool": {"query_wait_timeout": 60, "server_login_retry": 0.1},
              "catalog": {"connect_timeout": 1}}

    def setUp(self):
        super().setUp()
        self.nodes = dict(zip(("catalog", "source", "target"), self.cluster.nodes))

    def cases(self):
        wanted = os.environ.get("MOSAIC_FAULT_MATRIX")
        if not wanted:
            return SHORT
        begins = ("",) if wanted == "full" else tuple(wanted.split(","))
        every = [(point, action) for point in FORWARD + ABORT for action in ACTIONS]
        return [case for case in every if ": ".join(case).startswith(begins)]

    def start_with_fault(self, fault):
        mosaic = self.cluster.mosaic
        mosaic.kill()
        os.environ["MOSAIC_FAULT"] = fault
        try:
            mosaic.start()
        finally:
            del os.environ["MOSAIC_FAULT"]

    def on_either(self, command):
        """Through whichever proxy answers; nothing while the catalog is away."""
        for port in (self.other.port, self.cluster.port):
            try:
                connection = psycopg2.connect(host="127.0.0.1", port=port, user="operator", password="operator", dbname="mosaic",
                                              connect_timeout=5)
            except psycopg2.Error:
                continue
            connection.autocommit = True
            try:
                with connection.cursor() as cursor:
                    cursor.execute(command)
                    names = [column.name for column in cursor.description or []]
                    return [dict(zip(names, row)) for row in cursor.fetchall()] if names else []
            except psycopg2.Error:
                continue
            finally:
                connection.close()
        return []

    def state(self, move):
        return next((row["state"] for row in self.on_either("SHOW MOVES") if row["move"] == move), None)

    def strike(self, action):
        """What happens while the proxy that moves stands at its point."""
        mosaic = self.cluster.mosaic
        if action == "kill":
            wait_until(lambda: not mosaic.is_running(), "the proxy to be killed")
            return
        if action == "drop":
            return
        wait_until(lambda: is_stopped(mosaic.pid), "the proxy to stop")
        victim, _, what = action.rpartition(" ")
        if victim == "":
            self.let_pass(3)  # its lease runs out
            mosaic.send_signal(signal.SIGCONT)
        elif victim == "other" and what == "kill":
            self.other.kill()
            mosaic.send_signal(signal.SIGCONT)
        elif victim == "other":
            self.other.send_signal(signal.SIGSTOP)
            mosaic.send_signal(signal.SIGCONT)
            self.let_pass(5)
            self.other.send_signal(signal.SIGCONT)
        elif what == "kill":
            self.nodes[victim].kill()
            mosaic.send_signal(signal.SIGCONT)
            self.nodes[victim].start()
        else:
            self.nodes[victim].suspend()
            mosaic.send_signal(signal.SIGCONT)
            self.let_pass(5)
            self.nodes[victim].resume()

    @staticmethod
    def let_pass(seconds):
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > seconds, f"{seconds} s")

    def run_case(self, point, action):
        self.start_with_fault(f"{point}:{action if action in ('kill', 'drop') else 'stop'}")
        with self.checker(SHARD, SHARD + 1, SHARD + 3, breaks_things=True, pause_s=0.02) as checker:
            move = self.move_by_the_one_with_the_fault(point)
            if point in ABORT:
                self.console(f"CANCEL MOVE {move}")
            self.strike(action)
            state = wait_until(lambda: (ended := self.state(move)) in ("complete", "aborted", "returned") and ended,
                               lambda: f"move {move} to end: {self.on_either('SHOW MOVES')}", 60)
            self.start_what_was_killed()
            checker.wait_for_turns(3)
        self.assertEqual(checker.findings(), [], (point, action))
        wait_until(lambda: self.node_of_shard(SHARD) in ("pg2", "pg3"), "the map to be told")
        self.assert_tidy(SHARD, self.nodes["target" if state == "complete" else "source"])
        return state, sum(len(client.turns) for client in checker.clients)

    def move_by_the_one_with_the_fault(self, point):
        """Either proxy may take it."""
        pid = self.cluster.mosaic.pid
        own = wait_until(lambda: [row["proxy"] for row in self.console("SHOW PROXIES")[0] if row["pid"] == pid],
                         "the proxy to be known")[0]
        while True:
            move = self.move(SHARD, "pg3", soak="300 ms", rate="20kB/s" if point in ABORT else "0")
            proxy = wait_until(lambda: not self.cluster.mosaic.is_running() or is_stopped(self.cluster.mosaic.pid) or
                               self.row_of(move)["proxy"], "somebody to take the move")
            if proxy in (True, own):
                return move
            self.console(f"CANCEL MOVE {move}")
            self.wait_for_all()
            self.bring_back(SHARD, node="pg2")

    def row_of(self, move):
        return next((row for row in self.on_either("SHOW MOVES") if row["move"] == move), {"proxy": ""})

    def start_what_was_killed(self):
        for proxy in (self.cluster.mosaic, self.other):
            if proxy.is_running():
                proxy.send_signal(signal.SIGCONT)  # of a case that has failed
            else:
                proxy.start()

    def test_matrix(self):
        table = []
        for point, action in self.cases():
            with self.subTest(f"{point}: {action}"):
                began, verdict, turns = time.monotonic(), "failed", 0
                try:
                    verdict, turns = self.run_case(point, action)
                except BaseException as error:  # all that fails is told at once, not after hours
                    print(f"{point}: {action}: {error}", flush=True)
                    raise
                finally:
                    print(f"{point:<20} {action:<15} {verdict:<10} {time.monotonic() - began:5.1f} s {turns:6} turns", flush=True)
                    table.append((point, action, verdict))
                    self.start_what_was_killed()
                    self.wait_for_all()
                    self.bring_back(SHARD, node="pg2")
        if path := os.environ.get("MOSAIC_FAULT_TABLE"):
            self.write_table(path, table)

    @staticmethod
    def write_table(path, cases):
        verdicts = {(point, action): verdict for point, action, verdict in cases}
        points = list(dict.fromkeys(point for point, _, _ in cases))
        width = max(map(len, points))
        with open(path, "w") as file:
            print(TABLE_HEAD, file=file)
            print(f"| {'point':<{width}} | " + " | ".join(ACTIONS) + " |", file=file)
            print(f"|-{'-' * width}-|" + "|".join("-" * (len(action) + 2) for action in ACTIONS) + "|", file=file)
            for point in points:
                cells = [f"{verdicts.get((point, action), ''):<{len(action)}}" for action in ACTIONS]
                print(f"| {point:<{width}} | " + " | ".join(cells) + " |", file=file)


if __name__ == "__main__":
    unittest.main()
