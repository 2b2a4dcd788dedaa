"""The house rules that a program can check: a list, each rule with its reason, a sample that breaks it and one that
keeps it. Knows only paths and texts; style_test.py brings the tree's files, and proves every rule by its samples.

A rule looks at one file and returns (line number, what is wrong) pairs. `SourceFile.code` is the text without comments
and string literals, so that prose about uv_read() breaks nothing."""

import re
from dataclasses import dataclass
from typing import Callable, Iterable

PRODUCT = ("routing", "pool", "proxy", "admin")


@dataclass(frozen=True)
class SourceFile:
    path: str
    text: str

    @property
    def folder(self) -> str:
        return self.path.split("/")[0] if "/" in self.path else ""

    @property
    def is_cpp(self) -> bool:
        return self.path.endswith((".h", ".cpp"))

    @property
    def is_header(self) -> bool:
        return self.path.endswith(".h")

    @property
    def is_product(self) -> bool:
        return self.is_cpp and self.folder in PRODUCT

    @property
    def code(self) -> str:
        return strip_comments_and_literals(self.text)


Violation = tuple[int, str]


@dataclass(frozen=True)
class Rule:
    name: str
    reason: str
    check: Callable[[SourceFile], Iterable[Violation]]
    bad: SourceFile
    good: SourceFile


LEXEME = re.compile(
    r"""(?P<keep>\#\s*include[^\n]*)
      | (?P<drop>//[^\n]*
      |   /\*.*?\*/
      |   R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"
      |   "(?:\\.|[^"\\\n])*"
      |   (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+')""",
    re.VERBOSE | re.DOTALL,
)


def strip_comments_and_literals(text: str) -> str:
    """C++ without comments and literals; line numbers stay what they were."""
    return LEXEME.sub(lambda m: m.group("keep") or re.sub(r"[^\n]", " ", m.group("drop")), text)


def matches(pattern: str, text: str) -> Iterable[tuple[int, re.Match]]:
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match


# --- Folders --------------------------------------------------------------------------------------------------------

MAY_INCLUDE = {
    "routing": {"routing"},
    "pool": {"routing", "pool"},
    "proxy": {"routing", "pool", "proxy"},
    "admin": {"routing", "pool", "proxy", "admin"},
}


def check_folders(file: SourceFile) -> Iterable[Violation]:
    if not file.is_product:
        return
    allowed = MAY_INCLUDE[file.folder]
    if file.path == "proxy/main.cpp":
        allowed = set(PRODUCT)
    for line, match in matches(r'^\s*#\s*include\s+"([a-z_]+)/', file.text):
        if match.group(1) not in allowed:
            yield line, f"{file.folder}/ must not include {match.group(1)}/"


# --- Calls that belong to one place ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Owned:
    pattern: str
    owners: tuple[str, ...]  # path prefixes
    what: str


OWNED_CALLS = (
    Owned(r"\buv_(?!version_string)\w+", ("pool/",), "libuv"),
    Owned(r"\bPQ[a-z]\w*\s*\(", ("pool/", "admin/"), "libpq"),
    Owned(r"\bpg_query_\w+|\bPG_QUERY_\w+|\bPgQuery\w+", ("routing/postgres/sql/",), "libpg_query"),
    Owned(r"\b(SSL|SSL_CTX|BIO|EVP|HMAC|RAND|CRYPTO|PKCS5)_\w+|\bHMAC\s*\(|\bSHA\d+\s*\(",
          ("pool/postgres/scram_keys.", "pool/random.", "proxy/tls", "pool/tls"), "OpenSSL"),
)


def check_owned_calls(file: SourceFile) -> Iterable[Violation]:
    if not file.is_product:
        return
    for owned in OWNED_CALLS:
        if file.path.startswith(owned.owners):
            continue
        for line, match in matches(owned.pattern, file.code):
            yield line, f"{match.group(0).strip()}: {owned.what} is called in {', '.join(owned.owners)} only"


IMPURE_INCLUDE = (
    r"^\s*#\s*include\s+<(sys/[\w/]+\.h|netinet/[\w/]+\.h|arpa/inet\.h|netdb\.h|unistd\.h|fcntl\.h|poll\.h|uv\.h"
    r"|libpq-fe\.h|spdlog/[\w/.]+|openssl/[\w/.]+|ctime|time\.h|thread|mutex|shared_mutex|atomic"
    r"|condition_variable|future|iostream|fstream|cstdio|stdio\.h|random|filesystem)>"
)
IMPURE_CALL = r"\b(getenv|system_clock|thread_local|printf|fprintf|std::cout|std::cerr|rand|srand|spdlog)\b"


