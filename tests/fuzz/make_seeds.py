#!/usr/bin/env python3
"""Writes the seed corpora of the wire, login, auth_file, copy_rows and config targets: valid inputs of every kind and
the nasty ones next to them. Run by hand when a format changes; the files are committed, so that nothing else needs it.
Inputs that a fuzzer found stand beside them under names of their own and are left alone."""

import base64
import hashlib
import hmac
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def write(subject, name, content):
    folder = CORPUS / subject
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def i16(value):
    return struct.pack(">H", value & 0xFFFF)


def i32(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def packet(code, body=b""):
    return i32(8 + len(body)) + i32(code) + body


def startup(version=3 << 16, **parameters):
    body = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items())
    return packet(version, body + b"\0")


def frame(kind, body):
    return kind + i32(len(body) + 4) + body


SSL, GSS = packet(80877103), packet(80877104)
CANCEL = packet(80877102, i32(7) + i32(0xDEADBEEF))


def wire():
    """Bodies: the target runs every parser over each of them."""
    seeds = {
        "query": b"SELECT 1\0",
        "query_quotes": b"it's a \\ \"b\" \\'\0",
        "parse": b"stmt\0SELECT $1\0" + i16(2) + i32(20) + i32(25),
        "parse_many_types": b"\0\0" + i16(0xFFFF) + i32(20) * 3,
        "bind": b"p\0s\0" + i16(2) + i16(0) + i16(1) + i16(2) + i32(2) + b"42" + i32(4) + i32(7) + i16(1) + i16(1),
        "bind_null": b"\0\0" + i16(0) + i16(1) + i32(-1) + i16(0),
        "bind_one_format": b"\0\0" + i16(1) + i16(1) + i16(2) + i32(1) + b"x" + i32(0) + i16(0),
        "bind_length_minus_two": b"\0\0" + i16(0) + i16(1) + i32(-2) + i16(0),
        "bind_length_2_gb": b"\0\0" + i16(0) + i16(1) + i32(0x7FFFFFFF) + i16(0),
        "bind_65535_values": b"\0\0" + i16(0) + i16(0xFFFF) + i32(-1) * 4,
        "describe_statement": b"Sname\0",
        "close_portal": b"P\0",
        "execute": b"portal\0" + i32(100),
        "error": b"SERROR\0VERROR\0C42601\0Mno\0Dwhy\0Hhow\0P7\0\0",
        "error_cut": b"SERROR\0C426",
        "parameter_status": b"TimeZone\0UTC\0",
        "parameter_description": i16(2) + i32(20) + i32(25),
        "frames": frame(b"Q", b"SELECT 1\0") + frame(b"S", b"") + b"X" + i32(0x7FFFFFFF),
        "frame_length_3": b"Q" + i32(3),
        "startup": startup(user="app", database="photos")[4:],
        "startup_minor": startup(version=(3 << 16) | 2, user="app")[4:],
        "startup_empty_name": i32(3 << 16) + b"\0x\0user\0app\0\0",
        "cancel": CANCEL[4:],
        "ssl": SSL[4:],
    }
    for name, content in seeds.items():
        write("wire", name, content)


def scram(user, password, server_nonce=b"servernonce-24-characters", final=lambda text: text):
    """The client's two messages, for the constant nonce and the salt that the target's zero secret gives."""
    salt = hmac.new(bytes(32), b"\0" + user.encode(), hashlib.sha256).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    bare = b"n=,r=clientnonce"
    server_first = b"r=clientnonce" + server_nonce + b",s=" + base64.b64encode(salt) + b",i=4096"
    without_proof = b"c=biws,r=clientnonce" + server_nonce
    message = bare + b"," + server_first + b"," + without_proof
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    signature = hmac.new(hashlib.sha256(client_key).digest(), message, hashlib.sha256).digest()
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature)))
    first = b"n,," + bare
    initial = frame(b"p", b"SCRAM-SHA-256\0" + i32(len(first)) + first)
    return initial + frame(b"p", final(without_proof + b",p=" + proof))


