"""Point selects in short turns: writes bench/turns' plan, runs it, and takes its figures into the results."""

import json
import os

from .generator_output import LoadFailed
from .peers import PgBouncer, ShardedPgBouncer
from .plan import CROWD_WARM_UP, MANY_CLIENTS, TURN_WARM_UP
from .results import Point

TURNS = os.environ.get("MOSAIC_TURNS", "")
SEED = 1


class Turns:
    def __init__(self, cluster, layout, rounds, load, plan):
        self.cluster, self.layout, self.rounds, self.load, self.plan = cluster, layout, rounds, load, plan
        self._by_node = {}

    def measure(self, protocol, clients, peers):
        """One comparison. Peers that pool no prepared statements are asked by the extended protocol instead."""
        is_many = clients >= MANY_CLIENTS
        seconds = self.plan.turn_many_seconds if is_many else self.plan.turn_seconds
        rounds = self.plan.turn_many_rounds if is_many else self.plan.turn_rounds
        self._measure("turns", protocol, clients, peers, rounds, seconds, seconds * TURN_WARM_UP)

    def measure_crowd(self, clients, peers):
        seconds = self.plan.crowd_seconds
        self._measure("crowd", "simple", clients, peers, self.plan.crowd_rounds, seconds, seconds * CROWD_WARM_UP)

    def _measure(self, scenario, protocol, clients, peers, rounds, seconds, warm_up_s):
        labels = {"protocol": protocol, "clients": clients}
        points = {peer.label: Point(scenario, labels, peer.label) for peer in peers}
        self.rounds.results.points += points.values()
        path = os.path.join(self.load.folder, "turns.json")
        with open(path, "w") as file:
            json.dump({"clients": clients, "seed": SEED, "rounds": rounds, "settle_s": self.plan.turn_settle_s,
                       "warm_up_s": warm_up_s, "window_s": seconds,
                       "targets": [self._target(peer, protocol) for peer in peers]}, file)
        try:
            figures = json.loads(self.load.capture([TURNS, path]))
        except LoadFailed as failure:
            for peer in peers:
                points[peer.label].problem = str(failure)
                self.rounds.failed.append(points[peer.label].key)
            self.rounds.say(f"{protocol}, {clients} clients: {failure}")
            return
        baseline = next((points[peer.label] for peer in peers if type(peer) is PgBouncer), None)
        for peer in peers:
            point, found = points[peer.label], figures[peer.label]
            point.rounds = found.pop("rounds")
            point.once = found
            point.command = self.load.last_command
            ratio = self.rounds.results.ratio("cpu_us", point, baseline)
            shown = f", CPU {ratio:.2f} x pgbouncer's" if ratio else ""
            self.rounds.say(f"{point.key:<44} tps {point.value('tps'):.0f}, cpu_us {point.value('cpu_us'):.1f}{shown}")

    def _target(self, peer, protocol):
        has_it = protocol != "prepared" or peer.keeps_prepared
        return {"name": peer.label, "protocol": protocol if has_it else "extended", "port": peer.port, "user": peer.user,
                "pid": peer.pid or 0, "databases": self._databases(peer)}

    def _databases(self, peer):
        if isinstance(peer, ShardedPgBouncer):
            return [{"name": name, "tables": self._shards_on(node)} for name, node in peer.databases().items()]
        table = "items" if peer.is_routing else "plain_items"
        return [{"name": peer.database, "tables": [{"name": table, "keys": list(range(1, self.plan.users + 1))}]}]

    def _shards_on(self, node):
        if node.name not in self._by_node:
            found = self.cluster.keys_by_schema(self.layout, node, range(1, self.plan.users + 1))
            self._by_node[node.name] = [{"name": f"{schema}.items", "keys": keys} for schema, keys in sorted(found.items())]
        return self._by_node[node.name]
