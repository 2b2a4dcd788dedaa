-- One table with a column of every type that applications commonly use, sharded by user_id like the others.
CREATE TABLE samples (
  user_id bigint NOT NULL,
  name text NOT NULL,
  small smallint,
  number integer,
  big bigint,
  price numeric(20, 4),
  ratio double precision,
  flag boolean,
  at timestamptz,
  day date,
  document jsonb,
  raw bytea,
  tags text[],
  numbers integer[],
  token uuid,
  PRIMARY KEY (user_id, name)
);
