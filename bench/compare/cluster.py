"""Three PostgreSQL nodes, and on them the same tables in several layouts of shards, filled before anything is measured.

A layout is a database with a catalog of its own. Each has sharded tables (`items`, ...), created by `mosaic init`, and
twins of them that no shard map knows (`plain_items`, ...) on the first node: what peers without routing are asked for.
"""

import os
import sys
import time
from dataclasses import dataclass

from harness.cluster import Cluster as TestCluster
from harness.cluster import render_config
from harness.mosaic_process import run_mosaic
from harness.postgres_node import APP_PASSWORD, APP_USER, PostgresNode
from harness.processes import make_folder, unprivileged_user

SYSBENCH_ROWS = 10_000         # of the sharded table
SYSBENCH_PLAIN_ROWS = 100_000  # many, so that its transactions seldom deadlock (each costs a second)
BLOB_BYTES = 1_000_000
BLOBS = 8

_SCHEMAS = {
    "items": "CREATE TABLE {0}items (user_id bigint PRIMARY KEY, note text NOT NULL);",
    "events": "CREATE TABLE {0}events (user_id bigint NOT NULL, note text NOT NULL);",
    "blobs": "CREATE TABLE {0}blobs (user_id bigint PRIMARY KEY, body text NOT NULL);"
             "ALTER TABLE {0}blobs ALTER body SET STORAGE EXTERNAL;",
    "copied": "CREATE TABLE {0}copied (user_id bigint NOT NULL, note text NOT NULL);",
}
_SYSBENCH_TABLE = """
CREATE TABLE sbtest1 (id integer PRIMARY KEY, k integer NOT NULL, c char(120) NOT NULL, pad char(60) NOT NULL);
CREATE INDEX k_1 ON sbtest1 (k);
"""
# Fast and even: what is measured is not the disk. Loopback is trusted, so that logins cost only where they are asked about.
_SETTINGS = {"max_connections": "600", "shared_buffers": "256MB", "max_locks_per_transaction": "512",
             "max_wal_size": "2GB", "checkpoint_timeout": "1h"}
_HBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


@dataclass(frozen=True)
class Layout:
    name: str       # of the database
    shards: int
    nodes: int      # the first so many
    tables: tuple = ("items",)  # sharded; each has an unsharded twin
    has_sysbench: bool = False  # sbtest1 is sharded too; else it is there once, unsharded


THREE_NODES = Layout("three", shards=1024, nodes=3, tables=("items", "events", "blobs", "copied"), has_sysbench=True)
ONE_NODE = {shards: Layout(f"one{shards}", shards=shards, nodes=1) for shards in (1, 64, 1024)}


