"""What tests of moves have in common: nodes that can replicate, two proxies, and how to talk about moves."""

import contextlib
import itertools

import psycopg2

from .cluster import EndToEndTest
from .move_checker import MoveChecker
from .processes import wait_until

LOGICAL = {"wal_level": "logical", "max_replication_slots": "20", "max_wal_senders": "20",
           "max_logical_replication_workers": "10", "max_worker_processes": "20", "max_prepared_transactions": "5",
           "wal_retrieve_retry_interval": "200ms"}
# Names of what a move makes; none may be left behind.
LEFTOVERS = """
SELECT relname::text FROM pg_class WHERE relname LIKE 'mosaic\\_m%' UNION ALL
SELECT proname FROM pg_proc WHERE proname LIKE 'mosaic\\_m%' UNION ALL
SELECT tgname FROM pg_trigger WHERE tgname LIKE 'mosaic\\_m%' UNION ALL
SELECT slot_name FROM pg_replication_slots UNION ALL
SELECT subname FROM pg_subscription UNION ALL SELECT pubname FROM pg_publication"""
GUARDS = "SELECT move FROM mosaic.move_guards"  # where a move has been, the table stays


def is_stopped(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


class MovesTest(EndToEndTest):
    node_count = 2
    shards = 8  # 0 to 3 on pg1, 4 to 7 on pg2
    needs_mosaic = True
    node_settings = LOGICAL
    config = {"moves": {"lease": 2}}
    _users = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.cluster.another_mosaic("second")
        cls.addClassCleanup(cls.other.kill)
        cls.other.start()

    def setUp(self):
        super().setUp()
        self.pg1, self.pg2 = self.cluster.nodes[:2]

    # --- talking about moves

    def console(self, command):
        """Rows and notices."""
        connection = psycopg2.connect(**self.cluster.address("operator", "mosaic"))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(command)
            rows = cursor.fetchall() if cursor.description else []
            names = [column.name for column in cursor.description or []]
            return [dict(zip(names, row)) for row in rows], [notice.strip() for notice in connection.notices]

    def refusal(self, command):
        with self.assertRaises(psycopg2.Error) as caught:
            self.console(command)
        diagnosis = caught.exception.diag
        return f"{diagnosis.message_primary} | {diagnosis.message_hint or ''}"

    def move(self, shard, node, **options):
        """Begins it; returns its number."""
        options = dict({"soak": "0"}, **options)
        settings = ", ".join(f"{name} = '{value}'" for name, value in options.items())
        _, notices = self.console(f"MOVE SHARD {shard} TO {node} WITH ({settings})")
        return int(notices[0].split("move ")[1].split(":")[0])

    def row(self, move):
        rows, _ = self.console("SHOW MOVES")
        return next(row for row in rows if row["move"] == move)

    def wait_for_state(self, move, *states, deadline_s=60):
        return wait_until(lambda: self.row(move)["state"] in states and self.row(move),
                          lambda: f"move {move} to be {states}: {self.row(move)}", deadline_s)

    def new_users(self, shard, count):
        """Users of the shard that no test has had before."""
        users = (user for user in self._users if self.cluster.shard_of(user) == shard)
        return list(itertools.islice(users, count))

    def checker(self, *shards, **options):
        users = [user for shard in shards for user in self.new_users(shard, 3)]
        return MoveChecker(self.cluster, users, [self.cluster.port, self.other.port], **options)

    def node_of_shard(self, shard):
        rows, _ = self.console(f"SHOW SHARDS WHERE shard = {shard}")
        return rows[0]["node"]

    def wait_for_all(self):
        """No move is under way."""
        wait_until(lambda: all(row["finished_at"] for row in self.console("SHOW MOVES")[0]), "the moves to end", 60)

    def bring_back(self, *shards, node="pg1"):
        """To this node, and waits for it, once what is under way has ended."""
        self.wait_for_all()
        for shard in shards:
            if self.node_of_shard(shard) != node:
                self.move(shard, node)
        wait_until(lambda: all(self.node_of_shard(shard) == node for shard in shards), f"shards {shards} to be back", 60)
        self.wait_for_all()

    def assert_tidy(self, shard, node):
        """The shard is on the node and nowhere else, open, and no move has left anything."""
        self.assertEqual(self.node_of_shard(shard), node.name)
        wait_until(lambda: self.console(f"SHOW SHARDS WHERE shard = {shard}")[0][0]["state"] == "open", "the shard to be open")
        for candidate in self.cluster.nodes:
            self.assertEqual(shard in self.cluster.shards_on(candidate), candidate is node, candidate.name)
            self.assertEqual(candidate.query(LEFTOVERS), [], candidate.name)
            if candidate.query("SELECT to_regclass('mosaic.move_guards') IS NOT NULL") == [(True,)]:
                self.assertEqual(candidate.query(GUARDS), [], f"guards on {candidate.name}")
        self.assertEqual(self.pg1.query("SELECT count(*) FROM mosaic.shards WHERE held_until > now()"), [(0,)])

    @staticmethod
    def grants(node, schema):
        return sorted(str(row) for row in node.query(
            "SELECT relname::text, x.grantee::regrole::text, privilege_type, is_grantable FROM pg_class, aclexplode(relacl) x WHERE "
            "relnamespace = %s::regnamespace AND x.grantee <> relowner UNION ALL SELECT relname || '.' || attname, "
            "x.grantee::regrole::text, privilege_type, is_grantable FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid, "
            "aclexplode(attacl) x WHERE relnamespace = %s::regnamespace UNION ALL SELECT 'schema', x.grantee::regrole::text, "
            "privilege_type, is_grantable FROM pg_namespace, aclexplode(nspacl) x WHERE nspname = %s AND x.grantee <> nspowner",
            (schema, schema, schema)))
