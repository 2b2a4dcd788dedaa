"""Random conversations of six clients, every frame as from a plain PostgreSQL (harness/conversation.py, vocabulary.py).

As a test: about 3,000 statements from MOSAIC_E2E_SEED, on one node and on three. By hand, for as long as one likes:
    MOSAIC_BINARY=... python3 conversation_test.py --statements 200000 --nodes 3 --seed 7
which prints how far it is, and for each difference the shortest story that still shows it. `--from N` begins at a later
episode, `--differences N` goes on until that many, `--without prepared,lock` leaves out kinds of statements, `--pool`, `--workers`,
`--threshold` and `--kept` change what is shared, and how many statements a server keeps.
"""

import argparse
import os
import random
import sys
import time
import unittest

from harness import conversation, vocabulary
from harness.cluster import Cluster, is_plain
from harness.oracle import add_oracle_schema, start_with_reference
from harness.processes import seed, wait_until

CLIENTS = 6
STEPS = 150  # of an episode, after which everybody leaves and all rows are as at the beginning
GATE_STATEMENTS = int(os.environ.get("MOSAIC_E2E_STATEMENTS", "1500"))  # on one node, and again on three


class Theatre:
    """A cluster with its judge, and the users whose rows the clients work on."""

    def __init__(self, nodes, pool=4, workers=1, threshold=2, kept=20):
        self.pool = pool
        # Who is taken to hold a server may hold none yet: the last one finds a server all the same.
        config = {"mosaic": {"workers": workers}, "pool": {"default_pool_size": max(pool, CLIENTS), "prepare_threshold": threshold,
                                                           "max_prepared_statements": kept}}
        self.cluster = Cluster(1 if is_plain() else nodes, 12, config)
        add_oracle_schema(self.cluster)
        try:
            self.reference = start_with_reference(self.cluster)
        except BaseException:
            self.cluster.stop()
            raise
        self.keys = []
        for client in range(CLIENTS):
            first, second = self._two_users(client)
            self.keys.append({"u": first, "v": second})
        # On several nodes a transaction begun by what names no key may be where its keys are not.
        self.stage = conversation.Stage(self.reference, self.cluster.address(), self.keys, self.wipe,
                                        refusals=("MZ014", "MZ017") if nodes > 1 else ())
        self._sessions = {}

    def _two_users(self, client):
        if is_plain():
            return 5000 + 2 * client, 5001 + 2 * client
        node = self.cluster.nodes[client % len(self.cluster.nodes)]
        return self.cluster.users_on(node, 2, 5000 + 100 * client)

    def wipe(self, clients=range(CLIENTS)):
        """Waits, by the rows' locks, for whoever has left in the middle of something."""
        users = [user for client in clients for user in self.keys[client].values()]
        self._run(self.cluster.nodes[0], self.reference["dbname"], {"public": users})
        for node in self.cluster.nodes:
            here = {}
            for user in users:
                schema = "public" if is_plain() else f"shard_{self.cluster.shard_of(user):04}"
                if is_plain() or self.cluster.shard_of(user) in self._shards(node):
                    here.setdefault(schema, []).append(user)
            if here:
                self._run(node, "photos", here)

    def _shards(self, node):
        if not hasattr(node, "conversation_shards"):
            node.conversation_shards = set(self.cluster.shards_on(node))
        return node.conversation_shards

    def _run(self, node, database, users_by_schema):
        if (node, database) not in self._sessions:
            self._sessions[node, database] = node.connect(database)
        sql = []
        for schema, users in users_by_schema.items():
            listed = ", ".join(map(str, users))
            sql += [f"DELETE FROM {schema}.{table} WHERE {key} IN ({listed})" for table, key in conversation.TABLES.items()]
            sql.append(f"INSERT INTO {schema}.samples (user_id, name, number, at) SELECT u, 'n' || n, n, '2024-05-06 07:08:09+00' "
                       f"FROM unnest(array[{listed}]) u, generate_series(0, 3) n ORDER BY u, n")
        self._sessions[node, database].cursor().execute("; ".join(sql))

    def restart(self):
        if is_plain():
            return
        self.cluster.mosaic.kill()
        for node in self.cluster.nodes:
            wait_until(lambda: not node.query("SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND datname = 'photos'"),
                       "Mosaic's sessions to end")
        self.cluster.mosaic.start()

    def retell(self, story):
        """A story told to a Mosaic that has heard nothing before."""
        self.restart()
        return conversation.perform_story(self.stage, story)[1]

    def stop(self):
        for session in self._sessions.values():
            session.close()
        self.cluster.stop()


