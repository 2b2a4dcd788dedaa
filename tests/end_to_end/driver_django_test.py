"""A small Django project on tables that are not sharded: schema editor, ORM, atomic blocks, server-side cursors, locks.

Django takes one configuration per process, so each conversation is a process of its own: this file, started again with an
address, prints what it noted as JSON.
"""

import json
import os
import subprocess
import sys
import unittest

from harness.both_ways import BothWaysTest, Transcript

_ITSELF = os.path.abspath(__file__)


def configure(address, **options):
    import django
    from django.conf import settings
    settings.configure(
        DATABASES={"default": dict({"ENGINE": "django.db.backends.postgresql", "HOST": address["host"], "PORT": address["port"], "USER": address["user"],
                                    "PASSWORD": address["password"], "NAME": address["dbname"]}, **options)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True, TIME_ZONE="Europe/Rome", INSTALLED_APPS=[])
    django.setup()


def define_models():
    from django.db import models

    class Author(models.Model):
        name = models.CharField(max_length=40, unique=True)
        born = models.DateTimeField(null=True)

        class Meta:
            app_label = "books"

    class Book(models.Model):
        author = models.ForeignKey(Author, models.CASCADE)
        title = models.TextField()
        pages = models.IntegerField(default=0)
        details = models.JSONField(default=dict)
        cover = models.BinaryField(default=b"")

        class Meta:
            app_label = "books"
            constraints = [models.CheckConstraint(check=models.Q(pages__gte=0), name="pages_not_negative")]
            indexes = [models.Index(fields=["title"], name="books_by_title")]
    return Author, Book


def edit_schema(log):
    from django.db import connection, models
    Author, Book = define_models()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS books_book, books_author")  # of a conversation that broke off
    with connection.schema_editor() as editor:
        for model in (Author, Book):
            editor.create_model(model)
    with connection.schema_editor() as editor:
        field = models.CharField(max_length=10, default="none", db_index=True)
        field.set_attributes_from_name("genre")
        editor.add_field(Book, field)
    with connection.schema_editor() as editor:
        wider = models.TextField(default="none", null=True)
        wider.set_attributes_from_name("genre")
        editor.alter_field(Book, field, wider)
    with connection.schema_editor() as editor:
        editor.remove_field(Book, wider)

    def fails():
        with connection.schema_editor() as editor:
            editor.add_index(Book, models.Index(fields=["pages"], name="books_by_pages"))
            editor.execute("SELECT 1/0")
    log.attempt("DDL that fails", fails)
    with connection.cursor() as cursor:
        log.note("tables", sorted(name for name in connection.introspection.table_names(cursor) if name.startswith("books_")))
        log.note("constraints", sorted(connection.introspection.get_constraints(cursor, "books_book")))
        log.note("columns", [column.name for column in connection.introspection.get_table_description(cursor, "books_book")])
        log.note("sequences", connection.introspection.get_sequences(cursor, "books_book"))
    return Author, Book


def use_models(log):
    import datetime

    from django.db import DatabaseError, connection, transaction
    from django.db.models import Count, F, Sum
    Author, Book = edit_schema(log)
    at = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
    author = Author.objects.create(name="Ünïcødé", born=at)
    Book.objects.bulk_create([Book(author=author, title=f"book {n}", pages=n, details={"n": [n, None]}, cover=bytes([n % 256, 0])) for n in range(300)], batch_size=70)
    log.note("born", repr(Author.objects.get(name="Ünïcødé").born))
    log.note("sum", Book.objects.aggregate(Sum("pages"), Count("id")))
    log.note("json", list(Book.objects.filter(details__n__0__gt=296).values_list("title", flat=True).order_by("id")))
    log.note("update", Book.objects.filter(pages__lt=10).update(pages=F("pages") + 1000))
    log.note("get or create", [Author.objects.get_or_create(name=name)[1] for name in ("new", "new")])
    log.note("update or create", [Author.objects.update_or_create(name="new", defaults={"born": at})[1] for _ in range(2)])
    # Server-side cursors: WITH HOLD in autocommit, without in a transaction.
    log.note("iterated", sum(book.pages for book in Book.objects.order_by("id").iterator(chunk_size=37)))
    with transaction.atomic():
        rows = Book.objects.order_by("id").iterator(chunk_size=20)
        log.note("first", next(rows).title)
        Book.objects.filter(title="book 299").update(pages=1)
        log.note("rest", sum(1 for _ in rows))
        log.note("locked", len(Book.objects.select_for_update(skip_locked=True).filter(pages__lt=50)))

    def atomic(outer_fails, inner_fails, durable=False):
        Author.objects.filter(name__startswith="atomic").delete()

        def run():
            with transaction.atomic(durable=durable):
                Author.objects.create(name="atomic outer")
                try:
                    with transaction.atomic():
                        Author.objects.create(name="atomic inner")
                        if inner_fails:
                            Author.objects.create(name="atomic inner")
                except DatabaseError:
                    log.note("inner", "failed")
                Author.objects.create(name="atomic after")
                transaction.on_commit(lambda: log.note("committed", True))
                if outer_fails:
                    Author.objects.create(name="atomic after")
        log.attempt(f"atomic {outer_fails} {inner_fails}", run)
        log.note("stored", list(Author.objects.filter(name__startswith="atomic").order_by("name").values_list("name", flat=True)))
    for outer_fails in (False, True):
        for inner_fails in (False, True):
            atomic(outer_fails, inner_fails)
    atomic(False, False, durable=True)

    def broken():
        with transaction.atomic():
            try:
                Author.objects.create(name="Ünïcødé")
            except DatabaseError:
                Author.objects.count()
    log.attempt("query in a broken block", broken)
    log.attempt("negative pages", Book.objects.update, pages=-1)
    with transaction.atomic():
        point = transaction.savepoint()
        Book.objects.all().delete()
        transaction.savepoint_rollback(point)
        log.note("kept", Book.objects.count())
    with connection.cursor() as cursor:
        cursor.execute("SHOW timezone")
        log.note("time zone", cursor.fetchone())
        cursor.execute("SELECT count(*) FROM samples WHERE user_id = %s", [8100])
        log.note("sharded", cursor.fetchone())
    log.note("deleted", [Book.objects.all().delete()[0], author.delete()[0]])
    connection.close()
    log.note("after reconnecting", Author.objects.count())
    with connection.schema_editor() as editor:
        editor.delete_model(Book)
        editor.delete_model(Author)


class DriverDjango(BothWaysTest):
    _OPTIONS = {"as it comes": {}, "repeatable read": {"OPTIONS": {"isolation_level": 2}}, "serializable": {"OPTIONS": {"isolation_level": 3}},
                "no server-side cursors": {"DISABLE_SERVER_SIDE_CURSORS": True}, "kept connections": {"CONN_MAX_AGE": 60}}

    def test_models_schema_and_transactions(self):
        for name, options in self._OPTIONS.items():
            def conversation(address, log, options=options):
                done = subprocess.run([sys.executable, "-B", _ITSELF, json.dumps({"address": address, "options": options})], capture_output=True,
                                      text=True, timeout=100, check=False)
                for what, value in json.loads(done.stdout or "[]"):
                    log.note(what, value)
                if done.returncode != 0:
                    raise AssertionError(done.stderr[-2500:])
            with self.subTest(options=name):
                self.alike(conversation)


def hold_alone(argument):
    asked = json.loads(argument)
    configure(asked["address"], **asked["options"])
    transcript = Transcript()
    try:
        use_models(transcript)
    finally:
        print(json.dumps(transcript.entries, default=repr))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        hold_alone(sys.argv[1])
    else:
        unittest.main()
