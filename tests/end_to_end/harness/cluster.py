"""What a test class runs against: 1 to 3 PostgreSQL nodes, provisioned by `mosaic init`, and a running `mosaic`.

EndToEndTest starts one cluster per test class and checks at the end that mosaic leaves cleanly. With
MOSAIC_E2E_TARGET=plain the same tests run against one plain PostgreSQL with the tables in `public`: that is how the
test scripts themselves are checked (classes whose subject is Mosaic say `needs_mosaic = True` and refuse).
"""

import contextlib
import ctypes
import itertools
import os
import re
import struct
import sys
import unittest

import psycopg2

from .mosaic_process import MosaicProcess, run_mosaic
from .postgres_node import APP_PASSWORD, APP_USER, DATABASE, PostgresNode
from .processes import make_folder, reserve_port, run, unprivileged_user, wait_until

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PHOTOS_SCHEMA = os.path.join(SOURCE, "..", "..", "conf", "photos.sql")
SAMPLES_SCHEMA = os.path.join(SOURCE, "samples.sql")
_MARKS = itertools.count()
_XXHASH = ctypes.CDLL("libxxhash.so.0")
_XXHASH.XXH3_64bits.restype = ctypes.c_uint64

# next_id() of a plain PostgreSQL: the same layout as in shard 0, so that ids look alike.
_PLAIN_NEXT_ID = """
CREATE SEQUENCE next_id_sequence;
CREATE FUNCTION next_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint - 1314220021721) << 23 | nextval('next_id_sequence') % 1024 $$;
"""


def is_plain():
    return os.environ.get("MOSAIC_E2E_TARGET") == "plain"


