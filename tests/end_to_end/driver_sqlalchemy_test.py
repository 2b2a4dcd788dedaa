"""Ordinary use through SQLAlchemy's ORM (over psycopg2): introspection, round trips, sessions that roll back."""

import datetime
import unittest

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

from harness.cluster import EndToEndTest

Base = orm.declarative_base()


class User(Base):
    __tablename__ = "users"
    user_id = sa.Column(sa.BigInteger, primary_key=True, autoincrement=False)
    name = sa.Column(sa.Text, nullable=False)
    edit_count = sa.Column(sa.BigInteger, nullable=False, server_default="0")
    created_at = sa.Column(sa.DateTime(timezone=True), server_default=sa.func.now())


class Media(Base):
    __tablename__ = "media"
    id = sa.Column(sa.BigInteger, primary_key=True, server_default=sa.text("next_id()"))
    user_id = sa.Column(sa.BigInteger, nullable=False)
    caption = sa.Column(sa.Text)


class Sample(Base):
    __tablename__ = "samples"
    user_id = sa.Column(sa.BigInteger, primary_key=True, autoincrement=False)
    name = sa.Column(sa.Text, primary_key=True)
    document = sa.Column(postgresql.JSONB)
    raw = sa.Column(sa.LargeBinary)
    tags = sa.Column(postgresql.ARRAY(sa.Text))
    price = sa.Column(sa.Numeric(20, 4))


class SqlAlchemy(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.engine = sa.create_engine(cls.cluster.url("postgresql+psycopg2"), future=True, pool_size=4)
        cls.addClassCleanup(cls.engine.dispose)

    def session(self):
        return orm.Session(self.engine, future=True)

    def test_reflects_tables_columns_and_keys(self):
        inspector = sa.inspect(self.engine)
        self.assertLessEqual({"users", "media", "samples", "countries", "app_settings"}, set(inspector.get_table_names()))
        columns = {column["name"]: str(column["type"]) for column in inspector.get_columns("media")}
        self.assertEqual((columns["id"], columns["caption"]), ("BIGINT", "TEXT"))
        self.assertEqual(inspector.get_pk_constraint("media")["constrained_columns"], ["id"])
        self.assertIn("media_by_user", [index["name"] for index in inspector.get_indexes("media")])

    def test_orm_round_trip(self):
        with self.session() as session:
            session.add(User(user_id=401, name="Ünïcødé"))
            media = Media(user_id=401, caption="first")
            session.add(media)
            session.commit()
            media_id = media.id  # expired by commit: read again by id alone
        with self.session() as session:
            user = session.get(User, 401)
            self.assertEqual((user.name, user.edit_count), ("Ünïcødé", 0))
            self.assertIsInstance(user.created_at, datetime.datetime)
            media = session.get(Media, media_id)
            self.assertEqual((media.user_id, media.caption), (401, "first"))
            media.caption = "second"
            session.commit()
            self.assertEqual(session.scalar(sa.select(Media.caption).where(Media.user_id == 401)), "second")
            session.delete(media)
            session.commit()
            self.assertIsNone(session.get(Media, media_id))

    def test_bulk_insert_returns_ids_of_every_row(self):
        with self.session() as session:
            rows = [Media(user_id=402, caption=f"c{number}") for number in range(250)]
            session.add_all(rows)
            session.commit()
            ids = {row.id for row in rows}
            self.assertEqual(len(ids), 250)
            stored = session.execute(sa.select(Media).where(Media.user_id == 402)).scalars().all()
            self.assertEqual({row.id for row in stored}, ids)

    def test_session_rolls_back_after_an_error(self):
        with self.session() as session:
            session.add(User(user_id=403, name="once"))
            session.commit()
            session.add(User(user_id=403, name="twice"))
            with self.assertRaises(sa.exc.IntegrityError):
                session.flush()
            with self.assertRaises(sa.exc.PendingRollbackError):
                session.execute(sa.text("SELECT 1"))
            session.rollback()
            self.assertEqual(session.get(User, 403).name, "once")

    def test_nested_transaction_is_a_savepoint(self):
        with self.session() as session:
            session.add(User(user_id=404, name="kept"))
            session.flush()
            with self.assertRaises(sa.exc.IntegrityError), session.begin_nested():
                session.execute(sa.insert(User).values(user_id=404, name="twice"))
            session.commit()
            self.assertEqual(session.get(User, 404).name, "kept")

    def test_join_on_the_shard_key(self):
        with self.session() as session:
            session.add(User(user_id=405, name="join"))
            session.add_all(Media(user_id=405, caption=c) for c in ("a", "b"))
            session.commit()
            rows = session.execute(sa.select(User.name, Media.caption).join(Media, Media.user_id == User.user_id)
                                   .where(User.user_id == 405).order_by(Media.caption)).all()
            self.assertEqual([tuple(row) for row in rows], [("join", "a"), ("join", "b")])

    def test_upsert_and_returning(self):
        statement = postgresql.insert(User).values(user_id=406, name="new")
        statement = statement.on_conflict_do_update(
            index_elements=[User.user_id], set_={"edit_count": User.edit_count + 1}).returning(User.edit_count)
        with self.session() as session:
            self.assertEqual([session.execute(statement).scalar_one() for _ in range(3)], [0, 1, 2])
            session.commit()

    def test_special_types(self):
        with self.session() as session:
            session.add(Sample(user_id=407, name="x", document={"k": [1, None]}, raw=b"\0\1\xff", tags=["a", "b,c"], price=3))
            session.commit()
            row = session.get(Sample, (407, "x"))
            self.assertEqual((row.document, row.raw, row.tags, float(row.price)), ({"k": [1, None]}, b"\0\1\xff", ["a", "b,c"], 3.0))
            self.assertEqual(session.scalar(sa.select(Sample.document["k"][0].astext).where(Sample.user_id == 407)), "1")

    def test_execution_options_stream_results(self):
        with self.session() as session:
            session.execute(sa.text("INSERT INTO follows SELECT 408, n FROM generate_series(1000, 1999) n"))
            session.commit()
            got = session.execute(sa.text("SELECT followee_id FROM follows WHERE user_id = :u ORDER BY 1"), {"u": 408},
                                  execution_options={"stream_results": True, "yield_per": 50})
            self.assertEqual([row[0] for row in got], list(range(1000, 2000)))

    def test_isolation_level_of_a_connection(self):
        with self.engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
            level = connection.execute(sa.text("SELECT current_setting('transaction_isolation') FROM "
                                               "(SELECT count(*) FROM users WHERE user_id = 409) one")).scalar_one()
            self.assertEqual(level, "serializable")

    def test_autocommit_connection(self):
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (410, 'auto')"))
        with self.session() as session:
            self.assertEqual(session.get(User, 410).name, "auto")


if __name__ == "__main__":
    unittest.main()
