// Compares routing/copy_rows with PostgreSQL itself: random COPY data, most of it odd, goes to a real server
// and to CopyRows. Whatever the server stores, CopyRows must have given exactly those keys, or have refused
// for the one reason it may: the end-of-copy marker, about which PostgreSQL's versions disagree.
//
// usage: copy_rows_oracle <connection string> <seed> <rounds>     exit status 1: a difference, printed

#include <libpq-fe.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/copy_rows.h"

namespace {

using mosaic::routing::CopyRows;
using mosaic::routing::CopyTarget;
using Format = CopyTarget::Format;
using Keys = std::vector<std::optional<std::string>>;

struct FreeResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Rows = std::unique_ptr<PGresult, FreeResult>;

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(2);
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(engine_); }
  bool one_in(size_t count) { return below(count) == 0; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  std::mt19937_64 engine_;
};

struct Round {
  CopyTarget target;
  std::string statement;
  std::string data;
};

std::string quoted(char c) { return c == '\'' ? "''''" : "'" + std::string(1, c) + "'"; }

Round make_round(Random& random) {
  Round round;
  CopyTarget& target = round.target;
  const bool is_csv = random.one_in(2);
  const int columns = 1 + static_cast<int>(random.below(3));
  target.format = is_csv ? Format::kCsv : Format::kText;
  target.key_column = static_cast<int>(random.below(static_cast<size_t>(columns)));
  target.delimiter = random.pick<char>({is_csv ? ',' : '\t', is_csv ? ',' : '\t', '|'});
  target.null_text = random.pick<std::string>({is_csv ? "" : "\\N", is_csv ? "" : "\\N", "N", "1"});
  target.has_header = random.one_in(6);
  if (is_csv) {
    target.quote = random.pick<char>({'"', '"', '\''});
    target.escape = random.pick<char>({target.quote, '\\', 'x'});
  }
  round.statement = "COPY rows (c0";
  for (int i = 1; i < columns; ++i) round.statement += ", c" + std::to_string(i);
  round.statement += std::string(") FROM STDIN (FORMAT ") + (is_csv ? "csv" : "text");
  round.statement += ", DELIMITER E" + (target.delimiter == '\t' ? "'\\t'" : quoted(target.delimiter));
  round.statement += ", NULL '" + target.null_text + "', HEADER " + (target.has_header ? "on" : "off");
  if (is_csv) round.statement += ", QUOTE " + quoted(target.quote) + ", ESCAPE " + quoted(target.escape);
  round.statement += ")";

  // One line end for most of the data, so that many rounds succeed.
  const std::string line_end = random.pick<std::string>({"\n", "\n", "\r\n", "\r"});
  const std::vector<std::string> odd = {"\\", "\\\\", "\\N", "\\n",  "\\t", "\\x4", "\\101", "\\.",
                                        "\"", "\"\"", "'",   "''",   "x",   "xx",   "|",     ",",
                                        "\t", "\n",   "\r",  "\r\n", ".",   "N"};
  const std::vector<std::string> plain = {"1", "22", "a", "N", "", "abc", " "};
  const size_t lines = random.below(5);
  const size_t oddity = 2 + random.below(8);
  for (size_t line = 0; line < lines; ++line) {
    for (int column = 0; column < columns; ++column) {
      if (column > 0) round.data += target.delimiter;
      const bool is_quoted = is_csv && random.one_in(3);
      if (is_quoted) round.data += target.quote;
      for (size_t i = random.below(4); i > 0; --i)
        round.data += random.pick(random.one_in(oddity) ? odd : plain);
      if (is_quoted) round.data += target.quote;
    }
    if (line + 1 < lines || !random.one_in(4)) round.data += random.one_in(20) ? random.pick(odd) : line_end;
    if (random.one_in(25)) round.data += "\\." + line_end;
  }
  return round;
}