def toml(value):
    """A Python value as TOML: dict values become tables, everything else is written inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def render_config(sections):
    lines = []
    for name, section in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {toml(value)}" for key, value in section.items()]
        lines.append("")
    return "\n".join(lines)


class Cluster:
    schemas = (PHOTOS_SCHEMA, SAMPLES_SCHEMA)  # what `mosaic init` gets

    def __init__(self, node_count=2, shards=16, config=None, node_settings=None, folder=None):
        """`config`: {"section": {"key": value}} merged over the defaults; `node_settings`: for postgresql.conf of each node;
        `folder`: for everything, else a temporary one. Starts nothing."""
        self.folder = folder or make_folder(unprivileged_user(), in_memory=True)
        self.nodes = [PostgresNode(f"pg{number + 1}", self.folder, node_settings) for number in range(node_count)]
        self.port = self.nodes[0].port if is_plain() else reserve_port()
        self.config_path = os.path.join(self.folder, "mosaic.toml")
        self.users_path = os.path.join(self.folder, "users.txt")
        self.schema_path = os.path.join(self.folder, "schema.sql")
        self.state_folder = os.path.join(self.folder, "state")
        self.mosaic = MosaicProcess(self.config_path, self.port, os.path.join(self.folder, "mosaic.log"))
        self.shards = shards
        self.sections = self._default_sections()
        for section, values in (config or {}).items():
            self.sections.setdefault(section, {}).update(values)
        self.write_files()

    def _default_sections(self):
        sections = {
            "mosaic": {"workers": 2, "state_dir": self.state_folder},
            "listen": {"address": "127.0.0.1", "port": self.port},
            "database": {"name": DATABASE, "application_users": [APP_USER]},
            "auth": {"type": "scram-sha-256", "file": self.users_path, "admin_users": ["operator"],
                     "stats_users": ["watcher"]},
            "catalog": {"node": self.nodes[0].name, "poll_interval": 1, "connect_timeout": 2},
        }
        for node in self.nodes:
            sections[f"nodes.{node.name}"] = {"host": "127.0.0.1", "port": node.port, "dbname": DATABASE,
                                              "admin_user": "postgres"}
        sections["shards"] = {"count": self.shards, "function": "xxh3"}
        sections["pool"] = {"default_pool_size": 20, "query_wait_timeout": 30}
        for table in ("media", "comments"):
            sections[f"tables.{table}"] = {"key": "user_id", "id": "id"}
        for table in ("users", "likes", "follows", "samples"):
            sections[f"tables.{table}"] = {"key": "user_id"}
        sections["tables.countries"] = {"reference": True}
        sections["tables.app_settings"] = {"node": self.nodes[-1].name}
        return sections

    def write_files(self):
        """(Re)writes config, users and schema; call it after changing `sections`."""
        os.makedirs(self.state_folder, exist_ok=True)
        with open(self.config_path, "w") as config:
            config.write(render_config(self.sections))
        with open(self.users_path, "w") as users:
            users.write(f'"{APP_USER}" "{APP_PASSWORD}"\n"operator" "operator"\n"watcher" "watcher"\n')
        with open(self.schema_path, "w") as schema:
            for path in self.schemas:
                with open(path) as part:
                    schema.write(part.read() + "\n")

    def start_nodes(self):
        for node in self.nodes:
            node.start()

    def initialise(self):
        """`mosaic init`, or its equivalent in `public` of a plain PostgreSQL."""
        if not is_plain():
            return run_mosaic("init", self.config_path, "--schema", self.schema_path)
        with open(self.schema_path) as schema:
            self.nodes[0].query(_PLAIN_NEXT_ID + schema.read())
        self.nodes[0].query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP_USER}; "
                            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {APP_USER}")

    def start(self):
        self.start_nodes()
        self.initialise()
        if not is_plain():
            self.mosaic.start()

    def stop(self):
        """Mosaic must leave cleanly; the nodes are stopped whether it does or not."""
        try:
            self.mosaic.clean_stop()
        finally:
            self.mosaic.kill()
            for node in self.nodes:
                node.stop()

    # --- where rows belong, worked out without asking mosaic

    def shard_of(self, user_id):
        if self.sections["shards"]["function"] == "modulo":
            return user_id % self.shards
        return _XXHASH.XXH3_64bits(struct.pack("<q", user_id), ctypes.c_size_t(8)) % self.shards

    def shards_on(self, node):
        """The shards whose schemas exist on a node."""
        rows = node.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^shard_[0-9]{4}$' ORDER BY 1")
        return [int(name[len("shard_"):]) for name, in rows]

    def node_of(self, user_id):
        shard = self.shard_of(user_id)
        return next(node for node in self.nodes if shard in self.shards_on(node))

    def users_on(self, node, count, first=1):
        """The first `count` user ids from `first` whose shard is on the node."""
        here = set(self.shards_on(node))
        users, user = [], first
        while len(users) < count:
            if self.shard_of(user) in here:
                users.append(user)
            user += 1
        return users

    def stored(self, table, columns):
        """Every row of a sharded table over all nodes: [(node name, shard, *columns)]."""
        rows = []
        for node in self.nodes:
            parts = [f"SELECT {shard}, {columns} FROM shard_{shard:04}.{table}" for shard in self.shards_on(node)]
            if parts:
                rows += [(node.name, *row) for row in node.query(" UNION ALL ".join(parts))]
        return rows

    def create_reference(self, name="reference"):
        """A plain database with the same schema in `public`, on the first node: what a direct connection sees."""
        node = self.nodes[0]
        node.query(f"CREATE DATABASE {name}", database="postgres")
        with open(self.schema_path) as schema:
            node.query(_PLAIN_NEXT_ID + schema.read(), database=name)
        node.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP_USER}; "
                   f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {APP_USER}", database=name)
        return dict(self.address(), port=node.port, dbname=name)

    # --- talking to it

    def psql(self, *arguments, script=None, address=None, check=True, deadline_s=60.0):
        """Runs psql against mosaic (or `address`) without ~/.psqlrc; `script` goes to its standard input."""
        address = address or self.address()
        environment = dict(os.environ, PGPASSWORD=address["password"])
        command = ["psql", "-X", "-h", address["host"], "-p", str(address["port"]), "-U", address["user"],
                   "-d", address["dbname"], "-v", "ON_ERROR_STOP=1", *arguments]
        return run(command, input_text=script, env=environment, check=check, deadline_s=deadline_s)

    def address(self, user=APP_USER, database=DATABASE):
        return {"host": "127.0.0.1", "port": self.port, "user": user,
                "password": APP_PASSWORD if user == APP_USER else user, "dbname": database}

    def url(self, scheme="postgresql"):
        return f"{scheme}://{APP_USER}:{APP_PASSWORD}@127.0.0.1:{self.port}/{DATABASE}"

    def console(self, command, user="operator", database="mosaic"):
        """One console command; returns its rows as dictionaries (console values are text or numbers)."""
        connection = psycopg2.connect(**self.address(user, database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(command)
                if not cursor.description:
                    return []
                names = [column.name for column in cursor.description]
                return [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            connection.close()

    def another_mosaic(self, name, **mosaic):
        """A second process on the same nodes and catalog, with these keys of [mosaic]; not started."""
        port = reserve_port()
        settings = dict({"workers": 1, "state_dir": os.path.join(self.folder, f"{name}-state")}, **mosaic)
        path = os.path.join(self.folder, f"{name}.toml")
        with open(path, "w") as config:
            config.write(render_config(dict(self.sections, listen={"address": "127.0.0.1", "port": port}, mosaic=settings)))
        return MosaicProcess(path, port, os.path.join(self.folder, f"{name}.log"))

    def log_so_far(self):
        """The log with all that has happened by now: lines are written a little later, in their order."""
        mark = f"mark{next(_MARKS)}"

        def has_come():
            if re.search(rf"console_command_failed.*{mark}.*\n", self.mosaic.log_text()):
                return True
            with contextlib.suppress(psycopg2.Error):  # what is refused is logged, within log_rate_limit
                self.console(f"ADD NODE {mark} DRY RUN")
            return False
        wait_until(has_come, "the log to come to here")
        return self.mosaic.log_text()

    @contextlib.contextmanager
    def held_back(self, key, node=None):
        """Until it ends, a statement on `node` (default: the first) that calls pg_advisory_xact_lock(key) does not."""
        connection = (node or self.nodes[0]).connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
            yield
        finally:
            connection.close()

    def wait_until_no_cancel_runs(self):
        counters = ("cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_being_canceled")
        wait_until(lambda: not any(int(row[name]) for row in self.console("SHOW POOLS") for name in counters),
                   "cancel requests to be done")

    def wait_for_active(self, fragment, deadline_s=20.0):
        """Waits until some node runs a statement that contains `fragment`; returns the node."""
        sql = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
               "AND position(%s in query) > 0 AND application_name <> 'e2e-direct'")
        return wait_until(lambda: next((node for node in self.nodes if node.query(sql, (fragment,))[0][0]), None),
                          f"a node to run {fragment!r}", deadline_s)

    def wait_until_idle(self, fragment, deadline_s=20.0):
        """Waits until no node runs a statement that contains `fragment`."""
        sql = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
               "AND position(%s in query) > 0 AND application_name <> 'e2e-direct'")
        wait_until(lambda: not any(node.query(sql, (fragment,))[0][0] for node in self.nodes),
                   f"every node to stop running {fragment!r}", deadline_s)


class EndToEndTest(unittest.TestCase):
    """Class attributes say what to start; `self.cluster` is it."""

    node_count = 2
    shards = 16
    config = {}
    node_settings = {}
    needs_mosaic = False
    cluster = None
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if cls.needs_mosaic and is_plain():
            raise RuntimeError(f"{cls.__name__} tests Mosaic itself: it has no meaning against a plain PostgreSQL")
        cls.cluster = Cluster(cls.node_count, cls.shards, cls.config, cls.node_settings)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def run(self, result=None):
        problems = len(result.errors) + len(result.failures)
        outcome = super().run(result)
        if len(result.errors) + len(result.failures) > problems:
            print(f"\n{self.id()} failed.\n{self.cluster.mosaic.log_tail()}", file=sys.stderr)
        return outcome

    def setUp(self):
        if not is_plain():
            self.cluster.mosaic.assert_alive()
