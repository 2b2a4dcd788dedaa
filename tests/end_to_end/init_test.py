"""`mosaic init`, `check`, `route` and `version`: what operators run before the first client comes."""

import os
import re
import unittest

from harness.cluster import Cluster, is_plain, render_config
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
        self.cluster.nodes[2].query("DROP DATABASE photos", database="postgres")
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        down, without_database = re.findall(r"^  node .*$", done.stderr, re.MULTILINE)
        self.assertIn("node pg2: cannot connect", down)
        self.assertNotIn("createdb", down)
        self.assertIn(f"Hint: createdb -h 127.0.0.1 -p {self.cluster.nodes[2].port} -U postgres photos", without_database)
        self.cluster.nodes[2].query("CREATE DATABASE photos", database="postgres")
        self.cluster.nodes[1].start()
        self.init()
        self.assertEqual(sorted(shard for node in self.cluster.nodes for shard in self.cluster.shards_on(node)), list(range(24)))


class InitWithoutFile(unittest.TestCase):
    """A run without --schema goes on with what is recorded; tables that are not sharded may be there already."""

    def setUp(self):
        if is_plain():
            raise RuntimeError("InitWithoutFile tests Mosaic itself")
        self.cluster = Cluster(node_count=2, shards=8)
        self.addCleanup(self.cluster.stop)
        self.cluster.start_nodes()

    def init(self, *options, check=True):
        return run_mosaic("init", self.cluster.config_path, *options, check=check)

    def keep_tables(self, *names):
        for section in [name for name in self.cluster.sections if name.startswith("tables.")]:
            if section[len("tables."):] not in names:
                del self.cluster.sections[section]
        self.cluster.write_files()

    def test_sharded_tables_need_a_file_the_first_time(self):
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("[tables.media] is sharded, so that every shard needs it: give --schema FILE", done.stderr)
        self.init("--schema", self.cluster.schema_path)
        self.assertIn("nothing to do", self.init().stdout)
        self.cluster.nodes[0].query("CREATE ROLE reader LOGIN")
        self.cluster.nodes[1].query("CREATE ROLE reader LOGIN")
        self.cluster.sections["database"]["application_users"] = ["app", "reader"]
        self.cluster.write_files()
        self.assertIn("grant anew on 4 shards", self.init().stdout)
        self.assertEqual(self.cluster.nodes[0].query("SELECT has_table_privilege('reader', 'shard_0000.media', 'SELECT')"), [(True,)])

    def test_database_without_sharded_tables_gets_no_shards(self):
        self.keep_tables()
        empty = f"{self.cluster.folder}/empty.sql"
        open(empty, "w").close()
        self.assertIn("no table is sharded", self.init().stdout)
        self.assertIn("nothing to do", self.init("--schema", empty).stdout)
        self.assertEqual([self.cluster.shards_on(node) for node in self.cluster.nodes], [[], []])
        self.cluster.nodes[0].query("CREATE TABLE plain (a int); GRANT ALL ON plain TO app")
        self.cluster.mosaic.start()
        done = self.cluster.psql("-Atc", "INSERT INTO plain VALUES (7) RETURNING a")
        self.assertEqual(done.stdout.splitlines()[0], "7")
        # Later there may be some.
        self.cluster.sections["tables.likes"] = {"key": "user_id"}
        self.cluster.write_files()
        with open(empty, "w") as file:
            file.write("CREATE TABLE likes (user_id bigint PRIMARY KEY)")
        self.assertIn("create 4 shards", self.init("--schema", empty).stdout)
        self.assertEqual([len(self.cluster.shards_on(node)) for node in self.cluster.nodes], [4, 4])
        done = self.cluster.psql("-Atc", "INSERT INTO likes VALUES (7) RETURNING user_id")
        self.assertEqual(done.stdout.splitlines()[0], "7")

    def test_tables_that_are_there_already_are_taken(self):
        self.keep_tables("countries", "app_settings")
        done = self.init(check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("node pg1: [tables.countries] is in the configuration, but there is no table public.countries", done.stderr)
        for node in self.cluster.nodes:
            node.query("CREATE TABLE countries (code text, name text)")
        self.cluster.nodes[1].query("CREATE TABLE app_settings (name text)")
        self.init()
        self.cluster.mosaic.start()
        self.cluster.psql("-c", "INSERT INTO app_settings VALUES ('x')")
        self.assertEqual(self.cluster.nodes[1].query("SELECT * FROM app_settings"), [("x",)])

    def test_schema_file_that_is_none(self):
        for path, words in ((self.cluster.folder, "it is a folder"), (self.cluster.folder + "/gone.sql", "No such file")):
            done = self.init("--schema", path, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(node_count=2, shards=8)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start_nodes()
        cls.cluster.initialise()

    def test_version(self):
        lines = run_mosaic("version").stdout.splitlines()
        self.assertRegex(lines[0], r"^mosaic \d+\.\d+\.\d+$")
        self.assertRegex(lines[1], r"^revision \S+$")
        self.assertIn("libpg_query, the parser of PostgreSQL 15", lines[2])
        self.assertEqual(run_mosaic("--version").stdout, lines[0] + "\n")

    def test_command_line_that_is_wrong(self):
        for arguments, words in ((["rum"], 'unknown command "rum"; did you mean "run"?'),
                                 (["foo"], 'unknown command "foo"; the commands are run, check, init, move, route, version'),
                                 ([], "Subcommands:"), (["run"], "CONFIG is required"), (["run", "--nope", "x"], "--nope")):
            done = run_mosaic(*arguments, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn(words, done.stderr)

    def test_manual_page_tells_every_command_and_option(self):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf/mosaic.1")) as file:
            page = file.read().replace("\\-", "-")
        commands = re.findall(r"^  (\w+)  ", run_mosaic("--help").stdout.split("Subcommands:")[1], re.MULTILINE)
        self.assertIn("init", commands)
        for command in commands:
            self.assertIn(f".B mosaic {command}", page)
            for option in re.findall(r"--[a-z][a-z-]+", run_mosaic(command, "--help").stdout):
                self.assertIn(option, page, command)

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
        self.assertRegex(done.stderr, r"^\S+syntax.toml:2:\d+: not valid TOML[^\n]*\n$")  # and nothing else
        self.assertNotEqual(run_mosaic("check", path + ".gone", check=False).returncode, 0)

    def check_with(self, users=None, **sections):
        """The cluster's configuration with other values, and other lines of the auth file."""
        changed = {name: dict(values, **sections.get(name, {})) for name, values in self.cluster.sections.items()}
        users_path = f"{self.cluster.folder}/other_users.txt"
        with open(self.cluster.users_path) as file:
            users = users or file.read()
        with open(users_path, "w") as file:
            file.write(users)
        changed["auth"]["file"] = users_path
        path = f"{self.cluster.folder}/other.toml"
        with open(path, "w") as file:
            file.write(render_config(changed))
        return run_mosaic("check", path, check=False)

    def test_check_refuses_what_run_would(self):
        for section, values, words in (("listen", {"address": "nowhere"}, "listen.address: expected an IP address"),
                                       ("listen", {"address": "192.0.2.1"}, "is no address of this host"),
                                       ("mosaic", {"state_dir": "/proc/version/state"}, "mosaic.state_dir"),
                                       ("shards", {"count": 16}, "shards.count: the catalog says 8, the config 16")):
            done = self.check_with(**{section: values})
            self.assertEqual((done.returncode, done.stdout), (1, ""), section)
            self.assertIn(words, done.stderr)

    def test_check_warns_of_users_who_can_not_log_in(self):
        verifier, = self.cluster.nodes[0].query("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")[0]
        users = f'"app" "{verifier}"\n"old" "md50123456789abcdef0123456789abcdef"\n"watcher" "x"\n"watcher" "y"\n'
        done = self.check_with(users, auth={"admin_users": ["nobody"]})
        self.assertEqual(done.stdout, "ok\n")
        for words in ('auth.admin_users: "nobody" is not in the auth file', 'user "old" has an md5 password',
                      'user "watcher" stands here again', 'user "app" has a SCRAM secret only'):
            self.assertIn(words, done.stderr)

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
