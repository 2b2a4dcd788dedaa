-- The demo: a photo-sharing application, as it would be written for one PostgreSQL.
-- `mosaic init` applies this file to every shard; the names are unqualified on purpose. What is sharded, by which
-- column, and what is not, stands in photos.toml. Every column but the keys has a default, so that
-- `INSERT INTO media (user_id, caption) VALUES (1, 'hello') RETURNING id` is all it takes.
-- next_id() is installed in each shard by `mosaic init`: its IDs carry the number of their shard.

-- Sharded by user_id: all that belongs to one user is in one shard, so joins and transactions of a user stay local.
-- (Foreign keys between such tables work too. There are none here, so that you may try a single INSERT on its own;
-- likes.media_id, comments.media_id and follows.followee_id often name rows of another shard, where no foreign key
-- can reach.)

CREATE TABLE users (
  user_id     bigint PRIMARY KEY,
  name        text NOT NULL DEFAULT '' CHECK (length(name) <= 100),
  bio         text NOT NULL DEFAULT '',
  country     text CHECK (length(country) = 2),
  edit_count  bigint NOT NULL DEFAULT 0 CHECK (edit_count >= 0),
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE media (
  id          bigint PRIMARY KEY DEFAULT next_id(),
  user_id     bigint NOT NULL,
  caption     text DEFAULT '',
  filter      text NOT NULL DEFAULT 'normal',
  width       integer NOT NULL DEFAULT 1080 CHECK (width > 0),
  height      integer NOT NULL DEFAULT 1080 CHECK (height > 0),
  location    point,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX media_by_user ON media (user_id, id DESC);

CREATE TABLE likes (
  user_id     bigint NOT NULL,
  media_id    bigint NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, media_id)
);
CREATE INDEX likes_by_media ON likes (media_id);

CREATE TABLE comments (
  id          bigint PRIMARY KEY DEFAULT next_id(),
  user_id     bigint NOT NULL,
  media_id    bigint,
  body        text NOT NULL DEFAULT '',
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX comments_by_user ON comments (user_id, id DESC);
CREATE INDEX comments_by_media ON comments (media_id, id);

CREATE TABLE follows (
  user_id     bigint NOT NULL,
  followee_id bigint NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, followee_id),
  CHECK (user_id <> followee_id)
);
CREATE INDEX follows_by_followee ON follows (followee_id);

-- Reference: small, the same rows on every node, joins with anything.
CREATE TABLE countries (
  code        text PRIMARY KEY CHECK (length(code) = 2),
  name        text NOT NULL
);

-- Pinned: the whole table on one node.
CREATE TABLE app_settings (
  name        text PRIMARY KEY,
  value       text NOT NULL DEFAULT '',
  changed_at  timestamptz NOT NULL DEFAULT now()
);
