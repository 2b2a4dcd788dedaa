-- What the tests that compare Mosaic with one PostgreSQL need beside the demo's schema: keys of other types than bigint, a
-- constraint that is checked at COMMIT, names that need quotes, a table whose rows any client may fill with what a trigger does.
CREATE TABLE labels (name text PRIMARY KEY, n integer NOT NULL DEFAULT 0);
CREATE TABLE codes (code varchar(3) PRIMARY KEY, n integer NOT NULL DEFAULT 0);
CREATE TABLE stamps (code char(4) PRIMARY KEY, n integer NOT NULL DEFAULT 0);
CREATE TABLE tokens (token uuid PRIMARY KEY, n integer NOT NULL DEFAULT 0);
CREATE TABLE notes (owner_id bigint NOT NULL, body text);
CREATE TABLE "Line Items" ("User Id" bigint NOT NULL, "Item" text, quantity integer NOT NULL DEFAULT 1);
CREATE TABLE slots (user_id bigint NOT NULL, slot integer NOT NULL, who text, UNIQUE (user_id, slot) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE hooks (user_id bigint NOT NULL, what text);
CREATE TABLE stamped (user_id bigint NOT NULL, what text NOT NULL DEFAULT set_config('app.stamped', 'by a default', false));
