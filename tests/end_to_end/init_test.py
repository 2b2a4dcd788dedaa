"""`mosaic init`, `check`, `route` and `version`: what operators run before the first client comes."""

import re
import unittest

from harness.cluster import Cluster, is_plain
from harness.mosaic_process import MosaicProcess, binary, environment, run_mosaic
from harness.processes import spawn, wait_until

# Everything that init may create, as text; run on every node.
CONTENTS = """
SELECT n.nspname, c.relname, c.relkind::text, coalesce(pg_get_indexdef(c.oid), ''), coalesce(c.relacl::text, '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'i', 'S') AND
  n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL SELECT n.nspname, p.proname, 'f', pg_get_functiondef(p.oid), coalesce(p.proacl::text, '')
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1, 2, 3, 4"""


class Init(unittest.TestCase):
    def setUp(self):
        if is_plain():
            raise RuntimeError("Init tests Mosaic itself")
        self.cluster = Cluster(node_count=3, shards=24)
        self.addCleanup(self.cluster.stop)
        self.cluster.start_nodes()

    def init(self, *options, **how):
        return run_mosaic("init", self.cluster.config_path, "--schema", self.cluster.schema_path, *options, **how)

    def contents(self):
        return {node.name: node.query(CONTENTS) for node in self.cluster.nodes}

    def test_creates_each_shard_once_with_the_whole_schema(self):
        self.init()
        places = [shard for node in self.cluster.nodes for shard in self.cluster.shards_on(node)]
        self.assertEqual(sorted(places), list(range(24)))
        for node in self.cluster.nodes:
            self.assertEqual(len(self.cluster.shards_on(node)), 8)
            for shard in self.cluster.shards_on(node):
                tables = {row[0] for row in node.query("SELECT tablename FROM pg_tables WHERE schemaname = %s",
                                                       (f"shard_{shard:04}",))}
                self.assertEqual(tables, {"users", "media", "likes", "comments", "follows", "samples"})
                media_id, = node.query(f"INSERT INTO shard_{shard:04}.media (user_id) VALUES (1) RETURNING id")[0]
                self.assertEqual((media_id >> 10) & 8191, shard)
            twins = {row[0] for row in node.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
            self.assertLessEqual({"users", "media", "likes", "comments", "follows", "samples", "countries"}, twins)

    def test_application_can_not_touch_the_empty_twins(self):
        self.init()
        for node in self.cluster.nodes:
            shard = self.cluster.shards_on(node)[0]
            for action in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                allowed = node.query("SELECT has_table_privilege('app', 'public.media', %s), "
                                     "has_table_privilege('app', %s, %s)", (action, f"shard_{shard:04}.media", action))
                self.assertEqual(allowed, [(False, True)], action)

    def test_second_run_changes_nothing(self):
        self.init()
        before = self.contents()
        self.init()
        self.assertEqual(self.contents(), before)

    def test_dry_run_changes_nothing(self):
        before = self.contents()
        done = self.init("--dry-run")
        self.assertIn("would create 8 shards", done.stdout + done.stderr)
        self.assertEqual(self.contents(), before)

    def test_goes_on_after_being_killed_at_any_point(self):
        for wanted in (1, 5, 12, 20):
            process = spawn([binary(), "init", self.cluster.config_path, "--schema", self.cluster.schema_path],
                            f"{self.cluster.folder}/init.log", env=environment())
            wait_until(lambda: process.poll() is not None or
                       sum(len(self.cluster.shards_on(node)) for node in self.cluster.nodes) >= wanted,
                       f"{wanted} shard schemas")
            process.kill()
            process.wait()
        self.init()
        resumed = self.contents()
        fresh = Cluster(node_count=3, shards=24)
        self.addCleanup(fresh.stop)
        fresh.start_nodes()
        run_mosaic("init", fresh.config_path, "--schema", fresh.schema_path)
        for node in fresh.nodes:
            self.assertEqual(resumed[node.name], node.query(CONTENTS))

    def test_refuses_another_number_of_shards(self):
        self.init()
        before = self.contents()
        self.cluster.sections["shards"]["count"] = 32
        self.cluster.write_files()
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"24.*32|32.*24")
        self.assertEqual(self.contents(), before)

    def test_schema_error_is_shown(self):
        with open(self.cluster.schema_path, "a") as file:
            file.write("\nCREATE TABLE broken (user_id bigint, oops nosuchtype);\n")
        for options in (["--dry-run"], []):
            done = self.init(*options, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("nosuchtype", done.stdout + done.stderr)
            self.assert_nothing_is_left()

    def test_schema_error_can_be_mended(self):
        with open(self.cluster.schema_path) as file:
            good = file.read()
        with open(self.cluster.schema_path, "w") as file:
            file.write(good + "\nCREATE INDEX ON media (no_such_column);\n")
        self.assertNotEqual(self.init(check=False).returncode, 0)
        with open(self.cluster.schema_path, "w") as file:
            file.write(good)
        self.init()

    def test_key_of_an_unusable_type_is_told_before_anything_is_made(self):
        self.cluster.sections["tables.users"]["key"] = "created_at"
        self.cluster.write_files()
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('column "created_at" has type timestamp', done.stdout + done.stderr)
        self.assert_nothing_is_left()

    def test_error_of_one_node_alone_leaves_nothing_on_the_others(self):
        last = self.cluster.nodes[-1]
        last.query("CREATE TABLE public.media (id bigint)")
        before = self.contents()
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"pg3.*already exists")
        self.assertEqual(self.contents(), before)

    def assert_nothing_is_left(self):
        self.assertEqual(self.contents(), {node.name: [] for node in self.cluster.nodes})

    def test_node_that_is_down_is_named(self):
        self.cluster.nodes[1].kill()
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("pg2", done.stdout + done.stderr)
        self.cluster.nodes[1].start()
        self.init()
        self.assertEqual(sorted(shard for node in self.cluster.nodes for shard in self.cluster.shards_on(node)), list(range(24)))


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(node_count=2, shards=8)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start_nodes()
        cls.cluster.initialise()

    def test_version(self):
        self.assertRegex(run_mosaic("version").stdout, r"^mosaic \d+\.\d+\.\d+")

    def test_check_accepts_a_good_file(self):
        run_mosaic("check", self.cluster.config_path)

    def test_check_shows_every_error_with_its_line(self):
        with open(self.cluster.config_path) as file:
            lines = file.read().splitlines()
        wrong = {}

        def spoil(start, replacement, mention):
            index = next(n for n, line in enumerate(lines) if line.startswith(start))
            lines[index] = replacement
            wrong[index + 1] = mention
        spoil("workers", 'workers = "two"', "workers")
        spoil("default_pool_size", "default_pool_sice = 20", "default_pool_size")  # the nearest valid key
        spoil("count", "count = 0", "count")
        spoil("function", 'function = "md5"', "md5")
        spoil("reference", 'reference = "yes"', "reference")
        path = f"{self.cluster.folder}/wrong.toml"
        with open(path, "w") as file:
            file.write("\n".join(lines))
        done = run_mosaic("check", path, check=False)
        self.assertNotEqual(done.returncode, 0)
        output = (done.stdout + done.stderr).splitlines()
        for number, mention in wrong.items():
            self.assertTrue(any(re.search(rf"\b{number}\b", line) and mention in line for line in output),
                            f"line {number} about {mention} is missing in\n" + "\n".join(output))

    def test_check_shows_a_syntax_error_and_a_missing_file(self):
        path = f"{self.cluster.folder}/syntax.toml"
        with open(path, "w") as file:
            file.write("[mosaic]\nworkers = = 2\n")
        done = run_mosaic("check", path, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"\b2\b")
        self.assertNotEqual(run_mosaic("check", path + ".gone", check=False).returncode, 0)

    def test_route_tells_the_shard_and_the_node(self):
        for user in (1, 2, 3, 77):
            output = run_mosaic("route", self.cluster.config_path, f"SELECT * FROM media WHERE user_id = {user}").stdout
            self.assertIn(f"shard_{self.cluster.shard_of(user):04}", output)
            self.assertIn(self.cluster.node_of(user).name, output)

    def test_route_explains_a_refusal(self):
        done = run_mosaic("route", self.cluster.config_path, "SELECT * FROM media", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("MZ010", done.stdout + done.stderr)

    def test_route_says_what_is_no_sql(self):
        done = run_mosaic("route", self.cluster.config_path, "SELEC 1", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('syntax error at or near "SELEC"', done.stderr)
        self.assertIn("At character 1.", done.stderr)
        self.assertIn("42601", done.stderr)

    def test_run_refuses_a_taken_port(self):
        first = MosaicProcess(self.cluster.config_path, self.cluster.port, f"{self.cluster.folder}/first.log")
        first.start()
        try:
            done = run_mosaic("run", self.cluster.config_path, check=False, deadline_s=30)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(str(self.cluster.port), done.stdout + done.stderr)
        finally:
            first.clean_stop()


if __name__ == "__main__":
    unittest.main()
