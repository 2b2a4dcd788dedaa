"""What each scenario asks, how the report shows the answer, and what is drawn. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    metric: str
    heading: str
    digits: int = 1


@dataclass(frozen=True)
class Plot:
    metric: str
    axis: str
    title: str
    peers: tuple = ()  # all when empty


@dataclass(frozen=True)
class Question:
    scenario: str
    title: str
    text: str
    columns: tuple
    plots: tuple = ()
    baseline: str = ""      # the contender that the ratio column compares with
    ratio_metric: str = ""


TPS = Column("tps", "transactions/s", 0)
LATENCIES = (Column("p50_ms", "p50 ms", 2), Column("p99_ms", "p99 ms", 2), Column("p999_ms", "p99.9 ms", 2))
CPU = Column("cpu_us", "CPU us/transaction", 1)
CONNECT = Column("connect_ms", "ms to connect all", 0)
MEMORY = (Column("rss_mb", "RSS MB", 1), Column("pss_mb", "PSS MB", 1))

QUESTIONS = (
    Question("turns", "Point select, in short turns",
             "The question that decides: does routing cost more than forwarding? Contenders take turns of a fraction of a "
             "second, dozens of rounds, in random order, so that a machine whose speed changes from second to second slows "
             "neighbours alike. The load is bench/turns: a closed loop that writes the protocol itself. `mosaic` routes over "
             "1,024 shards on three nodes, `mosaic, as configured` too, with the demo's 2 workers and 60 connections; "
             "`pgbouncer` asks one node for an unsharded table; `pgbouncer, three nodes` is told by the application where "
             "each row is.",
             (TPS, *LATENCIES, CPU),
             (Plot("cpu_us", "CPU us per transaction", "Proxy CPU per point select, in short turns"),
              Plot("tps", "transactions per second", "Throughput of point selects, in short turns")),
             "pgbouncer", "cpu_us"),
    Question("select", "Point select",
             "What does one row by its key cost, in each protocol, as clients grow on a pool of 20 connections? "
             "`mosaic` routes over 1,024 shards on three nodes, all others ask one node for an unsharded table.",
             (TPS, *LATENCIES, CPU, Column("syscalls", "system calls/transaction", 2), *MEMORY, CONNECT),
             (Plot("cpu_us", "CPU us per transaction", "Proxy CPU per point select"),
              Plot("tps", "transactions per second", "Throughput of point selects"),
              Plot("p99_ms", "ms", "p99 latency of point selects")),
             "pgbouncer", "cpu_us"),
    Question("insert", "Single-row insert", "The same for a statement that writes (fsync is off: the disk is not asked).",
             (TPS, *LATENCIES, CPU, *MEMORY), (Plot("cpu_us", "CPU us per transaction", "Proxy CPU per insert"),),
             "pgbouncer", "cpu_us"),
    Question("shards", "What addressing a shard costs",
             "The same rows on one node in 1, 64 and 1,024 shards, and not sharded (`none`), through the same program and "
             "a pool of 20. Mosaic keeps up to 2,000 prepared statements per server connection here, so that each shard's "
             "fits.",
             (TPS, *LATENCIES, CPU), (Plot("tps", "transactions per second", "Throughput by number of shards"),)),
    Question("large", "Large values and COPY",
             "What does a megabyte cost? Rows of 1 MB to 8 clients, and COPY of rows of 100 bytes by one client.",
             (Column("mb_per_s", "MB/s", 0), Column("cpu_us_per_mb", "CPU us/MB", 0), Column("p50_ms", "p50 ms", 2),
              Column("p99_ms", "p99 ms", 2), Column("pss_mb", "PSS MB", 1)),
             (Plot("cpu_us_per_mb", "CPU us per MB", "Proxy CPU per megabyte"),), "haproxy", "cpu_us_per_mb"),
    Question("sysbench", "sysbench",
             "oltp_read_only and oltp_read_write with the table on one node (range selects over shards are refused, and so "
             "are transactions over nodes), and the read-only point selects, each on its own, on a table that is sharded "
             "by `id` over three nodes. Statements are not prepared (`--db-ps-mode=disable`), for PgBouncer's sake. A "
             "transaction of oltp_read_only is 16 statements, of oltp_read_write 20, of the point selects 10.",
             (TPS, Column("qps", "statements/s", 0), Column("p99_ms", "p99 ms", 2), CPU,
              Column("cpu_us_per_query", "CPU us/statement", 1)),
             (), "pgbouncer", "cpu_us"),
    Question("idle", "Idle clients",
             "What does a client cost that has run a statement and now is silent, and do many of them slow down 16 active "
             "ones? One worker; memory is the process's PSS, the kernel's socket buffers not counted.",
             (Column("bytes_per_client", "bytes/idle client", 0), TPS, *LATENCIES, CPU, Column("pss_mb", "PSS MB", 1)),
             (Plot("bytes_per_client", "bytes", "Memory per idle client"),)),
    Question("logins", "Connect storm",
             "32 clients that log in with SCRAM-SHA-256, run one statement and leave, again and again. pgbench computes the "
             "client's side of SCRAM on the same cores, which is most of the work: the proxy's CPU per login is what "
             "compares.",
             (Column("logins_per_s", "logins/s", 0), Column("cpu_us_per_login", "CPU us/login", 0),
              Column("pss_mb", "PSS MB", 1)),
             (Plot("cpu_us_per_login", "CPU us per login", "Proxy CPU per login"),), "pgbouncer", "cpu_us_per_login"),
    Question("pressed", "A pool that is too small",
             "2,000 clients on a pool of 5 connections (`mosaic`, which routes, has 5 per node): does everyone get a turn? "
             "Fairness is Jain's index over the clients' transactions (1: all alike); the least served client's share is of "
             "the average.",
             (TPS, *LATENCIES, CPU, Column("fairness", "fairness", 3), Column("least_served", "least served", 2)),
             (Plot("p99_ms", "ms", "p99 latency, 2,000 clients on a pool of 5"),)),
    Question("crowd", "A crowd",
             "Does everyone wait alike? Clients in a closed loop on a pool of 40 connections to one node: where all wait in "
             "one fair queue, the slowest wait little longer than the median.",
             (TPS, *LATENCIES, CPU), (), "pgbouncer", "cpu_us"),
    Question("workers", "Workers", "What does a second thread cost per transaction? 256 clients, routed point selects.",
             (TPS, *LATENCIES, CPU), ()),
    Question("moves", "Moving shards: how long writers wait",
             "How long are writes to a shard paused when it moves to another node under load, does that depend on its size, and "
             "what do clients see of it? Two nodes with fsync, two proxies; the photo application through both in every protocol, "
             "paced; and clients that write to the moving shard all the time, one write each 2 ms where they find the time, by every "
             "protocol through both. A row is all moves of shards of about a size. `write pause` is from the hold until the map has changed, as the mover "
             "measures it; its parts follow. `longest gap` is the longest time around the switch, some seconds, without an acknowledged "
             "write of those clients; `without a move` the same in as many seconds afterwards, `of a shard that stays` the same at the "
             "same time: what the machine itself does.",
             (Column("size_mb", "MB"), Column("write_pause_ms", "write pause ms"), *(Column(f"{part}_ms", f"{part.replace('_', ' ')} ms")
              for part in ("hold", "drain", "close", "catch_up", "open", "flip")), Column("read_pause_ms", "read pause ms"),
              Column("attempts", "attempts", 0), Column("gap_ms", "longest gap ms"), Column("quiet_gap_ms", "without a move ms"),
              Column("others_gap_ms", "of a shard that stays ms"), Column("slowest_ms", "slowest write ms"),
              Column("writes_per_s", "probing writes/s", 0))),
    Question("moves_phases", "Moving shards: how long a move takes",
             "The same moves by phase, in seconds. `verifying` compares all rows of both sides; `rows compared` says how many.",
             (Column("size_mb", "MB"), Column("rows", "rows", 0), Column("rows_compared", "rows compared", 0), Column("total_s", "all"),
              *(Column(f"{phase}_s", phase.replace("_", " ")) for phase in ("preparing", "copying", "indexing", "catching_up",
                                                                            "verifying", "ready", "cutover", "switched", "finishing")))),
    Question("moves_others", "Moving shards: what others notice",
             "The application's operations on all shards, counted from when they were due, in windows while a shard moves and in "
             "windows as long (20 s at most; the load has caught up before each) while none does, in turn. One operation in 64 is for "
             "the shard that moves.",
             (TPS, *LATENCIES[:2]), (), "while none does", "p99_ms"),
    Question("moves_copy", "Moving shards: how fast they are copied",
             "The same shard, under the same load, copied by pg_dump and pg_restore into another database of the target, and then "
             "by its move: its phases `copying` and `indexing`. MB are those of tables and indexes.",
             (Column("mb_per_s", "MB/s"), Column("seconds", "s")),
             (Plot("mb_per_s", "MB per second", "Copying a shard under load"),), "pg_dump -Fc | pg_restore", "mb_per_s"),
    Question("micro", "Micro-benchmarks", "One question each, on one thread without sockets: see bench/micro.",
             (Column("cpu_ns", "CPU ns", 1), Column("allocations", "allocations", 2),
              Column("bytes_per_second", "bytes/s", 0)), ()),
)
