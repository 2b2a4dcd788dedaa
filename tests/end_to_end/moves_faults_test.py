"""The worst happens at every point of a move (MOSAIC_FAULT): its proxy is killed, stops for longer than its lease and goes
on, or loses its connection; or it stops and the source (which has the catalog) or the target is killed meanwhile.
Afterwards the move has ended, one side is open, nothing is left behind, and every acknowledged write is there once.

MOSAIC_FAULT_MATRIX=full runs all of it and prints the table that is in tests/end_to_end/FAULTS.md; without it, what
is near the switch."""

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
ACTIONS = ["kill", "drop", "zombie", "source", "target"]
SHORT = [("copy.table", "kill"), ("cutover.closed", "kill"), ("cutover.opened", "zombie"), ("cutover.opened", "drop"),
         ("cutover.flipped", "source"), ("cutover.marker", "target"), ("abort.dropped", "kill")]


class MoveFaults(MovesTest):
    config = {"moves": {"lease": 1.5}, "pool": {"query_wait_timeout": 60, "server_login_retry": 0.1},
              "catalog": {"connect_timeout": 1}}

    def cases(self):
        if os.environ.get("MOSAIC_FAULT_MATRIX") != "full":
            return SHORT
        return [(point, action) for point in FORWARD + ABORT for action in ACTIONS]

    def start_with_fault(self, fault):
        mosaic = self.cluster.mosaic
        mosaic.kill()
        os.environ["MOSAIC_FAULT"] = fault
        try:
            mosaic.start()
        finally:
            del os.environ["MOSAIC_FAULT"]

    def on_the_other(self, command):
        """Through the proxy that nothing happens to; nothing while the catalog is away."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.other.port, user="operator", password="operator", dbname="mosaic")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(command)
                names = [column.name for column in cursor.description or []]
                return [dict(zip(names, row)) for row in cursor.fetchall()] if names else []
        except psycopg2.Error:
            return []
        finally:
            connection.close()

    def state(self, move):
        return next((row["state"] for row in self.on_the_other("SHOW MOVES") if row["move"] == move), None)

    def strike(self, action):
        """What happens while the proxy stands at its point."""
        mosaic = self.cluster.mosaic
        if action == "kill":
            wait_until(lambda: not mosaic.is_running(), "the proxy to be killed")
        if action in ("zombie", "source", "target"):
            wait_until(lambda: is_stopped(mosaic.pid), "the proxy to stop")
            if action == "zombie":
                began = time.monotonic()
                wait_until(lambda: time.monotonic() - began > 3, "the lease to run out")
            else:
                node = self.pg1 if action == "source" else self.pg2
                node.kill()
                node.start()
            mosaic.send_signal(signal.SIGCONT)

    def run_case(self, point, action):
        self.start_with_fault(f"{point}:{'stop' if action in ('zombie', 'source', 'target') else action}")
        with self.checker(0, 4, breaks_things=True) as checker:
            move = self.move(0, "pg2", soak="300 ms", rate="20kB/s" if point in ABORT else "0")
            if point in ABORT:
                self.console(f"CANCEL MOVE {move}")
            self.strike(action)
            state = wait_until(lambda: (ended := self.state(move)) in ("complete", "aborted", "returned") and ended,
                               lambda: f"move {move} to end: {self.on_the_other('SHOW MOVES')}", 60)
            if not self.cluster.mosaic.is_running():
                self.cluster.mosaic.start()
            checker.wait_for_turns(3)
        self.assertEqual(checker.findings(), [], (point, action))
        wait_until(lambda: self.node_of_shard(0) in ("pg1", "pg2"), "the map to be told")
        self.assert_tidy(0, self.pg2 if state == "complete" else self.pg1)
        return state

    def test_matrix(self):
        for point, action in self.cases():
            with self.subTest(f"{point}: {action}"):
                began, verdict = time.monotonic(), "failed"
                try:
                    verdict = self.run_case(point, action)
                finally:
                    print(f"{point:<20} {action:<8} {verdict:<10} {time.monotonic() - began:5.1f} s", flush=True)
                    if not self.cluster.mosaic.is_running():
                        self.cluster.mosaic.start()
                    self.wait_for_all()
                    self.bring_back(0)


if __name__ == "__main__":
    unittest.main()