def login():
    """First byte: bit 0 SCRAM instead of trust, the rest the size of the pieces less one."""
    app = startup(user="app", database="photos")
    trust, scram_pieces_of_7 = b"\0", bytes([6 << 1 | 1])
    seeds = {
        "trust": trust + app,
        "trust_then_query": trust + app + frame(b"Q", b"SELECT 1\0"),
        "trust_in_pieces": b"\x04" + SSL + app,
        "scram": b"\x01" + app + scram("app", "pencil"),
        "scram_in_pieces": scram_pieces_of_7 + SSL + GSS + app + scram("app", "pencil"),
        "scram_wrong_password": b"\x01" + app + scram("app", "wrong"),
        "scram_unknown_user": b"\x01" + startup(user="eve") + scram("eve", "pencil"),
        "scram_proof_cut": b"\x01" + app + scram("app", "pencil", final=lambda text: text[:-4]),
        "scram_console": b"\x01" + startup(user="root", database="pgbouncer") + scram("root", "pencil"),
        "scram_no_initial_response": b"\x01" + app + frame(b"p", b"SCRAM-SHA-256\0" + i32(-1)),
        "scram_plus": b"\x01" + app + frame(b"p", b"SCRAM-SHA-256-PLUS\0" + i32(0)),
        "password_in_clear": b"\x01" + app + frame(b"p", b"pencil\0"),
        "sasl_2_gb": b"\x01" + app + b"p" + i32(0x7FFFFFFF),
        "console": trust + startup(user="root", database="mosaic"),
        "console_stats": trust + startup(user="stats", database="mosaic"),
        "console_denied": trust + startup(user="app", database="mosaic"),
        "unknown_database": trust + startup(user="app"),
        "options": trust + startup(user="app", database="photos", options="-c a=b --c-d=e\\ f -cg=h"),
        "options_bad": trust + startup(user="app", database="photos", options="-B 1"),
        "replication": trust + startup(user="app", replication="database"),
        "negotiate": trust + startup(version=(3 << 16) | 9999, **{"user": "app", "database": "photos", "_pq_.x": "1"}),
        "protocol_2": trust + startup(version=2 << 16, user="app"),
        "cancel": trust + CANCEL,
        "ssl_then_cancel": b"\x0e" + SSL + CANCEL,
        "ssl_twice": b"\x0e" + SSL + SSL,
        "ssl_stuffed": b"\xff" + SSL + app,
        "length_2_gb": trust + i32(0x7FFFFFFF),
        "length_7": trust + i32(7) + b"....",
        "http": trust + b"GET / HTTP/1.1\r\n\r\n",
        "tls": trust + b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "names_cut": trust + packet(3 << 16, b"user\0app"),
    }
    for name, content in seeds.items():
        write("login", name, content)


