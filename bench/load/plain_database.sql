-- The photo application's tables in one plain PostgreSQL, for `photo_load --unsharded` (directly, or behind a pooler).
-- In a fresh database whose owner you are:  psql -v user=app -f bench/load/plain_database.sql
-- The schema wants next_id(), which `mosaic init` installs in each shard: here it is once, with the same layout.
\set ON_ERROR_STOP on
CREATE SEQUENCE next_id_sequence;
CREATE FUNCTION next_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint - 1314220021721) << 23
         | nextval('next_id_sequence') % 1024
$$;
\ir ../../conf/photos.sql
\ir ../../conf/photos_countries.sql
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"user";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :"user";