def check_purity(file: SourceFile) -> Iterable[Violation]:
    if file.folder != "routing" or not file.is_cpp:
        return
    for pattern in (IMPURE_INCLUDE, IMPURE_CALL):
        for line, match in matches(pattern, file.code):
            yield line, f"routing/ is pure: {match.group(0).strip()}"


# --- Form -----------------------------------------------------------------------------------------------------------


def check_header_start(file: SourceFile) -> Iterable[Violation]:
    if not file.is_header:
        return
    lines = file.text.split("\n") + ["", ""]
    if lines[0] != "#pragma once":
        yield 1, "a header begins with #pragma once"
    elif not re.match(r"// \S.{20,}", lines[1]):
        yield 2, "after #pragma once: a comment that says what the file owns and who calls it"


LINES_MAX = 700


def check_length(file: SourceFile) -> Iterable[Violation]:
    count = file.text.count("\n")
    if file.path.endswith((".h", ".cpp", ".py", ".sh", ".js")) and count > LINES_MAX:
        yield count, f"{count} lines: more than {LINES_MAX}; find the second thing that this file does"


def check_names(file: SourceFile) -> Iterable[Violation]:
    stem = file.path.split("/")[-1]
    if file.is_cpp and not re.fullmatch(r"[a-z0-9_]+\.(h|cpp)", stem):
        yield 1, "C++ files are named in snake_case"
    if re.search(r"(?:^|_)(manager|helpers?|utils?|common|misc)(?:_|\.)", stem):
        yield 1, f"{stem}: name what it is, not that it helps"


def check_unfinished(file: SourceFile) -> Iterable[Violation]:
    for line, match in matches(r"\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b", file.text):
        yield line, f"{match.group(1)}: finish it, or say in the closing note what is left"


def check_machine_paths(file: SourceFile) -> Iterable[Violation]:
    for line, match in matches(r"(?<![\w.$}/])/(root|work|home/\w+|Users/\w+|tmp)/[\w.]*", file.text):
        yield line, f"{match.group(0)}: a path of one machine"


def check_coroutines(file: SourceFile) -> Iterable[Violation]:
    if not file.is_cpp:
        return
    for line, match in matches(r"\bco_(await|return|yield)\b", file.code):
        yield line, f"{match.group(0)}: state machines, not coroutines"


def check_swallowed(file: SourceFile) -> Iterable[Violation]:
    if not file.is_product:
        return
    for line, _ in matches(r"\bcatch\s*\([^)]*\)\s*\{\s*\}", file.code):
        yield line, "an empty catch block swallows an error"


def check_using_namespace(file: SourceFile) -> Iterable[Violation]:
    if not file.is_header:
        return
    for line, _ in matches(r"^\s*using\s+namespace\b", file.code):
        yield line, "using namespace in a header reaches everyone who includes it"


def check_sleeps(file: SourceFile) -> Iterable[Violation]:
    if file.folder != "tests" or not re.search(r"_test\.(cpp|py)$|\.js$", file.path) or "tests/style/" in file.path:
        return
    for line, match in matches(r"\bsleep_(for|until)\b|\busleep\s*\(|\btime\.sleep\s*\(|\basyncio\.sleep\s*\(",
                               file.code if file.is_cpp else file.text):
        yield line, f"{match.group(0)}: wait for a condition with a deadline"


# A bad sample must not trip over this very file's own rules when the tree is checked.
UNFINISHED_WORD = "TO" + "DO"
MACHINE_FOLDER = "/" + "root/"
PURPOSE = "#pragma once\n// Owns the samples of this file; called by nobody at all.\n"

