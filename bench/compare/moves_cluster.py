"""Two PostgreSQL nodes on a disk, the demo's schema in shards, two proxies on one catalog; and shards filled to a size.

What is filled in are comments of users whose key belongs to the shard, made on the server.
"""

import contextlib
import itertools
import os
import shutil
import subprocess
import threading

import psycopg2
from harness.cluster import PHOTOS_SCHEMA, Cluster
from harness.postgres_node import BINARIES, DATABASE
from harness.processes import make_folder, unprivileged_user

PARENT = "/var/tmp"  # on a disk, where /tmp may be memory
MB = 1 << 20
# As quickstart.sh has them, and PostgreSQL's own where the tests have others; more memory and log for shards of 1 GB.
_SETTINGS = {
    "fsync": "on", "full_page_writes": "on", "autovacuum": "on", "max_parallel_workers": "8", "jit": "on",
    "shared_buffers": "256MB", "max_wal_size": "2GB", "max_connections": "200", "max_prepared_transactions": "120",
    "max_locks_per_transaction": "256", "wal_level": "logical", "max_replication_slots": "20", "max_wal_senders": "20",
    "max_logical_replication_workers": "12", "max_worker_processes": "24",
}
_COUNTRIES = os.path.join(os.path.dirname(PHOTOS_SCHEMA), "photos_countries.sql")
_FILL_USERS = 20            # that a shard's comments belong to
_FILL_FIRST_USER = 1 << 40  # no other client's
_BODY_HASHES = 10           # of 32 characters each, in a body
_ROW_BYTES = 465            # such a row and its entries in three indexes
_COPIES_IN_ALL = 4          # of what is filled in: both nodes, their logs


class MovesCluster(Cluster):
    schemas = (PHOTOS_SCHEMA,)

    def __init__(self, shards):
        # Closed to nobody, so that the unprivileged user can enter.
        super().__init__(2, shards, node_settings=_SETTINGS, folder=make_folder(unprivileged_user(), below=PARENT))
        self.other = self.another_mosaic("second", workers=self.sections["mosaic"]["workers"])
        self._operator = None
        self._users = itertools.count(_FILL_FIRST_USER)
        self._reserved = {}  # shard: users that were found on the way to others'

    def _default_sections(self):
        sections = super()._default_sections()
        del sections["tables.samples"]
        sections["catalog"] = {"node": self.nodes[0].name}
        sections["pool"] = {"default_pool_size": 20}
        sections["mosaic"]["log_level"] = "warning"
        return sections

    @property
    def ports(self):
        return [self.port, self.other.port]

    def start(self):
        super().start()
        with open(_COUNTRIES) as file:
            countries = file.read()
        for node in self.nodes:
            node.query(countries)
        self.other.start()
        self._operator = psycopg2.connect(**self.address("operator", "mosaic"))
        self._operator.autocommit = True

    def stop(self):
        if self._operator:
            self._operator.close()
        try:
            self.other.clean_stop()
        finally:
            self.other.kill()
            super().stop()

    def new_users(self, shard, count):
        """Users of the shard that nobody has been given yet."""
        while len(self._reserved.setdefault(shard, [])) < count:
            user = next(self._users)
            self._reserved.setdefault(self.shard_of(user), []).append(user)
        users, self._reserved[shard] = self._reserved[shard][:count], self._reserved[shard][count:]
        return users

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    # --- sizes

    def fill(self, sizes):
        """{shard: bytes}; the nodes work side by side."""
        needed = sum(sizes.values()) * _COPIES_IN_ALL
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise RuntimeError(f"{self.folder} has {free // MB:,} MB free, the shards and their copies need {needed // MB:,}")
        failures = []
        threads = [threading.Thread(target=self._fill_node, args=(node, sizes, failures), daemon=True) for node in self.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _fill_node(self, node, sizes, failures):
        try:
            for shard in self.shards_on(node):
                if shard in sizes:
                    node.query(self._filling(shard, sizes[shard]))
            node.query("VACUUM ANALYZE")
            node.query("CHECKPOINT")
        except psycopg2.Error as error:
            failures.append(error)

    def _filling(self, shard, size):
        users = ",".join(map(str, self.new_users(shard, _FILL_USERS)))
        body = " || ".join(f"md5(n || '{number}')" for number in range(_BODY_HASHES))
        return (f"INSERT INTO shard_{shard:04}.comments (user_id, media_id, body) "
                f"SELECT ('{{{users}}}'::bigint[])[1 + n % {_FILL_USERS}], n, {body} "
                f"FROM generate_series(1, {size // _ROW_BYTES}) n")

    @staticmethod
    def size_of(shard, node):
        """Bytes of its tables and indexes."""
        return int(node.query("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relnamespace = %s::regnamespace "
                              "AND relkind = 'r'", (f"shard_{shard:04}",))[0][0])

    # --- talking about moves

    def begin_move(self, shard, node):
        """Returns its number."""
        del self._operator.notices[:]
        with self._operator.cursor() as cursor:
            cursor.execute(f"MOVE SHARD {shard} TO {node.name} WITH (soak = '0')")
        return int(self._operator.notices[0].split("move ")[1].split(":")[0])

    def state_of(self, number):
        """(state of a move, whether it is its last). On a connection that stays: it is asked often."""
        with self._operator.cursor() as cursor:
            cursor.execute("SHOW MOVES")
            names = [column.name for column in cursor.description]
            row = next(row for row in (dict(zip(names, row)) for row in cursor.fetchall()) if row["move"] == number)
        return row["state"], bool(row["finished_at"])

    def move(self, number):
        """What SHOW MOVE says: {name: text}."""
        return {row["name"].strip(): row["value"] for row in self.console(f"SHOW MOVE {number}")}

    # --- the other way to copy

    def dump_and_restore(self, shard, source, target):
        """pg_dump -Fc | pg_restore of the shard's schema into a database that is dropped again; its time is the caller's."""
        address = ["-h", "127.0.0.1", "-U", "postgres"]
        with self._scratch_database(target) as scratch:
            dump = subprocess.Popen([f"{BINARIES}/pg_dump", "-Fc", "-n", f"shard_{shard:04}", *address, "-p", str(source.port),
                                     "-d", DATABASE], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            try:
                restore = subprocess.run([f"{BINARIES}/pg_restore", "--exit-on-error", *address, "-p", str(target.port), "-d",
                                          scratch], stdin=dump.stdout, stderr=subprocess.PIPE, text=True, check=False)
            finally:
                dump.stdout.close()
                dump.wait(timeout=30)
            if dump.returncode or restore.returncode:
                raise RuntimeError(f"pg_dump exited {dump.returncode}, pg_restore {restore.returncode}: {restore.stderr}")

    @staticmethod
    @contextlib.contextmanager
    def _scratch_database(node):
        node.query("CREATE DATABASE scratch", database="postgres")
        try:
            yield "scratch"
        finally:
            node.query("DROP DATABASE scratch WITH (FORCE)", database="postgres")