def explain(theatre, story, difference, budget_s):
    """The shortest story that still differs, for people."""
    note = ""
    again = theatre.retell(story)
    if again and again.signature() == difference.signature():
        story = conversation.shorten(story, difference.signature(), theatre.retell, budget_s)
        difference = theatre.retell(story) or difference
    else:
        note = f"(not shortened: told alone to a new Mosaic, it {'differs elsewhere: ' + str(again) if again else 'does not differ'})\n"
        story = story[-40:]
    keys = "\n".join(f"  client {number}: {keys}" for number,
                     keys in enumerate(theatre.keys) if any(step.client == number for step in story))
    return f"{note}" + "\n".join(f"  {step}" for step in story) + f"\n{difference}\nkeys:\n{keys}"


def converse(theatre, chosen, statements, begin_at=0, differences_max=1, budget_s=60.0, is_shown=False):
    """Episodes until so many statements are said; [explanation of a difference]."""
    said, episode, found, begun = 0, begin_at, [], time.monotonic()
    while said < statements and len(found) < differences_max:
        story, difference, count = conversation.improvise(theatre.stage, random.Random(chosen * 1_000_003 + episode),
                                                          CLIENTS, theatre.pool, STEPS)
        said += count
        if difference:
            found.append(f"seed {chosen}, episode {episode}, step {len(story)}:\n{explain(theatre, story, difference, budget_s)}")
            if is_shown:
                print(found[-1], flush=True)
            theatre.restart()
        episode += 1
        if is_shown and episode % 50 == 0:
            print(f"{said} statements, {episode} episodes, {len(found)} differences, {time.monotonic() - begun:.0f} s",
                  flush=True)
    print(f"{said} statements in {episode - begin_at} episodes, {len(found)} differences, "
          f"{theatre.stage.refused} refusals of several nodes, {time.monotonic() - begun:.1f} s",
          flush=True)
    return found


class Conversation(unittest.TestCase):
    maxDiff = None

    def check(self, nodes):
        theatre = Theatre(nodes)
        self.addCleanup(theatre.stop)
        found = converse(theatre, seed(), GATE_STATEMENTS)
        self.assertLess(theatre.stage.refused, GATE_STATEMENTS // 50, "what is refused by design is rare")
        self.assertFalse(found, "\n".join(found))

    def test_one_node(self):
        self.check(1)

    def test_three_nodes(self):
        self.check(3)


def by_hand(arguments):
    parser = argparse.ArgumentParser()
    for name, default in {"statements": 200_000, "nodes": 1, "seed": 1, "from": 0, "differences": 1, "pool": 4, "workers": 1,
                          "threshold": 2, "kept": 20}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--without", default="",
                        help="kinds of statements to leave out: " + "start_up," + ",".join(kind.__name__ for kind in vocabulary.KINDS))
    options = parser.parse_args(arguments)
    for kind in list(vocabulary.KINDS):
        if kind.__name__ in options.without.split(","):
            del vocabulary.KINDS[kind]
    if "start_up" in options.without.split(","):
        conversation.START_UP = ({},)
    theatre = Theatre(options.nodes, options.pool, options.workers, options.threshold, options.kept)
    try:
        found = converse(theatre, options.seed, options.statements, getattr(options, "from"), options.differences, 120.0,
                         is_shown=True)
    finally:
        theatre.stop()
    return 1 if found else 0


if __name__ == "__main__":
    if any(argument.startswith("--") for argument in sys.argv[1:]):
        sys.exit(by_hand(sys.argv[1:]))
    unittest.main()
