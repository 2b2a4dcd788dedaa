"""One PostgreSQL server for a test: copied from a cached initdb, started, stopped, killed, suspended.

The superuser `postgres` is trusted on loopback, the role `app` logs in with SCRAM and the password `app`, the database
is `photos`. Knows nothing of Mosaic: what `mosaic init` creates is not here.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile

import psycopg2

from .processes import children_of, reserve_port, run, send_signal, spawn, unprivileged_user, wait_until

BINARIES = os.environ.get("MOSAIC_POSTGRES_BINARIES", "/usr/lib/postgresql/15/bin")
DATABASE = "photos"
APP_USER = "app"
APP_PASSWORD = "app"

_HBA = """\
local all all trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
_BOOTSTRAP = f"""\
CREATE ROLE {APP_USER} LOGIN PASSWORD '{APP_PASSWORD}';
CREATE DATABASE {DATABASE};
"""
# Crash-safe against kill -9 of the processes (what the failure tests do), not against power loss.
_SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB", "max_connections": "200",
    "max_parallel_workers": "0", "autovacuum": "off", "jit": "off", "dynamic_shared_memory_type": "mmap",
    "listen_addresses": "127.0.0.1", "log_line_prefix": "%m [%p] %a ", "timezone": "UTC",
}


def _template():
    """The folder of a finished initdb, made once per machine, PostgreSQL version, user and bootstrap."""
    version = run([f"{BINARIES}/postgres", "--version"]).stdout.split()[2]
    digest = hashlib.sha256((_HBA + _BOOTSTRAP).encode()).hexdigest()[:8]
    path = os.path.join(tempfile.gettempdir(), f"mosaic-e2e-initdb-{version}-{digest}-{os.getuid()}")
    user = unprivileged_user()
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(path):
            return path
        unfinished = tempfile.mkdtemp(prefix="mosaic-e2e-initdb-")
        if user:
            shutil.chown(unfinished, user)
        folder = f"{unfinished}/data"
        run([f"{BINARIES}/initdb", "-D", folder, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync", "--wal-segsize=4"], user=user)
        with open(f"{folder}/pg_hba.conf", "w") as hba:
            hba.write(_HBA)
        run([f"{BINARIES}/postgres", "--single", "-D", folder, "postgres"], user=user, input_text=_BOOTSTRAP)
        os.rename(folder, path)
        os.rmdir(unfinished)
        return path


class PostgresNode:
    def __init__(self, name, folder, settings=None):
        """A stopped node with its files below `folder` (which the unprivileged user must be able to enter).

        `settings` are merged over those of the tests.
        """
        self.settings = dict(_SETTINGS, **(settings or {}))
        self.name = name
        self.port = reserve_port()
        self.folder = os.path.join(folder, name)
        self.log_path = os.path.join(folder, f"{name}.log")
        self.process = None
        self._suspended = []
        subprocess.run(["cp", "-a", _template(), self.folder], check=True)

    def start(self):
        settings = dict(self.settings, port=self.port, unix_socket_directories=self.folder)
        command = [f"{BINARIES}/postgres", "-D", self.folder]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        # SIGQUIT is PostgreSQL's immediate shutdown: it takes its shared memory with it.
        self.process = spawn(command, self.log_path, user=unprivileged_user(), death_signal=signal.SIGQUIT)
        wait_until(self._answers, lambda: f"{self.name} to accept connections\n{self.log_text()[-2000:]}")

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} exited {self.process.returncode}\n{self.log_text()[-2000:]}")
        try:
            self.connect().close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self):
        """Immediate shutdown; nothing to do when the node is not running."""
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=30)
        self.process = None

    def kill(self):
        """kill -9 of the postmaster and of every backend at once, as a crash of the machine would."""
        victims = [self.process.pid] + children_of(self.process.pid)
        for pid in victims:
            send_signal(pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in victims), f"{self.name}'s processes to go")
        self.process = None

    def suspend(self):
        """SIGSTOP of every process of the node: connections stay open and nothing answers."""
        self._suspended = [self.process.pid]
        send_signal(self.process.pid, signal.SIGSTOP)
        self._suspended += children_of(self.process.pid)
        for pid in self._suspended[1:]:
            send_signal(pid, signal.SIGSTOP)

    def resume(self):
        for pid in self._suspended:
            send_signal(pid, signal.SIGCONT)
        self._suspended = []

    def connect(self, database=DATABASE, user="postgres", **options):
        """A psycopg2 connection in autocommit mode, straight to the node."""
        password = APP_PASSWORD if user == APP_USER else None
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, dbname=database, user=user, password=password,
                                      connect_timeout=10, application_name="e2e-direct", **options)
        connection.autocommit = True
        return connection

    def query(self, sql, parameters=None, database=DATABASE):
        """Runs one statement as superuser; returns its rows (an empty list when it has none)."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def log_text(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()