class BenchCluster:
    def __init__(self):
        self.folder = make_folder(unprivileged_user())
        hba = os.path.join(self.folder, "pg_hba.conf")
        with open(hba, "w") as file:
            file.write(_HBA)
        self.nodes = [PostgresNode(f"pg{number}", self.folder, dict(_SETTINGS, hba_file=hba)) for number in (1, 2, 3)]
        self._ready = set()

    def start(self):
        for node in self.nodes:
            node.start()

    def stop(self):
        for node in self.nodes:
            node.stop()

    def config_of(self, layout, **changes):
        """Mosaic's configuration for a layout, as {section: {key: value}}; `changes` are merged over it."""
        sections = {
            "mosaic": {"workers": 1, "state_dir": os.path.join(self.folder, "state"), "log_level": "warning"},
            "listen": {"address": "127.0.0.1"},
            "database": {"name": layout.name, "application_users": [APP_USER]},
            "auth": {"type": "trust"},
            "catalog": {"node": "pg1"},
        }
        for node in self.nodes[:layout.nodes]:
            sections[f"nodes.{node.name}"] = {"host": "127.0.0.1", "port": node.port, "dbname": layout.name,
                                              "admin_user": "postgres"}
        sections["shards"] = {"count": layout.shards, "function": "xxh3"}
        sections["pool"] = {}
        sections["limits"] = {"max_client_conn": 20_000}
        for table in layout.tables:
            sections[f"tables.{table}"] = {"key": "user_id"}
        if layout.has_sysbench:
            sections["tables.sbtest1"] = {"key": "id"}
        for section, values in changes.items():
            sections[section].update(values)
        return sections

    def prepare(self, layout, plan):
        """Creates and fills a layout; the second time there is nothing to do."""
        if layout.name in self._ready:
            return
        begin_s = time.monotonic()
        for node in self.nodes[:layout.nodes]:
            node.query(f"CREATE DATABASE {layout.name}", database="postgres")
        config_path = os.path.join(self.folder, f"init_{layout.name}.toml")
        schema_path = os.path.join(self.folder, f"schema_{layout.name}.sql")
        os.makedirs(os.path.join(self.folder, "state"), exist_ok=True)
        with open(config_path, "w") as file:
            file.write(render_config(self.config_of(layout)))
        with open(schema_path, "w") as file:
            file.write(schema_text(layout, "") + (_SYSBENCH_TABLE if layout.has_sysbench else ""))
        run_mosaic("init", config_path, "--schema", schema_path, deadline_s=300)
        self._fill_shards(layout, plan)
        self._fill_plain(layout, plan)
        self._ready.add(layout.name)
        print(f"          layout {layout.name}: {layout.shards} shards on {layout.nodes} nodes, "
              f"{time.monotonic() - begin_s:.0f} s", file=sys.stderr, flush=True)

    def _fill_shards(self, layout, plan):
        by_shard = {}
        for key in range(1, plan.users + 1):
            by_shard.setdefault(self.shard_of(layout, key), []).append(key)
        for node in self.nodes[:layout.nodes]:
            shards = [int(name[len("shard_"):]) for name, in node.query(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ '^shard_[0-9]{4}$'", database=layout.name)]
            statements = []
            for shard in shards:
                keys = by_shard.get(shard, [])
                schema = f"shard_{shard:04}"
                statements.append(f"INSERT INTO {schema}.items SELECT key, repeat('x', 100) FROM {_rows_of(keys)}")
                blob_keys = [key for key in keys if key <= BLOBS]
                if blob_keys and "blobs" in layout.tables:
                    statements.append(f"INSERT INTO {schema}.blobs SELECT key, repeat('b', {BLOB_BYTES}) "
                                      f"FROM {_rows_of(blob_keys)}")
                if layout.has_sysbench:
                    rows = _rows_of([key for key in keys if key <= SYSBENCH_ROWS])
                    statements.append(f"INSERT INTO {schema}.sbtest1 {_sysbench_rows(rows)}")
            node.query(";".join(statements), database=layout.name)
            node.query("ANALYZE", database=layout.name)

    def _fill_plain(self, layout, plan):
        node = self.nodes[0]
        node.query(schema_text(layout, "plain_") + "INSERT INTO plain_items SELECT key, repeat('x', 100) "
                   f"FROM generate_series(1, {plan.users}) key;", database=layout.name)
        if "blobs" in layout.tables:
            node.query(f"INSERT INTO plain_blobs SELECT key, repeat('b', {BLOB_BYTES}) FROM generate_series(1, {BLOBS}) key",
                       database=layout.name)
        if not layout.has_sysbench:
            keys = f"generate_series(1, {SYSBENCH_PLAIN_ROWS}) key"
            node.query(_SYSBENCH_TABLE + f"INSERT INTO sbtest1 {_sysbench_rows(keys)}", database=layout.name)
        node.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP_USER}", database=layout.name)
        node.query("ANALYZE", database=layout.name)

    def keys_by_schema(self, layout, node, keys):
        """{schema: its keys, of those given} for the shards on a node."""
        here = {name for name, in node.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^shard_[0-9]{4}$'",
                                             database=layout.name)}
        found = {}
        for key in keys:
            schema = self.schema_of(layout, key)
            if schema in here:
                found.setdefault(schema, []).append(key)
        return found

    @staticmethod
    def shard_of(layout, key):
        """Where a key belongs, by the tests' own reckoning rather than Mosaic's."""
        facts = TestCluster.__new__(TestCluster)  # which needs but these two facts of a cluster
        facts.shards, facts.sections = layout.shards, {"shards": {"function": "xxh3"}}
        return facts.shard_of(key)

    def schema_of(self, layout, key):
        return f"shard_{self.shard_of(layout, key):04}"

    def empty(self, layout, *tables):
        """Removes the rows that a scenario has written."""
        for node in self.nodes[:layout.nodes]:
            names = node.query(
                "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE tablename = ANY(%s) "
                "AND pg_relation_size(format('%%I.%%I', schemaname, tablename)::regclass) > 0",
                (list(tables),), database=layout.name)
            if names:
                node.query("TRUNCATE " + ", ".join(name for name, in names), database=layout.name)


def schema_text(layout, prefix):
    return "\n".join(_SCHEMAS[table].format(prefix) for table in layout.tables) + "\n"


def _rows_of(keys):
    return f"unnest('{{{','.join(map(str, keys))}}}'::bigint[]) key"


def _sysbench_rows(keys):
    return f"SELECT key, 1 + key * 7 % {SYSBENCH_ROWS}, repeat('c', 119), repeat('p', 59) FROM {keys}"


def users_file_text(secret=APP_PASSWORD):
    """PgBouncer's auth_file, which Mosaic reads too."""
    return f'"{APP_USER}" "{secret}"\n'
