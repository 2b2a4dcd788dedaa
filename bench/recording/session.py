"""The recorded session: one bad night on the running demo, and the console's answers to the questions that it raises.
Run by record.sh.

    session.py console.cast"""

import os
import signal
import subprocess
import sys
import tempfile
import time

from typist import Typist

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
APPLICATION = "host=127.0.0.1 port=6432 dbname=photos user=app password=app"
CONSOLE = "host=127.0.0.1 port=6432 dbname=mosaic user=app password=app"
WORKLOAD = os.path.join(ROOT, "build/release/bench/photo_workload")
TRAFFIC_S = 240  # longer than the recording; it is stopped at the end
USER = 1001  # whose row is locked: nobody of the demo, on pg1
FROZEN = "pg2"
COLUMNS, ROWS = 120, 34


def console(query):
    """The console's answer as unaligned text."""
    done = subprocess.run(["psql", "-XAtq", CONSOLE, "-c", query], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"The demo does not answer; ./quickstart.sh starts it. {done.stderr}")
    return done.stdout


def wait_until(is_true, what, limit_s=30):
    deadline = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_s} s for {what}")
        time.sleep(0.1)


class Application:
    """One client of the application: a psql that runs what it is given, one statement behind the other."""

    def __init__(self, name):
        self._psql = subprocess.Popen(["psql", "-Xq", f"{APPLICATION} application_name={name}"], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, statement):
        self._psql.stdin.write(statement + ";\n")
        self._psql.stdin.flush()

    def close(self):
        self._psql.stdin.close()
        self._psql.wait()


class Node:
    """A node of the demo. Frozen, all its processes are stopped: connections stay open and nothing answers."""

    def __init__(self, name):
        with open(os.path.join(ROOT, ".mosaic/nodes", name, "postmaster.pid"), encoding="ascii") as file:
            self._postmaster = int(file.readline())
        self._frozen = []

    def freeze(self):
        self._stop(self._postmaster)  # first: it starts no more of them
        with open(f"/proc/{self._postmaster}/task/{self._postmaster}/children", encoding="ascii") as file:
            for pid in file.read().split():
                self._stop(int(pid))

    def _stop(self, pid):
        self._frozen.append(pid)
        os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        """Harmless when it is not frozen."""
        while self._frozen:
            os.kill(self._frozen.pop(), signal.SIGCONT)


def state_of(node):
    return console(f"SHOW NODES WHERE name = {node}").split("|")[4]


def tell(typist, node, job, other):
    ask = typist.type
    ask(f'psql "{CONSOLE}"', 0.5)
    ask(r"\x auto \pset format wrapped \pset border 0", 0.5)
    ask("-- The application hangs. Who waits, since when?")
    ask("SHOW POOLS WHERE database = photos;", 3.5)
    ask("-- Which client longest, and for what?")
    ask("SHOW CLIENTS WHERE state = waiting ORDER BY wait DESC LIMIT 1;", 3.5)
    ask("-- What does each run, for how long?")
    ask("SHOW ACTIVITY ORDER BY query_time DESC LIMIT 5;", 5)
    ask("-- Is a node in trouble?")
    ask(f"SHOW NODES WHERE name = {FROZEN};", 3.5)
    node.thaw()
    ask("-- It is back. What has happened?")
    wait_until(lambda: state_of(FROZEN) == "up", f"{FROZEN} to be up")
    ask("SHOW EVENTS WHERE event = node ORDER BY time DESC LIMIT 2;", 5)
    ask("-- Who waits for whose locks?")
    ask(r"SHOW BLOCKERS \gx", 5)
    ask("-- Which server connection is that?")
    ask("SHOW SERVERS WHERE application_name = nightly_job;", 3.5)
    job.run("COMMIT")
    other.close()
    ask("-- Which shards are hot?")
    ask("SHOW HEAT LIMIT 4;", 4)
    ask("-- Which statements are slow?")
    ask("SHOW SHAPES ORDER BY p99_time DESC LIMIT 3;", 4.5)
    ask("-- Which limits are near?")
    ask("SHOW LIMITS ORDER BY used_max DESC LIMIT 5;", 3.5)
    ask("-- What keeps sessions apart?")
    ask("SHOW SESSION_STATE;", 3)
    ask("-- What is configured?")
    ask("SHOW CONFIG WHERE key = default_pool_size;", 3)
    typist.leave(r"\q")


def main(cast):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # what is below cleans up
    console("SHOW VERSION")
    traffic = subprocess.Popen([WORKLOAD, "--conninfo", f"{APPLICATION} application_name=web", "--connections", "64",
                                "--mode", "prepared", "--duration", str(TRAFFIC_S), "--statement-timeout", "120"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job, other = Application("nightly_job"), Application("web")
    node = Node(FROZEN)
    try:
        wait_until(lambda: "|INSERT INTO likes" in console("SHOW ACTIVITY"), "traffic of all kinds")
        job.run(f"INSERT INTO media (user_id, caption) VALUES ({USER}, 'sunrise')")
        job.run("BEGIN")
        job.run(f"UPDATE media SET caption = upper(caption) WHERE user_id = {USER}")
        wait_until(lambda: "|nightly_job|" in console("SHOW SERVERS"), "the nightly job's transaction")
        other.run(f"UPDATE media SET caption = 'sunset' WHERE user_id = {USER}")
        other.run(f"DELETE FROM media WHERE user_id = {USER}")
        wait_until(lambda: console("SHOW BLOCKERS").count("\n") == 2, "a client that waits for it")
        node.freeze()
        wait_until(lambda: state_of(FROZEN) == "slow", f"{FROZEN} to be found slow")
        with tempfile.TemporaryDirectory() as home:
            tell(Typist(cast, home, COLUMNS, ROWS), node, job, other)
    finally:
        node.thaw()
        job.close()
        other.close()
        traffic.terminate()
        traffic.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
