"""What each contender does for a statement, in the report's words. Apart from peers.py, so that a report can be written
where no PostgreSQL and no peer is installed."""

PEERS = {
    "mosaic": "Reads the statement, finds the key's shard (1,024 on three nodes unless the table says otherwise), writes the "
              "shard's schema into the statement, and pools per node: 6 connections to each of three nodes, 18 in all. This "
              "is more work than any other contender does. Statements that come often are kept by the servers, simple queries "
              "too (prepare_threshold, prepare_simple_queries), as they are not through the others. In `sysbench` with the "
              "table on one node, `idle` and `logins` it is asked for what lives on one node, as PgBouncer is.",
    "mosaic, unsharded": "The same program, asked for a table that is not sharded: finds that out, writes nothing into the "
                         "statement, and pools 20 connections to one node, as PgBouncer does.",
    "mosaic, as configured": "The same with the demo's configuration: 2 workers and 20 connections to each of the three nodes, "
                             "60 in all.",
    "pgbouncer": "Pools 20 connections to one node in transaction mode and passes the statement as it came, to a table that is "
                 "not sharded. Debian's 1.18 can not do that with prepared statements: by pgbench those are measured in "
                 "session mode, where each client holds a connection and nothing is pooled.",
    "pgbouncer, extended": "In `turns`, beside Mosaic's prepared statements: the same in transaction mode, by the extended protocol "
                           "without named statements, which is the most that Debian's 1.18 pools.",
    "pgbouncer, three nodes, extended": "As `pgbouncer, extended`, over three nodes.",
    "pgbouncer, three nodes": "The same rows in the same shards on the same nodes as `mosaic`, but the application knows where "
                              "each row is: it connects to a database per node and writes the shard's schema into the "
                              "statement. PgBouncer passes it on; 6 connections to each node, as `mosaic` has. Each client "
                              "has a connection to each database.",
    "haproxy": "TCP mode, one thread: a server connection for each client, to one node; reads no protocol and pools nothing.",
    "forwarder": "bench/forwarder: one epoll thread that copies bytes, a server connection for each client, to one node. The "
                 "floor.",
    "direct": "No proxy: each client has a PostgreSQL backend of its own on one node.",
}
