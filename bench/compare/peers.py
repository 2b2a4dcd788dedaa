"""The contenders: each can be started in front of a layout, has a port and (except for a direct connection) a process.

All run on loopback with one thread unless said otherwise, and log nothing per statement. Knows nothing of load.
"""

import os
import socket
import subprocess

from harness.cluster import render_config
from harness.mosaic_process import MosaicProcess
from harness.postgres_node import APP_USER
from harness.processes import reserve_port, spawn, unprivileged_user, wait_until

from .cluster import users_file_text
from .plan import CONFIGURED_WORKERS, POOL_SIZE

FORWARDER = os.environ.get("MOSAIC_FORWARDER", "")


class Peer:
    """`label` names it in the report; what each does for a statement stands in peers_text.py."""

    label = ""
    is_routing = False       # may be asked for sharded tables
    keeps_prepared = True    # prepared statements work with more clients than server connections

    def __init__(self, cluster, layout, label=None):
        self.cluster = cluster
        self.layout = layout
        self.label = label or self.label
        self.database = layout.name
        self.user = APP_USER
        self.port = None
        self.process = None
        self.config_text = ""

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def start(self):
        raise NotImplementedError

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)
        self.process = None

    def log_tail(self):
        path = self._file("log")
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()[-2000:]

    def _file(self, extension):
        return os.path.join(self.cluster.folder, f"{self.label.replace(' ', '_')}_{self.port}.{extension}")

    def _write(self, extension, text):
        path = self._file(extension)
        with open(path, "w") as file:
            file.write(text)
        return path

    def _spawn(self, command):
        self.process = spawn(command, self._file("log"), user=unprivileged_user())

        def accepts():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.label} ended at start: {self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return True
            except OSError:
                return False

        wait_until(accepts, f"{self.label} to listen on {self.port}")


class Direct(Peer):
    label = "direct"

    def start(self):
        self.port = self.cluster.nodes[0].port


class Forwarder(Peer):
    label = "forwarder"

    def start(self):
        self.port = reserve_port()
        self._spawn([FORWARDER, str(self.port), str(self.cluster.nodes[0].port)])


class HaProxy(Peer):
    label = "haproxy"

    def start(self):
        self.port = reserve_port()
        self.config_text = f"""global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:{self.port}
  server pg1 127.0.0.1:{self.cluster.nodes[0].port}
"""
        self._spawn(["/usr/sbin/haproxy", "-db", "-f", self._write("cfg", self.config_text)])


class PgBouncer(Peer):
    label = "pgbouncer"
    keeps_prepared = False  # Debian 12 has 1.18; prepared statements in transaction mode came with 1.21

    def __init__(self, cluster, layout, mode="transaction", pool_size=POOL_SIZE, auth="trust", secret="app", label=None):
        super().__init__(cluster, layout, label)
        self.mode, self.pool_size, self.auth, self.secret = mode, pool_size, auth, secret

    def databases(self):
        """{name that clients ask for: node}"""
        return {self.database: self.cluster.nodes[0]}

    def start(self):
        self.port = reserve_port()
        databases = "\n".join(f"{name} = host=127.0.0.1 port={node.port} dbname={self.database}"
                              for name, node in self.databases().items())
        self.config_text = f"""[databases]
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = {self.auth}
auth_file = {self._write("users", users_file_text(self.secret))}
pool_mode = {self.mode}
default_pool_size = {self.pool_size}
max_client_conn = 12000
query_wait_timeout = 120
listen_backlog = 4096
log_connections = 0
log_disconnections = 0
ignore_startup_parameters = extra_float_digits
"""
        self._spawn(["/usr/sbin/pgbouncer", "-q", self._write("ini", self.config_text)])


class ShardedPgBouncer(PgBouncer):
    """The same nodes and shards as Mosaic's, found by the application: a database per node, schemas in the statements."""

    label = "pgbouncer, three nodes"

    def databases(self):
        return {f"{self.database}_{node.name}": node for node in self.cluster.nodes[:self.layout.nodes]}


class Mosaic(Peer):
    label = "mosaic"
    is_routing = True

    def __init__(self, cluster, layout, pool_size=POOL_SIZE, workers=1, auth="trust", secret="app", prepared_max=None,
                 label=None):
        super().__init__(cluster, layout, label)
        self.pool_size, self.workers, self.auth, self.secret = pool_size, workers, auth, secret
        self.prepared_max = prepared_max
        self.mosaic = None

    @property
    def pid(self):
        return self.mosaic.pid if self.mosaic else None

    def start(self):
        self.port = reserve_port()
        pool = {"default_pool_size": self.pool_size}
        if self.prepared_max:
            pool["max_prepared_statements"] = self.prepared_max
        auth = {"type": self.auth}
        if self.auth != "trust":
            auth["file"] = self._write("users", users_file_text(self.secret))
        state = self._file("state")
        os.makedirs(state, exist_ok=True)
        self.config_text = render_config(self.cluster.config_of(
            self.layout, mosaic={"workers": self.workers, "state_dir": state}, listen={"port": self.port}, pool=pool,
            auth=auth))
        self.mosaic = MosaicProcess(self._write("toml", self.config_text), self.port, self._file("log"))
        self.mosaic.start()

    def stop(self):
        if self.mosaic:
            self.mosaic.kill()
        self.mosaic = None


class ConfiguredMosaic(Mosaic):
    """As the demo is configured (conf/photos.toml): nothing is trimmed to be like a peer."""

    label = "mosaic, as configured"

    def __init__(self, cluster, layout):
        super().__init__(cluster, layout, pool_size=POOL_SIZE, workers=CONFIGURED_WORKERS)


class PlainMosaic(Mosaic):
    """The same process, asked for the tables that are not sharded."""

    label = "mosaic, unsharded"
    is_routing = False


class Running:
    """Context: the peers run inside it, and are stopped whatever happens."""

    def __init__(self, *peers):
        self.peers = peers

    def __enter__(self):
        try:
            for peer in self.peers:
                peer.start()
        except BaseException:
            self.__exit__()
            raise
        return self.peers

    def __exit__(self, *_):
        for peer in self.peers:
            peer.stop()


def versions():
    """What runs here, by its own word."""
    commands = {
        "PostgreSQL": ["/usr/lib/postgresql/15/bin/postgres", "--version"],
        "pgbench": ["pgbench", "--version"],
        "PgBouncer": ["/usr/sbin/pgbouncer", "--version"],
        "HAProxy": ["/usr/sbin/haproxy", "-v"],
        "sysbench": ["sysbench", "--version"],
        "Mosaic": [os.environ["MOSAIC_BINARY"], "version"],
    }
    return {name: subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
            for name, command in commands.items()}
