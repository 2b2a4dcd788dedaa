"""What programs see that list the tables of all schemas: with a default node that has no shards, each table once."""

import unittest

import psycopg2

from harness.cluster import Cluster, is_plain

# As Kysely's PostgresIntrospector sends it (0.27), shortened in its select list only.
KYSELY = """select "a"."attname" as "column", "c"."relname" as "table", "ns"."nspname" as "schema"
from "pg_catalog"."pg_attribute" as "a" inner join "pg_catalog"."pg_class" as "c" on "a"."attrelid" = "c"."oid"
inner join "pg_catalog"."pg_namespace" as "ns" on "c"."relnamespace" = "ns"."oid"
inner join "pg_catalog"."pg_type" as "typ" on "a"."atttypid" = "typ"."oid"
where "c"."relkind" in ('r', 'v', 'p') and "ns"."nspname" !~ '^pg_' and "ns"."nspname" != 'information_schema'
and "a"."attnum" >= 0 and "a"."attisdropped" != true order by "ns"."nspname", "c"."relname", "a"."attnum" """

# As PgJDBC's getTables(null, null, "media", {"TABLE"}) sends it, shortened likewise.
JDBC = """SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, d.description AS REMARKS
FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d
ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid
AND c.relname LIKE 'media' AND (false OR (c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'))
ORDER BY TABLE_SCHEM, TABLE_NAME"""

STANDARD = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'media'"


class Introspection(unittest.TestCase):
    def schemas_of_media(self, has_shards):
        cluster = Cluster(node_count=2, shards=8)
        self.addCleanup(cluster.stop)
        cluster.sections["nodes.pg1"]["shards"] = has_shards
        cluster.write_files()
        cluster.start()
        self.assertEqual(len(cluster.shards_on(cluster.nodes[0])), 4 if has_shards else 0)
        connection = psycopg2.connect(**cluster.address())
        connection.autocommit = True
        self.addCleanup(connection.close)
        cursor = connection.cursor()
        for user in range(1, 20):
            cursor.execute("INSERT INTO media (user_id) VALUES (%s) RETURNING id", (user,))
        self.assertEqual(len(cluster.stored("media", "user_id")), 19)
        found = []
        cursor.execute(KYSELY)
        found.append({schema for _, table, schema in cursor.fetchall() if table == "media"})
        cursor.execute(JDBC)
        found.append({row[1] for row in cursor.fetchall()})
        cursor.execute(STANDARD)
        found.append({schema for schema, in cursor.fetchall()})
        return found

    def test_default_node_without_shards_shows_each_table_once(self):
        if is_plain():
            raise RuntimeError("Introspection tests Mosaic itself")
        self.assertEqual(self.schemas_of_media(has_shards=False), [{"public"}] * 3)

    def test_default_node_with_shards_shows_theirs_too(self):
        if is_plain():
            raise RuntimeError("Introspection tests Mosaic itself")
        copies = {"public", "shard_0000", "shard_0001", "shard_0002", "shard_0003"}
        self.assertEqual(self.schemas_of_media(has_shards=True), [copies] * 3)


if __name__ == "__main__":
    unittest.main()
