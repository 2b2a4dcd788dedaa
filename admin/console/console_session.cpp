#include "admin/console/console_session.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "admin/console/views/view_builders.h"
#include "admin/console/views/view_registry.h"
#include "admin/route_explanation.h"
#include "admin/version.h"
#include "proxy/clock.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Status;

constexpr uint32_t kMessageBytesMax = 1u << 20;  // a statement behind EXPLAIN ROUTE may be long
constexpr size_t kReadBytes = 8192;
constexpr int kSendLimitMs = 30'000;  // a client that does not read its answer is dropped
constexpr uint32_t kInt8Oid = 20, kTextOid = 25;

}  // namespace

ConsoleSession::ConsoleSession(ConsoleState& state, const StopSignal& stop, proxy::ConsoleClient client)
    : state_(state), backend_(state.backend), stop_(stop), client_(std::move(client)) {
  in_.append(client_.pending);
}

ConsoleSession::~ConsoleSession() { close(client_.fd); }

void ConsoleSession::tell_connected(bool is_connected) const {
  const auto& settings = backend_.config()->proxy.pool;
  if (!(is_connected ? settings.log_connections : settings.log_disconnections)) return;
  backend_.events->record(
      pool::Event(pool::Severity::kInfo, is_connected ? "console_connected" : "console_left")
          .add("client", client_.id)
          .add("addr", client_.address)
          .add("port", client_.port)
          .add("user", client_.user)
          .add("application_name", is_connected ? client_.application_name : ""));
}

void ConsoleSession::run() {
  tell_connected(true);
  state_.clients.add(client_);
  serve();
  state_.clients.remove(client_.id);
  tell_connected(false);
}

void ConsoleSession::serve() {
  greet();
  while (flush()) {
    const auto header = routing::find_frame_header(in_.view());
    if (header && (!routing::is_valid(*header) || header->length > kMessageBytesMax)) {
      routing::append_error(out_,
                            {routing::sqlstate::kProtocolViolation, "invalid length of a message",
                             fmt::format("{}", header->length), ""},
                            "FATAL");
      flush();
      return;
    }
    if (!header || in_.size() < header->frame_bytes()) {
      if (!receive()) return;
      continue;
    }
    const Next next = handle(*header, in_.view().substr(routing::kFrameHeaderBytes, header->body_bytes()));
    in_.consume(header->frame_bytes());
    if (next == Next::kClose) return;
  }
}

void ConsoleSession::greet() {
  const std::string version = mosaic_version() + "/mosaic";
  for (const auto& [name, value] :
       {std::pair{"server_version", version.c_str()}, std::pair{"server_encoding", "UTF8"},
        std::pair{"client_encoding", "UTF8"}, std::pair{"DateStyle", "ISO"}, std::pair{"TimeZone", "UTC"},
        std::pair{"standard_conforming_strings", "on"}, std::pair{"integer_datetimes", "on"},
        std::pair{"is_superuser", client_.is_admin ? "on" : "off"}})
    routing::append_parameter_status(out_, name, value);
  // There is nothing to cancel here, so the key fits no door.
  routing::append_backend_key(out_, static_cast<uint32_t>(getpid()), 0);
  routing::append_ready(out_, 'I');
}

ConsoleSession::Next ConsoleSession::handle(const routing::FrameHeader& header, std::string_view body) {
  if (header.type == 'X') return Next::kClose;
  if (header.type == 'S') {
    is_skipping_ = false;
    routing::append_ready(out_, 'I');
    return Next::kGoOn;
  }
  if (is_skipping_) return Next::kGoOn;
  if (header.type == 'Q') {
    if (const auto text = routing::parse_query(body))
      answer(*text);
    else
      routing::append_error(out_, text.error());
    routing::append_ready(out_, 'I');
    return Next::kGoOn;
  }
  if (std::string_view("PBDECH").find(header.type) != std::string_view::npos) {
    is_skipping_ = true;
    routing::append_error(
        out_, {routing::sqlstate::kFeatureNotSupported, "the console speaks the simple query protocol only",
               "", "send the command without parameters: psql, lib/pq, psycopg and node-postgres do that"});
    return Next::kGoOn;
  }
  routing::append_error(
      out_,
      {routing::sqlstate::kProtocolViolation,
       fmt::format("unexpected message type {:#04x}", static_cast<unsigned char>(header.type)), "", ""},
      "FATAL");
  flush();
  return Next::kClose;
}

