"""The suite `pg`: what a statement costs through each contender. Each function answers one question of questions.py."""

import os

from harness.processes import spawn, wait_until

from . import cluster as data
from .measure import count_system_calls
from .peers import ConfiguredMosaic, Direct, Forwarder, HaProxy, Mosaic, PgBouncer, PlainMosaic, Running, ShardedPgBouncer
from .plan import MANY_CLIENTS, NODES, POOL_SIZE, PROTOCOLS
from .rounds import Contender
from .turns import Turns

NO_PREPARED = "PgBouncer 1.18 pools no prepared statements (1.21 does), and in session mode needs a server connection per client"
FEW_CLIENTS = 16  # up to here contenders without a pool take part: each client is a PostgreSQL backend there


def select_script(table, users):
    return f"\\set id random(1, {users})\nSELECT note FROM {table} WHERE user_id = :id;\n"


def insert_script(table, users):
    return (f"\\set id random(1, {users})\nINSERT INTO {table} (user_id, note) VALUES (:id, "
            f"'{'n' * 100}');\n")


class PgSuite:
    def __init__(self, cluster, rounds, load, plan, results):
        self.cluster, self.rounds, self.load, self.plan, self.results = cluster, rounds, load, plan, results

    def run(self):
        self.cluster.prepare(data.THREE_NODES, self.plan)
        self.turns()
        self.statements()
        self.large_values()
        self.statements_on_the_server()
        self.shards()
        self.sysbench()

    # --- one statement

    def turns(self):
        layout = data.THREE_NODES
        turns = Turns(self.cluster, layout, self.rounds, self.load, self.plan)
        for protocol in PROTOCOLS:
            for clients in self.plan.turn_clients:
                suffix = ", extended" if protocol == "prepared" else ""
                peers = [Mosaic(self.cluster, layout, pool_size=POOL_SIZE // NODES), ConfiguredMosaic(self.cluster, layout),
                         PlainMosaic(self.cluster, layout), PgBouncer(self.cluster, layout, label=PgBouncer.label + suffix),
                         ShardedPgBouncer(self.cluster, layout, pool_size=POOL_SIZE // NODES,
                                          label=ShardedPgBouncer.label + suffix)]
                if clients <= FEW_CLIENTS:
                    peers.append(Forwarder(self.cluster, layout))
                with Running(*peers):
                    turns.measure(protocol, clients, peers)

    def statements(self):
        layout = data.THREE_NODES
        # No contender has more server connections than PgBouncer: on few cores they cost more than any proxy.
        peers = [Mosaic(self.cluster, layout, pool_size=POOL_SIZE // NODES), PlainMosaic(self.cluster, layout), PgBouncer(self.cluster, layout),
                 HaProxy(self.cluster, layout), Forwarder(self.cluster, layout), Direct(self.cluster, layout)]
        in_sessions = PgBouncer(self.cluster, layout, mode="session", label="pgbouncer, session mode")
        with Running(*peers, in_sessions):
            self._keep_configs(*peers)
            for protocol in PROTOCOLS:
                for clients in self.plan.clients if protocol != "extended" else self.plan.clients_extended:
                    self._statement("select", select_script, peers, in_sessions, protocol, clients)
            self.rounds.say("counting system calls")
            for protocol in ("simple", "prepared"):
                self._count_calls(peers, in_sessions, protocol)
            for protocol in self.plan.protocols_insert:
                for clients in self.plan.insert_clients:
                    self._statement("insert", insert_script, peers, in_sessions, protocol, clients)
        self.cluster.empty(layout, "events", "plain_events")

    def _statement(self, scenario, script_of, peers, in_sessions, protocol, clients):
        table = "items" if scenario == "select" else "events"
        # A transaction of thousands of clients takes long: the window must hold several of each.
        seconds = self.plan.scale_seconds if clients >= MANY_CLIENTS else self.plan.seconds
        contenders = []
        for peer in peers:
            if clients > FEW_CLIENTS and not isinstance(peer, (Mosaic, PgBouncer)):
                continue
            name = table if peer.is_routing else f"plain_{table}"
            script, problem, label = script_of(name, self.plan.users), "", peer.label
            if protocol == "prepared" and not peer.keeps_prepared:
                if clients <= POOL_SIZE:
                    peer = in_sessions
                else:
                    problem = NO_PREPARED
            contenders.append(Contender(
                label, {"protocol": protocol, "clients": clients},
                lambda peer=peer, script=script: self.load.pgbench(peer, script, clients, protocol, seconds), problem))
        self.rounds.measure(scenario, contenders)

    def _count_calls(self, peers, in_sessions, protocol):
        """System calls per transaction: a separate run, because strace makes everything slow."""
        clients, each = 16, self.plan.strace_transactions
        for label, peer in [(peer.label, peer) for peer in peers]:
            if protocol == "prepared" and not peer.keeps_prepared:
                peer = in_sessions
            point = self.results.find("select", label, protocol=protocol, clients=clients)
            if peer.pid is None or point is None or point.problem:
                continue
            table = "items" if peer.is_routing else "plain_items"
            command = self.load.pgbench_command(peer, select_script(table, self.plan.users), clients, protocol, "-t",
                                                str(each))
            try:
                calls = count_system_calls(peer.pid, lambda: self.load.run(command, peer, sampled=False), spawn, wait_until,
                                           self.load.folder)
            except RuntimeError as refused:
                self.results.facts["strace"] = str(refused)
                return
            point.once["syscalls"] = sum(calls.values()) / (clients * each)
            for name, count in calls.items():
                if count >= clients * each / 20:
                    point.once[f"syscalls_{name}"] = count / (clients * each)

    # --- addressing a shard

    def shards(self):
        """One node, the same rows in 1, 64 and 1024 shards, and the same not sharded, through like processes."""
        peers = []
        for shards, layout in data.ONE_NODE.items():
            self.cluster.prepare(layout, self.plan)
            peers.append((f"{shards}", Mosaic(self.cluster, layout, prepared_max=2_000, label=f"mosaic, {shards} shards")))
        peers.append(("none", PlainMosaic(self.cluster, data.ONE_NODE[1024], prepared_max=2_000)))
        with Running(*(peer for _, peer in peers)):
            for protocol in ("simple", "prepared"):
                contenders = []
                for shards, peer in peers:
                    script = select_script("items" if peer.is_routing else "plain_items", self.plan.users)
                    contenders.append(Contender(
                        "mosaic", {"protocol": protocol, "clients": 16, "shards": shards},
                        lambda peer=peer, script=script, protocol=protocol: self.load.pgbench(peer, script, 16, protocol)))
                    self.load.pgbench(peer, script, 16, protocol, self.plan.shards_warm_up_s)
                self.rounds.measure("shards", contenders)

    def statements_on_the_server(self):
        """How many statements PostgreSQL logs for each that a client sends: addressing a shard must not add any."""
        layout, count = data.THREE_NODES, 50
        for node in self.cluster.nodes:
            node.query(f"ALTER ROLE app IN DATABASE {layout.name} SET log_statement = 'all'", database=layout.name)
        try:
            for protocol in ("simple", "prepared"):
                # One connection per node: each has met these clients' settings after the first run.
                with Running(Mosaic(self.cluster, layout, pool_size=1)) as (peer,):
                    command = self.load.pgbench_command(peer, select_script("items", self.plan.users), 4, protocol, "-t",
                                                        str(count))
                    self.load.run(command, peer, sampled=False)
                    before = [len(node.log_text()) for node in self.cluster.nodes]
                    self.load.run(command, peer, sampled=False)
                    logged = [line for node, size in zip(self.cluster.nodes, before)
                              for line in node.log_text()[size:].splitlines()
                              if "LOG:  statement:" in line or "LOG:  execute" in line]
                self.results.facts[f"server_statements_{protocol}"] = len(logged) / (4 * count)
                others = [line for line in logged if "SELECT note FROM" not in line]
                self.results.facts[f"server_statements_other_{protocol}"] = [line.split("LOG:  ")[1] for line in others][:5]
        finally:
            for node in self.cluster.nodes:
                node.query(f"ALTER ROLE app IN DATABASE {layout.name} RESET log_statement", database=layout.name)

    # --- large values

    def large_values(self):
        layout = data.THREE_NODES
        peers = [Mosaic(self.cluster, layout), PgBouncer(self.cluster, layout), HaProxy(self.cluster, layout),
                 Forwarder(self.cluster, layout)]
        rows = os.path.join(self.load.folder, "rows.txt")
        row = "1\t" + "x" * 98 + "\n"
        count = self.plan.copy_mb * 1_000_000 // len(row)
        with open(rows, "w") as file:
            file.write(row * count)
        megabytes = len(row) * count / 1e6
        with Running(*peers):
            self.rounds.measure("large", [
                Contender(peer.label, {"what": "1 MB row", "clients": self.plan.large_clients},
                          lambda peer=peer: self._large_rows(peer)) for peer in peers])
            self.rounds.measure("large", [
                Contender(peer.label, {"what": "COPY in", "clients": 1},
                          lambda peer=peer: self.load.copy(peer, [f"\\copy {self._copied(peer)} FROM '{rows}'"], megabytes))
                for peer in peers])
            self._fill_copied(layout, count)
            self.rounds.measure("large", [
                Contender(peer.label, {"what": "COPY out", "clients": 1},
                          lambda peer=peer: self.load.copy(peer, [self._copy_out(peer)], megabytes))
                for peer in peers])
        self.cluster.empty(layout, "copied", "plain_copied")

    @staticmethod
    def _copied(peer):
        return "copied" if peer.is_routing else "plain_copied"

    def _copy_out(self, peer):
        return f"\\copy (SELECT user_id, note FROM {self._copied(peer)} WHERE user_id = 1) TO '/dev/null'"

    def _fill_copied(self, layout, count):
        """Every table holds the rows of exactly one COPY, however many rounds have written."""
        self.cluster.empty(layout, "copied", "plain_copied")
        source = f"SELECT 1, repeat('x', 98) FROM generate_series(1, {count})"
        for node in self.cluster.nodes:
            found = node.query("SELECT nspname FROM pg_namespace WHERE nspname = %s", (self.cluster.schema_of(layout, 1),),
                               database=layout.name)
            for schema, in found:
                node.query(f"INSERT INTO {schema}.copied {source}", database=layout.name)
        self.cluster.nodes[0].query(f"INSERT INTO plain_copied {source}", database=layout.name)

    def _large_rows(self, peer):
        table = "blobs" if peer.is_routing else "plain_blobs"
        script = f"\\set id random(1, {data.BLOBS})\nSELECT body FROM {table} WHERE user_id = :id;\n"
        metrics = self.load.pgbench(peer, script, self.plan.large_clients)
        megabytes = data.BLOB_BYTES / 1e6
        figures = {"mb_per_s": metrics["tps"] * megabytes, "cpu_us_per_mb": metrics["cpu_us"] / megabytes}
        return figures | {name: metrics[name] for name in ("p50_ms", "p99_ms", "pss_mb") if name in metrics}

    # --- a known benchmark

    def sysbench(self):
        pinned, sharded = data.ONE_NODE[1], data.THREE_NODES
        self.cluster.prepare(pinned, self.plan)
        peers = [PlainMosaic(self.cluster, pinned, label="mosaic"), PgBouncer(self.cluster, pinned),
                 HaProxy(self.cluster, pinned), Direct(self.cluster, pinned)]
        routed = Mosaic(self.cluster, sharded)
        unrouted = next(peer for peer in peers if isinstance(peer, PgBouncer))
        with Running(*peers, routed):
            for test in ("oltp_read_only", "oltp_read_write"):
                self.rounds.measure("sysbench", [
                    Contender(peer.label, {"test": test, "tables": "one node", "clients": 16},
                              lambda peer=peer, test=test: self.load.sysbench(
                                  peer, test, 16, data.SYSBENCH_PLAIN_ROWS, "--db-ps-mode=disable")) for peer in peers])
            options = ("--db-ps-mode=disable", "--range-selects=off", "--skip-trx=on")
            self.rounds.measure("sysbench", [
                Contender(peer.label, {"test": "oltp_read_only, point selects", "tables": "mosaic: 1024 shards",
                                       "clients": 16},
                          lambda peer=peer: self.load.sysbench(peer, "oltp_read_only", 16, data.SYSBENCH_ROWS, *options))
                for peer in (routed, unrouted)])

    def _keep_configs(self, *peers):
        for peer in peers:
            if peer.config_text:
                self.results.configs[peer.label] = peer.config_text