SECRET = (
    b"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    b"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def auth_file():
    """First byte: 0 a whole file, 1 one SCRAM secret."""
    seeds = {
        "plaintext": b'\0"ann" "pencil"\n',
        "comments": b'\0; one\n# two\r\n\n \t"ann"\t"a" rest ; of line\r\n',
        "quotes": b'\0"a""b" "c""""d"',
        "md5": b'\0"ann" "md5d41d8cd98f00b204e9800998ecf8427e"',
        "empty": b'\0"ann" ""\n"" "x"',
        "twice": b'\0"ann" ""\n"ann" ""\n',
        "scram": b'\0"ann" "' + SECRET + b'"\n',
        "errors": b'\0ann\n"ann\n"ann" ann\n"ann" "SCRAM-SHA-256$"',
        "secret": b"\1" + SECRET,
        "secret_cut": b"\1" + SECRET[:40],
        "secret_many_iterations": b"\1" + SECRET.replace(b"4096", b"99999999999999999999"),
        "secret_no_salt": b"\1" + SECRET.replace(b"W22ZaJ0SNY7soEsUEjb6gQ==", b""),
    }
    for name, content in seeds.items():
        write("auth_file", name, content)


def copy_rows():
    """First three bytes: format and options, key column and header, chunk size less one (see make_target)."""
    text, csv, binary = b"\x00", b"\x01", b"\x02"
    header = b"PGCOPY\n\xff\r\n\0" + i32(0) + i32(0)
    row = i16(2) + i32(4) + i32(7) + i32(1) + b"x"
    seeds = {
        "text": text + b"\0\x02" + b"1\ta\n22\tb\n333\tc",
        "text_second_column": text + b"\1\x02" + b"1\ta\tx\n22\tb\ty\n",
        "text_escapes": text + b"\1\x01" + b"a\\\tb\\\nc\t\\N\n\\\\.\t\\101\\x4a\\x\\\n",
        "text_crlf": text + b"\0\x05" + b"1\ta\r\n2\tb\r\n",
        "text_cr": text + b"\0\x05" + b"1\ta\r2\tb\r",
        "text_mixed_ends": text + b"\0\x05" + b"1\ta\n2\tb\r\n",
        "text_marker": text + b"\0\x01" + b"1\n\\.\nrubbish",
        "text_marker_in_row": text + b"\0\x01" + b"1\\.\n2\n",
        "text_header": text + b"\x11\x03" + b"id\\\n\tkey\n1\ta\n",
        "text_key_too_long": text + b"\0\x03" + b"1" * 100,
        "text_backslash_last": text + b"\0\x00" + b"a\\",
        "text_pipes": b"\x30\1\x04" + b"1|N|x\n2|b\n",
        "csv": csv + b"\1\x02" + b"1,a\n2,\"b,\"\"c\nd\"\n3,\n4,\"\"\n",
        "csv_escape": b"\x40\0\x01" + b"\"a\\\"b\\\\\",1\n\"c\\d\",2\n\\e,3\n",
        "csv_quote": b"\xc1\0\x01" + b"'a\\'b',1\n",
        "csv_crlf": csv + b"\0\x05" + b"1,\"\n\"\r\n2,b\r\n",
        "csv_marker": csv + b"\0\x01" + b"1\n\\.\n",
        "csv_marker_then_row": csv + b"\0\x01" + b"1\n\\.\n2\n",
        "csv_no_marker": csv + b"\0\x01" + b"\\.,1\n\\.x\n\\,",
        "csv_open_quote": csv + b"\0\x01" + b"1\n\"2\n",
        "csv_header": csv + b"\x11\x03" + b"id,\"a\nb\"\n1,a\n",
        "binary": binary + b"\1\x06" + header + row + i16(2) + i32(-1) + i32(-1) + i16(-1),
        "binary_extension": binary + b"\0\x06" + header[:15] + i32(3) + b"abc" + row,
        "binary_flags": binary + b"\0\x06" + header[:11] + i32(1 << 16) + i32(0) + row,
        "binary_lengths": binary + b"\0\x06" + header + i16(2) + i32(-2),
        "binary_2_gb": binary + b"\1\x06" + header + i16(2) + i32(0x7FFFFFFF) + b"abc",
        "binary_few_columns": binary + b"\3\x06" + header + row,
        "binary_trailing": binary + b"\0\x06" + header + i16(-1) + b"x",
        "binary_not": binary + b"\0\x06" + b"1\ta\n2\tb\n3\tc\n",
    }
    for name, content in seeds.items():
        write("copy_rows", name, content)


def config():
    """The files of conf/, and files that are wrong in every way that the loader tells apart."""
    for path in sorted((CORPUS.parents[2] / "conf").glob("*.toml")):
        write("config", f"conf_{path.stem}", path.read_bytes())
    good = b'[database]\nname = "app"\n[nodes.pg1]\n[nodes.pg2]\nport = 5433\n'
    seeds = {
        "good": good,
        "empty": b"",
        "no_nodes": b"[database]\nname = 'app'\n",
        "no_name": b"[nodes.pg1]\n",
        "inline": b"database.name = 'app'\nnodes = {pg1 = {port = 1}, pg2 = {port = 2}}\npool = {default_pool_size = 3}\n",
        "node_is_value": good + b"nodes.x = 3\n",
        "section_is_value": b"pool = 3\ntables = [1]\nnodes = 'x'\n" + good,
        "section_is_list": good + b"[[pool]]\ndefault_pool_size = 1\n",
        "unknown_section": good + b"[pols]\nx = 1\n[\"\"]\n[zzzzzzzzzzzzzz.y]\n",
        "unknown_key": good + b"[pool]\ndefault_pool_sice = 3\nport = 1\n'' = 2\n",
        "ranges": good + b"[listen]\nport = 70000\n[pool]\ndefault_pool_size = -1\n[shards]\ncount = 9223372036854775807\n",
        "kinds": good + b"[listen]\nport = 1.5\naddress = 3\n[auth]\ntype = 'md5'\nadmin_users = ['a', 3, [4]]\n",
        "seconds": good + b"[pool]\nserver_lifetime = 1e300\nserver_idle_timeout = nan\nquery_wait_timeout = -0.0\n"
                          b"server_connect_timeout = inf\nserver_login_retry = 0.0004\n",
        "sizes": good + b"[limits]\nclient_buffer_bytes = '99999999999GiB'\nserver_buffer_bytes = '2 MiB'\n",
        "dates": good + b"[pool]\nserver_lifetime = 2024-05-06T07:08:09Z\nserver_idle_timeout = 07:08:09\n",
        "secrets": good + b"[catalog]\npassword = 'hunter2'\n[nodes.pg3]\nadmin_password = {a = 'hunter2'}\nport = 9\n",
        "tables": good + b"[tables.a]\nkey = 'k'\nid = 'i'\n[tables.b]\nreference = true\n[tables.c]\nnode = 'pg2'\n",
        "tables_wrong": good + b"[tables.a]\nkey = 'k'\nreference = true\n[tables.'x.y']\n[tables.b]\nnode = 'pg9'\nid = 'i'\n",
        "same_nodes": good + b"[nodes.pg3]\nport = 5433\n[nodes.'']\n[nodes.\"a.b\"]\nhost = ''\n",
        "id_bits": good + b"[shards]\nid_shard_bits = 16\nid_sequence_bits = 16\ncount = 65536\nid_epoch_ms = 4102444800000\n",
        "escapes": good + b"[catalog]\nuser = \"\\u0000\"\nschema = \"\\u00e9\"\n[mosaic]\npid_file = \"\\U0001F600\\u0007\"\n",
        "twice": good + b"[pool]\n[pool]\n",
        "not_utf8": good + b"[pool]\n\xff\xfe = 1\n",
        "byte_order_mark": b"\xef\xbb\xbf" + good,
        "crlf": good.replace(b"\n", b"\r\n"),
        "zero_byte": good + b"[pool]\n\0",
        "cut": good + b"[pool]\ndefault_pool_size = ",
        "nested": good + b"x = " + b"[" * 300 + b"]" * 300 + b"\n",
        "nested_keys": good + b"a" + b".a" * 300 + b" = 1\n",
    }
    for name, content in seeds.items():
        write("config", name, content)


if __name__ == "__main__":
    wire()
    login()
    auth_file()
    copy_rows()
    config()
