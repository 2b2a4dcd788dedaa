"""pg_dump, pg_restore, psql -f and psql's large object commands on a database of which nothing is sharded, through Mosaic.

The source is dump_source.sql. A dump taken through Mosaic must be the one taken directly, and what is restored through
Mosaic must dump as its source does. With MOSAIC_E2E_TARGET=plain the subject is a plain PostgreSQL: the test of the test.
"""

import hashlib
import os
import re
import unittest

from harness.cluster import Cluster, SOURCE, is_plain
from harness.mosaic_process import run_mosaic
from harness.postgres_node import BINARIES, DATABASE
from harness.processes import run

_PASSWORD = "dumper"
_OTHER = "restored"  # a plain database on the same node, for what is restored directly


class Dumps:
    """The tests; the classes below say over how many nodes."""

    node_count = 1
    cluster = None
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        """A superuser dumps. Mosaic's own catalog and the shards' schemas are none of the application's and left out."""
        cluster = cls.cluster = Cluster(cls.node_count)
        cls.addClassCleanup(cluster.stop)
        for table in [name for name in cluster.sections if name.startswith("tables.")]:
            del cluster.sections[table]
        cluster.write_files()
        with open(cluster.users_path, "a") as users:
            users.write(f'"postgres" "{_PASSWORD}"\n')
        with open(cluster.schema_path, "w") as schema:
            schema.write("-- nothing is sharded\n")
        cluster.start_nodes()
        cluster.nodes[0].query(f"CREATE DATABASE {_OTHER}", database="postgres")
        if not is_plain():
            run_mosaic("init", cluster.config_path, "--schema", cluster.schema_path)
            cluster.mosaic.start()

    # --- programs

    def program(self, name, *arguments, cluster, direct, database=DATABASE, check=True, script=None):
        port = cluster.nodes[0].port if direct else cluster.port
        environment = dict(os.environ, PGPASSWORD=_PASSWORD, PGTZ="UTC")
        return run([f"{BINARIES}/{name}", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", database, *arguments],
                   env=environment, check=check, deadline_s=120, input_text=script)

    def dump(self, cluster, direct, *arguments, database=DATABASE):
        return self.program("pg_dump", "-N", "mosaic*", "-N", "shard_*", *arguments, cluster=cluster, direct=direct, database=database).stdout

    def psql(self, cluster, direct, *arguments, database=DATABASE, script=None, check=True):
        return self.program("psql", "-X", "-v", "ON_ERROR_STOP=1", *arguments, cluster=cluster, direct=direct, database=database, script=script, check=check)

    def value(self, cluster, sql, database=DATABASE):
        return self.psql(cluster, True, "-At", "-c", sql, database=database).stdout.strip()

    def file(self, cluster, name):
        return os.path.join(cluster.folder, name)

    @staticmethod
    def comparable(dump):
        r"""Without what differs from one pg_dump of the same data to the next: the random word of \restrict."""
        return re.sub(r"(?m)^\\(un)?restrict .*\n", "", dump)

    def load_source(self, cluster):
        """The application's objects afresh, directly."""
        self.empty(cluster, DATABASE)
        self.psql(cluster, True, "-q", "-f", os.path.join(SOURCE, "dump_source.sql"))

    def empty(self, cluster, database):
        self.psql(cluster, True, "-q", "-c", '''
            SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
            DROP EVENT TRIGGER IF EXISTS watch;
            DROP SCHEMA IF EXISTS "Odd ""schema""" CASCADE;
            DROP EXTENSION IF EXISTS hstore CASCADE;
            DROP SCHEMA IF EXISTS own CASCADE;
            DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public;
            COMMENT ON SCHEMA public IS 'standard public schema';''', database=database)

    def setUp(self):
        if not is_plain():
            self.cluster.mosaic.assert_alive()

    # --- dumps are alike

    def test_plain_dumps_are_equal(self):
        cluster = self.cluster
        self.load_source(cluster)
        for options in ((), ("--inserts", "--rows-per-insert=7"), ("--schema-only", "--clean", "--if-exists"), ("--data-only", "--disable-triggers"),
                        ("--serializable-deferrable",), ("--quote-all-identifiers", "--no-comments"), ("-t", "things", "-t", "measured*"),
                        ("--column-inserts", "--encoding=LATIN1", "-t", "log")):
            with self.subTest(options=options):
                direct = self.comparable(self.dump(cluster, True, *options))
                self.assertIn("CREATE TABLE" if "--data-only" not in options else "COPY", direct)
                self.assertEqual(self.comparable(self.dump(cluster, False, *options)), direct)

    def test_custom_dumps_are_equal_and_restore_alike(self):
        cluster = self.cluster
        self.load_source(cluster)
        wanted = self.comparable(self.dump(cluster, True))
        for subject_dumps, subject_restores in ((True, False), (False, True), (True, True)):
            with self.subTest(dumped_through_subject=subject_dumps, restored_through_subject=subject_restores):
                path = self.file(cluster, "dump.custom")
                self.dump(cluster, not subject_dumps, "-Fc", "-f", path)
                listed = run([f"{BINARIES}/pg_restore", "-l", path]).stdout
                self.assertIn("BLOBS", listed)
                database = DATABASE if subject_restores else _OTHER
                self.empty(cluster, database)
                self.program("pg_restore", "--exit-on-error", "--single-transaction", path, cluster=cluster, direct=not subject_restores, database=database)
                self.assertEqual(self.comparable(self.dump(cluster, True, database=database)), wanted)
                self.load_source(cluster)

    def test_restores_with_several_jobs(self):
        cluster = self.cluster
        self.load_source(cluster)
        wanted = self.comparable(self.dump(cluster, True))
        path = self.file(cluster, "dump.jobs")
        self.dump(cluster, True, "-Fc", "-f", path)
        self.empty(cluster, DATABASE)
        self.program("pg_restore", "--exit-on-error", "--jobs=3", path, cluster=cluster, direct=False)
        self.assertEqual(self.comparable(self.dump(cluster, True)), wanted)

    def test_dumps_a_folder_with_several_jobs(self):
        # Several connections share an exported snapshot.
        cluster = self.cluster
        self.load_source(cluster)
        wanted = self.comparable(self.dump(cluster, True))
        path = self.file(cluster, "dump.folder")
        self.dump(cluster, False, "-Fd", "-j3", "-f", path)
        self.empty(cluster, _OTHER)
        self.program("pg_restore", "--exit-on-error", path, cluster=cluster, direct=True, database=_OTHER)
        self.assertEqual(self.comparable(self.dump(cluster, True, database=_OTHER)), wanted)
        run(["rm", "-r", path])

    def test_psql_runs_a_plain_dump(self):
        cluster = self.cluster
        self.load_source(cluster)
        wanted = self.dump(cluster, True)
        path = self.file(cluster, "dump.sql")
        for options in ((), ("-1",)):
            with self.subTest(options=options):
                with open(path, "w") as dump:
                    dump.write(wanted)
                self.empty(cluster, DATABASE)
                self.psql(cluster, False, "-q", *options, "-f", path)
                self.assertEqual(self.comparable(self.dump(cluster, True)), self.comparable(wanted))

    # --- large objects of psql (lo_import and lo_export of libpq: function calls in the protocol)

    def test_psql_imports_and_exports_large_objects(self):
        cluster = self.cluster
        self.empty(cluster, DATABASE)
        for name, content in (("small", b"a few bytes\0\xff"), ("empty", b""), ("large", bytes(range(256)) * 8192)):
            with self.subTest(content=name):
                source, target = self.file(cluster, "source"), self.file(cluster, "target")
                with open(source, "wb") as file:
                    file.write(content)
                done = self.psql(cluster, False, "-At", script=f"\\lo_import '{source}' 'from psql'\n\\echo :LASTOID\n\\lo_export :LASTOID '{target}'\n\\lo_list\n")
                oid = done.stdout.split()[1]
                self.assertTrue(oid.isdigit() and int(oid) > 0, done.stdout)
                with open(target, "rb") as file:
                    self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(content).digest())
                self.assertIn("from psql", done.stdout)
                self.assertEqual(self.value(cluster, f"SELECT md5(lo_get({oid}))"), hashlib.md5(content).hexdigest())
                self.psql(cluster, False, script=f"\\lo_unlink {oid}\n")
                self.assertEqual(self.value(cluster, "SELECT count(*) FROM pg_largeobject_metadata"), "0")

    def test_large_object_commands_within_a_transaction_and_with_errors(self):
        cluster = self.cluster
        self.empty(cluster, DATABASE)
        source = self.file(cluster, "source")
        with open(source, "wb") as file:
            file.write(b"x" * 5000)
        scripts = (f"BEGIN;\n\\lo_import '{source}'\nROLLBACK;\n", f"BEGIN;\n\\lo_import '{source}'\nSAVEPOINT s;\n\\lo_unlink :LASTOID\nROLLBACK TO s;\nCOMMIT;\n",
                   "\\lo_unlink 999999\n", "\\lo_export 999999 '/dev/null'\n", f"BEGIN;\nSELECT 1/0;\n\\lo_import '{source}'\nROLLBACK;\nSELECT 'goes on';\n")
        for script in scripts:
            with self.subTest(script=script):
                outcomes = []
                for direct in (True, False):
                    self.empty(cluster, DATABASE)
                    done = self.program("psql", "-X", "-At", cluster=cluster, direct=direct, script=script)
                    said = re.sub(r"\blo_import \d+", "lo_import N", done.stdout), re.sub(r"\d+", "N", done.stderr)
                    outcomes.append((*said, self.value(cluster, "SELECT count(*), sum(length(lo_get(oid))) FROM pg_largeobject_metadata")))
                self.assertEqual(outcomes[1], outcomes[0])


class DumpsOfOneNode(Dumps, unittest.TestCase):
    pass


class DumpsOfThreeNodes(Dumps, unittest.TestCase):
    node_count = 3


if __name__ == "__main__":
    unittest.main()