RULES = [
    Rule("folders", "The dependency diagram: routing <- pool <- proxy; admin sees all, and only main.cpp sees admin.",
         check_folders,
         bad=SourceFile("routing/a.cpp", '#include "pool/lease.h"\n'),
         good=SourceFile("proxy/main.cpp", '#include "admin/config.h"\n')),
    Rule("folders", "The same, one layer up.", check_folders,
         bad=SourceFile("proxy/postgres/session/session.cpp", '#include "admin/config.h"\n'),
         good=SourceFile("pool/lease.cpp", '#include "routing/ids.h"\n')),
    Rule("owned-calls", "One RAII wrapper per C handle: a library is called by its wrappers and by nobody else.",
         check_owned_calls,
         bad=SourceFile("proxy/postgres/session/session.cpp", "void f() { uv_close(handle, nullptr); }\n"),
         good=SourceFile("proxy/postgres/session/session.cpp", "// what uv_close() does is the pool's business\n")),
    Rule("owned-calls", "libpq connects server connections (pool) and does the control plane's work (admin).",
         check_owned_calls,
         bad=SourceFile("proxy/postgres/session/session.cpp", "int f() { return PQstatus(connection); }\n"),
         good=SourceFile("admin/catalog.cpp", "int f() { return PQstatus(connection); }\n")),
    Rule("owned-calls", "A parse costs more than a proxied transaction: only behind the shape cache.",
         check_owned_calls,
         bad=SourceFile("admin/route.cpp", "auto f() { return pg_query_parse(text); }\n"),
         good=SourceFile("routing/postgres/sql/parse.cpp", "auto f() { return pg_query_parse(text); }\n")),
    Rule("owned-calls", "Cryptography stands in few files, so that it can be read in one sitting.",
         check_owned_calls,
         bad=SourceFile("proxy/postgres/login/login.cpp", "void f() { HMAC(EVP_sha256(), a, b, c, d, e, f); }\n"),
         good=SourceFile("pool/postgres/scram_keys.cpp", "void f() { HMAC(EVP_sha256(), a, b, c, d, e, f); }\n")),
    Rule("purity", "Routing is pure: same input, same Route. No sockets, clock of day, threads or logging.", check_purity,
         bad=SourceFile("routing/a.cpp", "#include <sys/socket.h>\n"),
         good=SourceFile("pool/a.cpp", "#include <sys/socket.h>\n")),
    Rule("purity", "The same for what needs no include of its own.", check_purity,
         bad=SourceFile("routing/a.cpp", 'void f() { printf("routed"); }\n'),
         good=SourceFile("routing/a.cpp", '// a printf("routed") would be impure\n')),
    Rule("header-start", "A reader learns from the first lines what a file owns and who calls it.", check_header_start,
         bad=SourceFile("pool/a.h", "#pragma once\n#include <string>\n"),
         good=SourceFile("pool/a.h", PURPOSE)),
    Rule("header-start", "Include guards by hand get copied.", check_header_start,
         bad=SourceFile("pool/a.h", "#ifndef A_H\n#define A_H\n#endif\n"),
         good=SourceFile("pool/a.cpp", '#include "pool/a.h"\n')),
    Rule("length", "A file of this length holds two things.", check_length,
         bad=SourceFile("pool/a.cpp", "int x;\n" * (LINES_MAX + 1)),
         good=SourceFile("pool/a.cpp", "int x;\n" * LINES_MAX)),
    Rule("names", "A name that fits everything tells nothing.", check_names,
         bad=SourceFile("pool/string_util.cpp", ""),
         good=SourceFile("pool/lease.cpp", "")),
    Rule("unfinished", "What is committed is finished.", check_unfinished,
         bad=SourceFile("README.md", f"{UNFINISHED_WORD}: write this\n"),
         good=SourceFile("README.md", "All is done.\n")),
    Rule("machine-paths", "The tree works wherever it is cloned.", check_machine_paths,
         bad=SourceFile("test.sh", f"cd {MACHINE_FOLDER}mosaic\n"),
         good=SourceFile("test.sh", f'cd "$(dirname "$0")"; ls build{MACHINE_FOLDER}x\n')),
    Rule("coroutines", "g++ 12.2 miscompiles everyday coroutine code (ARCHITECTURE.md).", check_coroutines,
         bad=SourceFile("proxy/a.cpp", "Task f() { co_return; }\n"),
         good=SourceFile("proxy/a.cpp", "// no co_return here\n")),
    Rule("swallowed", "Nothing is swallowed: an error is handled, passed on, or counted.", check_swallowed,
         bad=SourceFile("admin/a.cpp", "void f() { try { g(); } catch (const E& e) { } }\n"),
         good=SourceFile("admin/a.cpp", "void f() { try { g(); } catch (const E& e) { report(e); } }\n")),
    Rule("using-namespace", "A header must not change what names mean elsewhere.", check_using_namespace,
         bad=SourceFile("pool/a.h", PURPOSE + "using namespace std;\n"),
         good=SourceFile("pool/a.cpp", "using namespace std;\n")),
    Rule("sleeps", "A test that sleeps is slow on a fast machine and red on a slow one.", check_sleeps,
         bad=SourceFile("tests/pool/lease_test.cpp", "void f() { std::this_thread::sleep_for(1s); }\n"),
         good=SourceFile("tests/pool/lease_test.cpp", "void f() { wait_until(is_idle, deadline); }\n")),
]


def check_file(file: SourceFile) -> list[str]:
    """Every violation of every rule, as "path:line: [rule] what"; each check runs once however many samples it has."""
    found = []
    for name, check in {rule.name: rule.check for rule in RULES}.items():
        found += [f"{file.path}:{line}: [{name}] {what}" for line, what in check(file)]
    return found
