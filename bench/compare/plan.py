"""How long and how often: the one place where durations, rounds and sizes stand.

QUICK answers "is something badly off?" in minutes; FULL is what is published. Knows nothing of what is measured.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Plan:
    name: str
    rounds: int             # of A B A B ...
    seconds: float          # per point and round, after all clients are connected
    scale_seconds: float    # the same where thousands of clients, logins or sysbench are involved
    warm_up_s: float        # at the start of each point, not counted
    clients: tuple          # of the points that are measured at several
    clients_extended: tuple  # the same for the extended protocol without named statements
    insert_clients: tuple
    protocols_insert: tuple
    users: int              # rows of the tables that are read
    idle_clients: int
    storm_clients: int
    pressed_clients: int    # on a pool of 5
    crowd_clients: int      # on a pool of 40
    crowd_rounds: int
    crowd_seconds: float
    large_clients: int      # that read rows of 1 MB
    copy_mb: int            # bytes of one COPY
    strace_transactions: int  # per client, of 16
    shards_warm_up_s: float  # backends meet a thousand tables: what is asked about is what comes after
    turn_clients: tuple     # point selects in short turns
    turn_settle_s: float    # of each contender before the first round, for the same reason
    turn_rounds: int
    turn_seconds: float
    turn_many_rounds: int   # the same for thousands of clients, whose transactions take long
    turn_many_seconds: float
    micro_min_time_s: float

    def as_json(self):
        return asdict(self)


MANY_CLIENTS = 1000  # a transaction takes long from here on
TURN_WARM_UP = 0.2  # of a turn's seconds, before them
CROWD_WARM_UP = 0.5  # a client waits for all others: each must have had its turn

# pgbench runs for whole seconds: warm-up, window and a tenth for connecting should be a little less.
QUICK = Plan(name="quick", rounds=2, seconds=0.7, scale_seconds=1.6, warm_up_s=0.2, clients=(16, 256, 2000),
             clients_extended=(16,), insert_clients=(16,), protocols_insert=("simple",), users=20_000, idle_clients=2_000,
             storm_clients=32, pressed_clients=2_000, crowd_clients=2_000, crowd_rounds=2, crowd_seconds=2.0, large_clients=8, copy_mb=16, strace_transactions=60,
             shards_warm_up_s=2, turn_clients=(16, 256), turn_settle_s=1, turn_rounds=8, turn_seconds=0.2, turn_many_rounds=4, turn_many_seconds=1.0,
             micro_min_time_s=0.02)

FULL = Plan(name="full", rounds=3, seconds=2.4, scale_seconds=4.3, warm_up_s=0.4, clients=(1, 16, 256, 2000),
            clients_extended=(1, 16), insert_clients=(16, 256), protocols_insert=("simple", "prepared"),
            users=20_000, idle_clients=10_000, storm_clients=32, pressed_clients=2_000, crowd_clients=10_000, crowd_rounds=4, crowd_seconds=6.0, large_clients=8, copy_mb=64,
            strace_transactions=300, shards_warm_up_s=10, turn_clients=(16, 256, 2000), turn_settle_s=3, turn_rounds=30,
            turn_seconds=0.3, turn_many_rounds=10, turn_many_seconds=1.2, micro_min_time_s=0.2)

POOL_SIZE = 20          # server connections in all
NODES = 3               # that Mosaic spreads them over, where it routes
CONFIGURED_WORKERS = 2  # of the demo, whose pool is POOL_SIZE per node
PRESSED_POOL_SIZE = 5   # where the pool is what is short
CROWD_POOL_SIZE = 40    # before a crowd
PROTOCOLS = ("simple", "extended", "prepared")


@dataclass(frozen=True)
class MovesPlan:
    """Of the suite `moves`."""
    name: str
    shards: int
    sizes_mb: tuple         # of the shards that move, one move each
    copies: int             # so many of the largest are also copied by pg_dump and pg_restore
    capacity_seconds: float  # a closed loop that says what the machine can do
    share: float            # of that is asked for beside the moves
    trial_seconds: float    # whether it keeps up with that
    load_connections: int   # of each of the six generators
    load_users: int         # of each
    probe_pause_s: float    # between two writes to the shard that moves
    settle_s: float         # before and after a move, and until the load has caught up, but
    settle_s_max: float     # no longer than this
    quiet_s_max: float      # a window without a move is as long as the move before it, but for this
    budget_s: float         # of the run: no move begins later

    def as_json(self):
        return asdict(self)


def spread_mb(least, most, count):
    """Sizes whose logarithms lie at equal distances."""
    return tuple(round(least * (most / least) ** (number / (count - 1)), 1) for number in range(count))


QUICK_MOVES = MovesPlan(name="quick", shards=64, sizes_mb=spread_mb(1, 16, 6), copies=1, capacity_seconds=4, share=0.8,
                        trial_seconds=3, load_connections=10, load_users=300, probe_pause_s=0.002, settle_s=0.4,
                        settle_s_max=5, quiet_s_max=6, budget_s=200)
FULL_MOVES = MovesPlan(name="full", shards=64, sizes_mb=spread_mb(1, 64, 44) + (256,) * 4 + (1024,) * 2, copies=1,
                       capacity_seconds=15, share=0.8, trial_seconds=8, load_connections=10, load_users=500,
                       probe_pause_s=0.002, settle_s=0.4, settle_s_max=10, quiet_s_max=20, budget_s=1380)
LOAD_SHARE_TRIALS = 4  # a rate that is not kept up with is lowered by `share` so often