void ConsoleSession::answer(std::string_view text) {
  state_.clients.set_active(client_.id, true, proxy::unix_us());
  const auto command = parse_console_command(text);
  const Status status = command ? execute(*command) : Status(command.error());
  if (!status) routing::append_error(out_, status.error());
  state_.clients.set_active(client_.id, false, 0);
}

void ConsoleSession::tell_command(const std::string& command) const {
  backend_.events->record(pool::Event(pool::Severity::kInfo, "console_command")
                              .add("client", client_.id)
                              .add("user", client_.user)
                              .add("command", command));
}

Status ConsoleSession::require_admin(const char* command) const {
  if (client_.is_admin) return {};
  return Error{routing::sqlstate::kInsufficientPrivilege, fmt::format("{} is for admin_users only", command),
               fmt::format("\"{}\" is one of stats_users", client_.user), ""};
}

Status ConsoleSession::execute(const ConsoleCommand& command) {
  using enum ConsoleCommand::Kind;
  switch (command.kind) {
    case kEmpty:
      routing::append_empty(out_, 'I');
      return {};
    case kIgnored:
      routing::append_command_complete(out_, command.tag);
      return {};
    case kShow:
      return show(command);
    case kExplainRoute:
      return explain(command);
    case kReload:
      if (Status status = require_admin("RELOAD"); !status) return status;
      tell_command("RELOAD");
      if (Status status = backend_.reload(); !status) return status;
      routing::append_command_complete(out_, "RELOAD");
      return {};
    case kChangeNode:
      return change_node(command.change);
    case kMove:
      return move(command);
    case kShutdown:
    case kShutdownServers:
    case kShutdownClients:
      break;
  }
  if (Status status = require_admin("SHUTDOWN"); !status) return status;
  tell_command(command.kind == kShutdownServers   ? "SHUTDOWN WAIT_FOR_SERVERS"
               : command.kind == kShutdownClients ? "SHUTDOWN WAIT_FOR_CLIENTS"
                                                  : "SHUTDOWN");
  backend_.shut_down(command.kind == kShutdownServers   ? proxy::ShutdownMode::kWaitForServers
                     : command.kind == kShutdownClients ? proxy::ShutdownMode::kWaitForClients
                                                        : proxy::ShutdownMode::kNow);
  routing::append_command_complete(out_, "SHUTDOWN");
  return {};
}

Status ConsoleSession::change_node(const NodeChange& change) {
  const char* verb = change.is_removal ? "REMOVE NODE" : "ADD NODE";
  if (Status status = require_admin(verb); !status) return status;
  tell_command(fmt::format("{} {}{}", verb, change.node, change.is_dry_run ? " DRY RUN" : ""));
  const Status status = backend_.change_node(change, notices(), stop_);
  if (!status) {
    backend_.events->record(pool::Event(pool::Severity::kWarning, "console_command_failed")
                                .add("client", client_.id)
                                .add("command", fmt::format("{} {}", verb, change.node))
                                .add("reason", status.error().to_line()));
    return status;
  }
  routing::append_command_complete(out_, verb);
  return {};
}

// Lines of a long command, as it goes on.
Say ConsoleSession::notices() {
  return [this](const std::string& line) {
    routing::append_notice(out_, {routing::sqlstate::kSuccess, line, "", ""});
    flush();
  };
}

