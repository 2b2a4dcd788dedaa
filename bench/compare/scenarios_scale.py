"""The suite `scale`: many clients, few connections, several threads."""

import resource

from harness.processes import wait_until

from . import cluster as data
from .idle_clients import IdleClients
from .measure import proportional_bytes
from .peers import Mosaic, PgBouncer, PlainMosaic, Running
from .plan import CROWD_POOL_SIZE, PRESSED_POOL_SIZE
from .rounds import Contender
from .scenarios_pg import select_script
from .turns import Turns

_SPARE_DESCRIPTORS = 1_000  # for everything that is no client


class ScaleSuite:
    def __init__(self, cluster, rounds, load, plan, results):
        self.cluster, self.rounds, self.load, self.plan, self.results = cluster, rounds, load, plan, results
        self.layout = data.THREE_NODES

    def run(self):
        self.cluster.prepare(self.layout, self.plan)
        self.idle_clients()
        self.logins()
        self.pressed_pool()
        self.crowd()
        self.workers()

    def _script(self, peer):
        return select_script("items" if peer.is_routing else "plain_items", self.plan.users)

    # --- idle clients

    def idle_clients(self):
        """Each contender runs twice, once with idle clients and once without, so that both can be loaded in turn."""
        count = self._affordable(self.plan.idle_clients)
        alone = [PlainMosaic(self.cluster, self.layout, label="mosaic"), PgBouncer(self.cluster, self.layout)]
        crowded = [PlainMosaic(self.cluster, self.layout, label="mosaic"), PgBouncer(self.cluster, self.layout)]
        with Running(*alone, *crowded):
            bytes_before = {}
            for peer in crowded:  # its pool and buffers are there before clients are counted
                self.load.pgbench(peer, self._script(peer), 16, seconds=self.plan.seconds)
                bytes_before[peer.label] = self._settled_bytes(peer)
            statement = "SELECT note FROM plain_items WHERE user_id = 1"
            with IdleClients(crowded[0], count, statement), IdleClients(crowded[1], count, statement):
                contenders = []
                for number, peers in ((0, alone), (count, crowded)):
                    for peer in peers:
                        contenders.append(Contender(
                            peer.label, {"idle clients": number, "clients": 16},
                            lambda peer=peer: self.load.pgbench(peer, self._script(peer), 16)))
                each = {peer.label: (self._settled_bytes(peer) - bytes_before[peer.label]) / count for peer in crowded}
                for point in self.rounds.measure("idle", contenders, max(self.plan.rounds, 3)):
                    if point.labels["idle clients"] and not point.problem:
                        point.once["bytes_per_client"] = each[point.peer]

    @staticmethod
    def _settled_bytes(peer):
        """The process's memory once it has stopped changing, for it may free things a little later."""
        seen = []

        def is_settled():
            seen.append(proportional_bytes(peer.pid))
            return len(seen) >= 5 and len(set(seen[-5:])) == 1

        wait_until(is_settled, f"the memory of {peer.label} to settle", deadline_s=20, interval_s=0.05)
        return seen[-1]

    @staticmethod
    def _affordable(count):
        """As many idle clients as the limit of open files allows; root may raise it. The contenders inherit it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = 2 * count + _SPARE_DESCRIPTORS  # this process holds the clients of both contenders
        if soft < needed:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
            except (ValueError, PermissionError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return min(count, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_DESCRIPTORS) // 2)

    # --- logins

    def logins(self):
        rows = self.cluster.nodes[0].query("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
        contenders, peers = [], []
        for secret_kind, secret in (("password", "app"), ("SCRAM secret", rows[0][0])):
            for kind, label in ((PlainMosaic, "mosaic"), (PgBouncer, "pgbouncer")):
                peer = kind(self.cluster, self.layout, auth="scram-sha-256", secret=secret, label=label)
                peers.append(peer)
                contenders.append(Contender(
                    label, {"auth_file holds": secret_kind, "clients": self.plan.storm_clients},
                    lambda peer=peer: self._storm(peer)))
        with Running(*peers):
            self.rounds.measure("logins", contenders)

    def _storm(self, peer):
        metrics = self.load.pgbench(peer, "SELECT 1;\n", self.plan.storm_clients, seconds=self.plan.scale_seconds,
                                    connect_each=True)
        return {"logins_per_s": metrics["tps"], "cpu_us_per_login": metrics["cpu_us"], "pss_mb": metrics["pss_mb"]}

    # --- a pool that is too small

    def pressed_pool(self):
        peers = [kind(self.cluster, self.layout, pool_size=PRESSED_POOL_SIZE)
                 for kind in (PlainMosaic, Mosaic, PgBouncer)]
        with Running(*peers):
            self.rounds.measure("pressed", [
                Contender(peer.label, {"clients": self.plan.pressed_clients, "pool": PRESSED_POOL_SIZE},
                          lambda peer=peer: self.load.pgbench(peer, self._script(peer), self.plan.pressed_clients,
                                                              seconds=self.plan.scale_seconds)) for peer in peers])

    def crowd(self):
        count = self._affordable(self.plan.crowd_clients)
        peers = [kind(self.cluster, self.layout, pool_size=CROWD_POOL_SIZE) for kind in (PlainMosaic, PgBouncer)]
        with Running(*peers):
            Turns(self.cluster, self.layout, self.rounds, self.load, self.plan).measure_crowd(count, peers)

    # --- threads

    def workers(self):
        peers = [Mosaic(self.cluster, self.layout, workers=workers, label=f"mosaic, {workers} workers")
                 for workers in (1, 2)]
        with Running(*peers):
            for protocol in ("simple", "prepared"):
                self.rounds.measure("workers", [
                    Contender("mosaic", {"protocol": protocol, "clients": 256, "workers": peer.workers},
                              lambda peer=peer, protocol=protocol: self.load.pgbench(peer, self._script(peer), 256,
                                                                                     protocol)) for peer in peers],
                    max(self.plan.rounds, 3))
