#include "admin/move/schema_dump.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "routing/sqlstate.h"

extern char** environ;

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;

// Two ends, closed when it goes.
struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() { close_end(0), close_end(1); }
  bool open() { return pipe2(ends, O_CLOEXEC) == 0; }
  void close_end(int which) {
    if (ends[which] >= 0) close(ends[which]);
    ends[which] = -1;
  }
};

Error dump_error(const std::string& detail, const std::string& hint) {
  return Error{routing::sqlstate::kConfigError, "pg_dump of the shard's schema failed", detail, hint};
}

std::string quoted_value(const std::string& value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

Result<std::string> run(const std::vector<std::string>& arguments, const std::string& password,
                        const StopSignal& stop) {
  Pipe out, err;
  if (!out.open() || !err.open()) return dump_error(std::strerror(errno), "");
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string secret = "PGPASSWORD=" + password;
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (password.empty() || std::strncmp(*entry, "PGPASSWORD=", 11) != 0) environment.push_back(*entry);
  }
  if (!password.empty()) environment.push_back(const_cast<char*>(secret.c_str()));
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err.ends[1], 2);
  pid_t child = 0;
  const int failure = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0)
    return dump_error(
        fmt::format("{} can not be run: {}", arguments[0], std::strerror(failure)),
        "install PostgreSQL's client programs (Debian: postgresql-client) of the nodes' version");
  out.close_end(1), err.close_end(1);
  std::string text, complaint;
  bool is_stopped = false;
  for (int open = 2; open > 0 && !is_stopped;) {
    pollfd watched[3] = {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}, {stop.descriptor(), POLLIN, 0}};
    if (poll(watched, 3, -1) < 0 && errno != EINTR) break;
    is_stopped = watched[2].revents != 0;
    for (int i = 0; i < 2; ++i) {
      if (watched[i].revents == 0) continue;
      char bytes[64 << 10];
      const ssize_t count = ::read(watched[i].fd, bytes, sizeof bytes);
      if (count > 0) {
        (i == 0 ? text : complaint).append(bytes, static_cast<size_t>(count));
      } else if (count == 0 || errno != EINTR) {
        (i == 0 ? out : err).close_end(0);
        --open;
      }
    }
  }
  if (is_stopped) kill(child, SIGTERM);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (is_stopped) return Error{routing::sqlstate::kQueryCanceled, "pg_dump was stopped", "", ""};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return dump_error(complaint, "");
  return text;
}

}  // namespace

std::string connection_text(const ConnectionTarget& node, bool with_password) {
  std::string text = fmt::format("host={} port={} dbname={} user={}", quoted_value(node.host), node.port,
                                 quoted_value(node.dbname), quoted_value(node.user));
  if (with_password && !node.password.empty()) text += " password=" + quoted_value(node.password);
  return text;
}

std::string without_psql_commands(const std::string& script) {
  std::string kept;
  for (size_t at = 0; at < script.size();) {
    const size_t end = std::min(script.find('\n', at), script.size() - 1) + 1;
    const std::string_view line(script.data() + at, end - at);
    if (!line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ")) kept += line;
    at = end;
  }
  return kept;
}

Result<SchemaDump> dump_schema(const ConnectionTarget& node, const std::string& schema,
                               const StopSignal& stop) {
  SchemaDump dump;
  for (const bool is_pre : {true, false}) {
    auto text = run({"pg_dump", "--dbname=" + connection_text(node, false), "--schema=\"" + schema + "\"",
                     "--no-tablespaces", "--no-publications", "--no-subscriptions", "--no-password",
                     is_pre ? "--section=pre-data" : "--section=post-data"},
                    node.password, stop);
    if (!text) return text.error();
    (is_pre ? dump.pre_data : dump.post_data) = without_psql_commands(*text);
  }
  return dump;
}

}  // namespace mosaic::admin
