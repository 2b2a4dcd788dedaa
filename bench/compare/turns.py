"""Point selects in short turns: writes bench/turns' plan, runs it, and takes its figures into the results."""

import json
import os

from .generator_output import LoadFailed
from .peers import ShardedPgBouncer
from .plan import MANY_CLIENTS, TURN_WARM_UP
from .results import Point

TURNS = os.environ.get("MOSAIC_TURNS", "")
SEED = 1


class Turns:
    def __init__(self, cluster, layout, rounds, load, plan):
        self.cluster, self.layout, self.rounds, self.load, self.plan = cluster, layout, rounds, load, plan
        self._by_node = {}

    def measure(self, protocol, clients, peers, absent):
        """One comparison. `absent`: {label: why it has no figures}."""
        labels = {"protocol": protocol, "clients": clients}
        points = {peer.label: Point("turns", labels, peer.label) for peer in peers}
        points |= {label: Point("turns", labels, label, problem=problem) for label, problem in absent.items()}
        self.rounds.results.points += points.values()
        path = os.path.join(self.load.folder, "turns.json")
        with open(path, "w") as file:
            json.dump(self._plan(protocol, clients, peers), file)
        try:
            figures = json.loads(self.load.capture([TURNS, path]))
        except LoadFailed as failure:
            for peer in peers:
                points[peer.label].problem = str(failure)
                self.rounds.failed.append(points[peer.label].key)
            self.rounds.say(f"{protocol}, {clients} clients: {failure}")
            return
        for peer in peers:
            point, found = points[peer.label], figures[peer.label]
            point.rounds = found.pop("rounds")
            point.once = found
            point.command = self.load.last_command
            ratio = self.rounds.results.ratio("cpu_us", point, points["pgbouncer"]) if "pgbouncer" not in absent else None
            shown = f", CPU {ratio:.2f} x pgbouncer's" if ratio else ""
            self.rounds.say(f"{point.key:<44} tps {point.value('tps'):.0f}, cpu_us {point.value('cpu_us'):.1f}{shown}")

    def _plan(self, protocol, clients, peers):
        is_many = clients >= MANY_CLIENTS
        seconds = self.plan.turn_many_seconds if is_many else self.plan.turn_seconds
        return {"protocol": protocol, "clients": clients, "seed": SEED,
                "rounds": self.plan.turn_many_rounds if is_many else self.plan.turn_rounds,
                "settle_s": self.plan.turn_settle_s, "warm_up_s": seconds * TURN_WARM_UP, "window_s": seconds,
                "targets": [{"name": peer.label, "port": peer.port, "user": peer.user, "pid": peer.pid or 0,
                             "databases": self._databases(peer)} for peer in peers]}

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
