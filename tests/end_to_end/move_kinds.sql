-- Everything that a shard's schema may hold and that a move must bring over; {s} is the schema.
SET search_path = {s}, public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE cached CACHE 10;
CREATE TABLE "We""ird Näme" ("Kéy" int PRIMARY KEY, "select" text DEFAULT 'x''y');
CREATE TABLE kinds (
  id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gone       int,
  mood       mood NOT NULL DEFAULT 'ok',
  pairs      pair[],
  amount     positive DEFAULT 1,
  doubled    int GENERATED ALWAYS AS (amount * 2) STORED,
  big        text,
  note       text,
  period     tsrange,
  doc        jsonb,
  price      numeric(12, 4),
  at         timestamptz DEFAULT '2026-01-02',
  span       interval DEFAULT '-1 day 02:00:01.5',
  bytes      bytea DEFAULT '\x00ff5c',
  EXCLUDE USING gist (period WITH &&)
);
ALTER TABLE kinds DROP COLUMN gone;
ALTER TABLE kinds ALTER COLUMN big SET STORAGE EXTERNAL;
CREATE INDEX ON kinds (lower(note)) WHERE mood <> 'sad';
CREATE UNIQUE INDEX ON kinds (note) INCLUDE (price);
COMMENT ON TABLE kinds IS 'of everything';
CREATE TABLE parted (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE base (id int PRIMARY KEY, v text);
CREATE TABLE heir (extra int, PRIMARY KEY (id)) INHERITS (base);
CREATE TABLE parents (id int PRIMARY KEY, name text);
CREATE TABLE children (id serial PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
                       country text REFERENCES public.countries);
CREATE TABLE counted (id int PRIMARY KEY, touched int NOT NULL DEFAULT 0);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON counted FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE guarded (id int PRIMARY KEY, owner text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded TO app USING (owner = current_user);
CREATE TABLE twins (a int, b text);
ALTER TABLE twins REPLICA IDENTITY FULL;
CREATE TABLE emptied (id int PRIMARY KEY);
CREATE VIEW happy AS SELECT id, doubled FROM kinds WHERE mood = 'happy';
CREATE STATISTICS linked ON mood, amount FROM kinds;
GRANT SELECT (id, owner), UPDATE (owner) ON guarded TO app;
GRANT SELECT ON happy TO app WITH GRANT OPTION;
GRANT SELECT, INSERT ON kinds, counted TO PUBLIC;
DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY, v text)', i);
  EXECUTE format('INSERT INTO many_%s SELECT g, md5(g::text) FROM generate_series(1, 20) g', i); END LOOP; END $$;
INSERT INTO "We""ird Näme" VALUES (1, E'tab\there'), (2, NULL);
INSERT INTO kinds (mood, pairs, amount, big, note, period, doc, price)
  SELECT (ARRAY['sad', 'ok', 'happy'])[g % 3 + 1]::mood, ARRAY[(g, E'q"\\,')::pair, NULL], g, repeat(md5(g::text), 300), 'n' || g,
         tsrange('2026-01-01'::timestamp + g * interval '1 h', '2026-01-01'::timestamp + g * interval '1 h' + interval '30 min'),
         jsonb_build_object('g', g, 'n', NULL), g / 3.0 FROM generate_series(1, 200) g;
INSERT INTO parted SELECT g, '2025-06-01'::date + g, 'p' FROM generate_series(1, 400) g;
INSERT INTO base VALUES (1, 'b'); INSERT INTO heir VALUES (2, 'h', 3);
INSERT INTO parents SELECT g, 'p' || g FROM generate_series(1, 50) g;
INSERT INTO children (parent) SELECT g % 50 + 1 FROM generate_series(1, 200) g;
INSERT INTO counted SELECT g FROM generate_series(1, 50) g;
INSERT INTO guarded VALUES (1, 'app'), (2, 'other');
INSERT INTO twins SELECT 1, 'same' FROM generate_series(1, 5);
INSERT INTO emptied SELECT generate_series(1, 100);
SELECT nextval('cached');