std::optional<Keys> stored_by_server(PGconn* connection, const Round& round, Random& random) {
  Rows(PQexec(connection, "BEGIN"));
  Rows(PQexec(connection, round.statement.c_str()));
  for (std::string_view rest = round.data; !rest.empty();) {
    const size_t count = 1 + random.below(rest.size());
    if (PQputCopyData(connection, rest.data(), static_cast<int>(count)) != 1)
      give_up(PQerrorMessage(connection));
    rest.remove_prefix(count);
  }
  if (PQputCopyEnd(connection, nullptr) != 1) give_up(PQerrorMessage(connection));
  const Rows copied(PQgetResult(connection));
  const bool is_stored = PQresultStatus(copied.get()) == PGRES_COMMAND_OK;
  const std::string_view sqlstate = is_stored ? "" : PQresultErrorField(copied.get(), PG_DIAG_SQLSTATE);
  // Anything but bad data would make the comparison say nothing.
  if (!is_stored && !sqlstate.starts_with("22")) give_up(round.statement + ": " + PQerrorMessage(connection));
  Rows(PQgetResult(connection));
  Keys keys;
  if (is_stored) {
    const std::string query = "SELECT c" + std::to_string(round.target.key_column) + " FROM rows ORDER BY n";
    const Rows rows(PQexec(connection, query.c_str()));
    if (PQresultStatus(rows.get()) != PGRES_TUPLES_OK) give_up(PQerrorMessage(connection));
    for (int i = 0; i < PQntuples(rows.get()); ++i) {
      keys.push_back(PQgetisnull(rows.get(), i, 0)
                         ? std::nullopt
                         : std::optional<std::string>(PQgetvalue(rows.get(), i, 0)));
    }
  }
  Rows(PQexec(connection, "ROLLBACK"));
  return is_stored ? std::optional(keys) : std::nullopt;
}

struct Streamed {
  Keys keys;
  std::string error;
};

Streamed given_by_copy_rows(const Round& round, Random& random) {
  CopyRows rows(round.target);
  Streamed streamed;
  bool has_more = true;
  const auto add = [&](const mosaic::routing::Result<std::optional<mosaic::routing::CopyKey>>& key) {
    if (!key) streamed.error = key.error().message;
    has_more = key && *key;
    if (has_more)
      streamed.keys.push_back((*key)->is_null ? std::nullopt : std::optional<std::string>((*key)->value));
  };
  for (std::string_view rest = round.data; !rest.empty() && streamed.error.empty();) {
    const size_t count = 1 + random.below(rest.size());
    std::string_view chunk = rest.substr(0, count);
    do add(rows.next(chunk));
    while (has_more);
    rest.remove_prefix(count);
  }
  if (streamed.error.empty()) {
    do add(rows.finish());
    while (has_more);
  }
  return streamed;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "<LF>";
    } else if (c == '\r') {
      out += "<CR>";
    } else if (c == '\t') {
      out += "<TAB>";
    } else {
      out += c;
    }
  }
  return out;
}

std::string printable(const Keys& keys) {
  std::string out;
  for (const auto& key : keys) out += "[" + (key ? printable(*key) : "NULL") + "]";
  return out;
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 4) give_up("usage: copy_rows_oracle <connection string> <seed> <rounds>");
  const std::unique_ptr<PGconn, CloseConnection> owner(PQconnectdb(arguments[1]));
  PGconn* const connection = owner.get();
  if (PQstatus(connection) != CONNECTION_OK) give_up(PQerrorMessage(connection));
  const Rows created(PQexec(connection, "CREATE TEMP TABLE rows (n bigserial, c0 text, c1 text, c2 text)"));
  if (PQresultStatus(created.get()) != PGRES_COMMAND_OK) give_up(PQerrorMessage(connection));

  Random random(std::strtoull(arguments[2], nullptr, 10));
  const long rounds = std::strtol(arguments[3], nullptr, 10);
  long stored = 0, refused = 0, keys = 0;
  for (long i = 0; i < rounds; ++i) {
    const Round round = make_round(random);
    const auto server = stored_by_server(connection, round, random);
    const Streamed ours = given_by_copy_rows(round, random);
    if (!server) continue;
    ++stored;
    if (!ours.error.empty()) {
      ++refused;
      const bool may_refuse = round.data.find("\\.") != std::string::npos &&
                              (ours.error.find("marker") != std::string::npos ||
                               ours.error.find("data behind the end") != std::string::npos);
      if (may_refuse) continue;
    }
    keys += static_cast<long>(server->size());
    if (ours.error.empty() && ours.keys == *server) continue;
    std::printf("%s\ndata: %s\nPostgreSQL: %s\nCopyRows:   %s %s\n", round.statement.c_str(),
                printable(round.data).c_str(), printable(*server).c_str(), printable(ours.keys).c_str(),
                ours.error.c_str());
    return 1;
  }
  std::printf(
      "%ld rounds: %ld stored by PostgreSQL, of these %ld refused for the marker, %ld keys compared\n",
      rounds, stored, refused, keys);
  return stored > rounds / 10 && keys > rounds / 10 ? 0 : 2;
}