Status ConsoleSession::move(const ConsoleCommand& command) {
  const std::string verb(to_text(command.move.kind));
  const bool changes_nothing =
      command.move.kind == MoveCommand::Kind::kWait || command.move.kind == MoveCommand::Kind::kCheck;
  MoveCommand wanted = command.move;
  if (wanted.weight == MoveCommand::Weight::kHeat) wanted.heat = shard_heat();
  if (Status status = require_admin(verb.c_str()); !status) return status;
  if (!changes_nothing) tell_command(command.statement);
  if (Status status = backend_.move(wanted, notices(), stop_); !status) {
    backend_.events->record(pool::Event(pool::Severity::kWarning, "console_command_failed")
                                .add("client", client_.id)
                                .add("command", command.statement)
                                .add("reason", status.error().to_line()));
    return status;
  }
  routing::append_command_complete(out_, verb);
  return {};
}

// How long servers worked for each shard in the longest window, in microseconds.
std::map<uint32_t, uint64_t> ConsoleSession::shard_heat() const {
  const ShardTotals added = state_.heat.added(ShardHeat::kWindows.size() - 1, sum_shards(backend_.report({})),
                                              ShardHeat::Clock::now());
  std::map<uint32_t, uint64_t> heat;
  for (uint32_t shard = 0; shard < added.us.size(); ++shard) {
    if (added.us[shard] > 0) heat[shard] = added.us[shard];
  }
  return heat;
}

Status ConsoleSession::show(const ConsoleCommand& command) {
  if (command.view == "move") return show_one_move(command.move.move);
  const View* view = find_view(command.view);
  if (view == nullptr)
    return Error{routing::sqlstate::kUndefinedObject, "there is no view \"" + command.view + "\"", "",
                 "SHOW takes " + view_names()};
  ViewTable table = view->build({backend_, state_});
  if (Status status = apply_filter(command.filter, table); !status) return status;
  append_table(table, "SHOW");
  return {};
}

Status ConsoleSession::show_one_move(uint64_t id) {
  const auto moves = backend_.moves(false);
  if (!moves) return moves.error();
  for (const MoveRow& move : *moves) {
    if (move.id != id) continue;
    append_table(show_move(move), "SHOW");
    return {};
  }
  return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no move {}", id), "",
               "SHOW MOVES lists them"};
}

Status ConsoleSession::explain(const ConsoleCommand& command) {
  const auto facts = explain_route(command.statement, *backend_.catalog());
  if (!facts) return facts.error();
  ViewTable table{columns({"name", "value"}), {}};
  for (const RouteFact& fact : *facts) table.rows.push_back(row(fact.name, fact.value));
  append_table(table, "EXPLAIN");
  return {};
}

void ConsoleSession::append_table(const ViewTable& table, std::string_view tag) {
  std::vector<routing::ColumnDescription> descriptions;
  for (const ViewColumn& column : table.columns)
    descriptions.push_back({column.name, column.is_number ? kInt8Oid : kTextOid,
                            static_cast<int16_t>(column.is_number ? 8 : -1)});
  routing::append_row_description(out_, descriptions);
  for (const ViewRow& values : table.rows) routing::append_data_row(out_, values);
  routing::append_command_complete(out_, tag);
}

bool ConsoleSession::wait_for(short events) {
  const int limit_ms = events == POLLOUT ? kSendLimitMs : -1;
  while (true) {
    pollfd watched[2] = {{client_.fd, events, 0}, {stop_.descriptor(), POLLIN, 0}};
    const int count = poll(watched, 2, limit_ms);
    if (count < 0 && errno == EINTR) continue;
    return count > 0 && watched[0].revents != 0;  // stopped, or too slow
  }
}

bool ConsoleSession::flush() {
  while (!out_.is_empty()) {
    const ssize_t count = send(client_.fd, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      out_.consume(static_cast<size_t>(count));
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!wait_for(POLLOUT)) return false;
    } else {
      return false;
    }
  }
  out_.release_if_empty();
  return true;
}

bool ConsoleSession::receive() {
  while (true) {
    char bytes[kReadBytes];
    const ssize_t count = recv(client_.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count > 0) {
      in_.append(bytes, static_cast<size_t>(count));
      return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) return false;
    if (!wait_for(POLLIN)) return false;
  }
}

}  // namespace mosaic::admin
