// Parse: a statement names no shard yet, so it is kept until the message behind it tells where it may go, or
// that it must be answered by itself.

#include <fmt/format.h>

#include <algorithm>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Parameters;
using routing::Placement;
using routing::Result;
using routing::Route;
using routing::StatementKind;
namespace sqlstate = routing::sqlstate;

namespace {

// PostgreSQL, analyze_requires_snapshot() in analyze.c: what commands mean is not looked at before they run.
bool takes_snapshot_to_parse(const AnalyzedStatement& statement) {
  const auto& parts = statement.plan->parts;
  return parts.size() == 1 &&
         (parts[0].kind == StatementKind::kQuery || (parts[0].setting && parts[0].setting->is_set_config));
}

}  // namespace

Session::Intake Session::on_parse(std::string_view body) {
  const Result<routing::ParseMessage> message = routing::parse_parse(body);
  if (statements_.owed() != nullptr && settle_parse(false) == Intake::kLater) return Intake::kLater;
  if (group_.skips_until_sync) return Intake::kTaken;
  if (!message) return refuse(message.error(), false);
  begin_statement();
  if (is_reading_in_doubt(body)) return refuse(reading_in_doubt_error(), false);
  enter(Phase::kGroup);
  if (!message->name.empty()) {
    if (statements_.find(message->name) != nullptr) return refuse_duplicate(*message);
    if (const auto error = naming_error(message->name, message->text.size())) return refuse(*error, false);
  }
  PreparedStatement& statement = name_statement(*message);
  ++statement.parses;
  statements_.owe(statement, message->name.empty());
  const auto node = leg_.is_held() ? leg_.node() : catalog().default_node();
  ++environment_.traffic[node.value].client_parses;
  const AnalyzedStatement& view = statement.compiled->view();
  if (transaction_.is_lost() && !may_end_lost_transaction(view))
    return refuse_owed(failed_transaction_error());
  if (is_answered_in_failed_transaction(view)) settle_parse(false);
  return Intake::kTaken;
}

// Why no statement of this text may be given this name.
std::optional<Error> Session::naming_error(std::string_view name, size_t text_bytes) const {
  if (statements_.find(name) != nullptr) {
    return Error{sqlstate::kDuplicateStatement, fmt::format("prepared statement \"{}\" already exists", name),
                 "", ""};
  }
  const bool are_many = statements_.size() >= environment_.max_client_prepared_statements;
  if (!are_many && statements_.bytes() + text_bytes <= environment_.max_client_prepared_bytes) return {};
  return Error{sqlstate::kLimitExceeded, "too many prepared statements in this connection",
               are_many ? fmt::format("max_client_prepared_statements = {}",
                                      environment_.max_client_prepared_statements)
                        : fmt::format("{} bytes; max_client_prepared_bytes = {}", statements_.bytes(),
                                      environment_.max_client_prepared_bytes),
               "DEALLOCATE statements that are no longer used"};
}

// Why a Parse under a name in use fails: as in PostgreSQL, what is wrong with the statement itself comes
// before the name.
Session::Intake Session::refuse_duplicate(const routing::ParseMessage& message) {
  const Error duplicate = *naming_error(message.name, 0);
  StatementCache& cache = *environment_.statements;
  PreparedStatement& statement = cache.acquire(message, *environment_.router, catalog(), view_.reading(), {},
                                               scope(), parsed_under_now());
  const AnalyzedStatement& view = statement.compiled->view();
  const bool is_fine = (statement.is_accepted || is_settled_here(view)) && !has_failed_transaction();
  Intake intake = Intake::kTaken;
  if (transaction_.is_lost() && !may_end_lost_transaction(view)) {
    intake = refuse(failed_transaction_error(), false);
  } else if (is_fine || is_sql_prepared(view) || transaction_.is_lost()) {
    intake = refuse(duplicate, false);
  } else {
    const Result<Route> route = describing_route(statement);
    const Server server = route ? need_server(*route, std::nullopt) : Server::kReady;
    if (!route) {
      intake = refuse(route.error(), false);
    } else if (server == Server::kWaiting) {
      intake = Intake::kLater;
    } else if (server == Server::kRefused) {
      intake = refuse(*std::exchange(waiting_.error, nullptr), false);
    } else {
      begin_on_leg();
      send_parse(statement, true, *route, true);
      intake = refuse(duplicate, false);
    }
  }
  cache.release(statement);
  return intake;
}

// Where a statement may be parsed and described before its key is known: types are the same on every shard.
Result<Route> Session::describing_route(const PreparedStatement& statement) {
  const AnalyzedStatement& view = statement.compiled->view();
  Result<Route> by_itself = route_of(view, Parameters());
  const routing::NodeId near = leg_.is_held() ? leg_.node() : idle_node();
  const auto& parts = view.plan->parts;
  const bool is_sharded = std::any_of(parts.begin(), parts.end(),
                                      [](const auto& part) { return part.placement == Placement::kSharded; });
  if (by_itself && !(is_sharded && leg_.is_held() && by_itself->node != leg_.node())) return by_itself;
  if (!is_sharded || catalog().shard_count() == 0 || parts.size() != 1 || parts[0].refusal) return by_itself;
  Route route;
  route.target = Route::Target::kShard;
  route.shard = catalog().first_shard_on(near).value_or(routing::ShardId{0});
  route.node = catalog().node_of(route.shard);
  route.is_read = true;
  return route;
}

void Session::reply_named(std::string_view bytes, std::vector<NameChange>& changes) {
  Expectation* later = leg_.reply(bytes);
  if (later == nullptr) {
    statements_.keep(changes);
  } else if (!changes.empty()) {
    later->made_effects().names = std::exchange(changes, {});
  }
}

// What a server would look at is its grammar only (PostgreSQL, transformStmt() in analyze.c: utility commands
// are kept as they are).
bool Session::is_settled_here(const AnalyzedStatement& statement) const {
  if (is_sql_prepared(statement)) return true;
  return !has_failed_transaction() && !statement.plan->parts.empty() && answers_with_nothing(statement);
}

void Session::tell_parse_complete() {
  const bool is_told_now = leg_.owed().is_empty();
  if (is_told_now && attempt_.was_told_parse()) {
    statements_.settle();
    return;
  }
  if (is_told_now) attempt_.on_told_parse();
  reply_named(kParseComplete, statements_.owed_undo());
  statements_.settle();
}

// The Parse that is owed fails, unless what is under way before it fails first and it is skipped.
Session::Intake Session::refuse_owed(const Error& error) {
  const bool is_unnamed = statements_.is_owed_unnamed();
  std::vector<NameChange> changes = statements_.give_up_owed();
  const size_t owed_before = leg_.owed().size();
  const Intake intake = refuse(error, false);
  if (leg_.owed().size() > owed_before) {
    Expectation& refusal = leg_.owed().back();
    refusal.is_client_unnamed = is_unnamed;
    refusal.made_effects().names = std::move(changes);
    return intake;
  }
  statements_.take_back(changes);
  if (is_unnamed) drop_unnamed();
  return intake;
}

// A Parse that fails leaves no unnamed statement (PostgreSQL, drop_unnamed_stmt() in postgres.c).
void Session::drop_unnamed() {
  if (statements_.find("") != nullptr) statements_.assign("", nullptr, nullptr);
}

// Answers a Parse whose Bind does not follow at once: from memory when a server has accepted the same
// statement before, else by a server. kLater: a server connection is being waited for.
Session::Intake Session::settle_parse(bool with_description) {
  PreparedStatement& statement = *statements_.owed();
  environment_.statements->refresh(statement, *environment_.router, catalog());
  if (is_settled_here(statement.compiled->view())) {
    tell_parse_complete();
    waiting_.route.reset();
    return Intake::kTaken;
  }
  const bool is_answered_here = with_description ? has_description(statement) : is_known(statement);
  if (is_answered_here && leg_.status() != 'E') {
    transaction_.has_snapshot_here |= takes_snapshot_to_parse(statement.compiled->view());
    tell_parse_complete();
    waiting_.route.reset();
    return Intake::kTaken;
  }
  if (!waiting_.is_describing()) {
    Result<Route> route = describing_route(statement);
    if (!route) return refuse_owed(route.error());
    waiting_.route.emplace(std::move(*route), true);
  }
  switch (need_server(*waiting_.route, std::nullopt)) {
    case Server::kWaiting:
      return Intake::kLater;
    case Server::kRefused: {
      const Error error = *std::exchange(waiting_.error, nullptr);
      waiting_.route.reset();
      return refuse_owed(error);
    }
    case Server::kReady:
      break;
  }
  const Route route = std::move(*waiting_.route);
  waiting_.route.reset();
  begin_on_leg(true);
  const pool::StatementKey key = key_of(statement, route);
  group_.described_key = key;
  group_.is_described_unnamed =
      statements_.is_owed_unnamed() || parses_unlike_others() || leg_.status() == 'E';
  if (!group_.is_described_unnamed && leg_.server().statements.touch(key)) {
    transaction_.has_snapshot_here |= takes_snapshot_to_parse(statement.compiled->view());
    tell_parse_complete();  // this server has accepted it before
    return Intake::kTaken;
  }
  Expectation& parse = send_parse(statement, group_.is_described_unnamed, route, false);
  parse.is_client_unnamed = statements_.is_owed_unnamed();
  if (!statements_.owed_undo().empty())
    parse.made_effects().names = std::exchange(statements_.owed_undo(), {});
  statements_.settle();
  return Intake::kTaken;
}

// What is wrong with the Bind does not make its Parse wrong.
Session::Intake Session::settle_then_refuse(const Error& error) {
  if (statements_.owed() != nullptr) {
    waiting_.route.reset();
    if (settle_parse(false) == Intake::kLater) return Intake::kLater;
    if (group_.skips_until_sync) return Intake::kTaken;
  }
  return refuse(error, false);
}

// Commands that take no parameters and return no rows, whatever a server may say of them.
bool Session::answers_with_nothing(const AnalyzedStatement& statement) {
  const auto& parts = statement.plan->parts;
  if (parts.empty()) return true;
  if (parts.size() > 1) return false;
  switch (parts[0].kind) {
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kRelease:
    case StatementKind::kRollbackTo:
    case StatementKind::kSetTransaction:
    case StatementKind::kSetConstraints:
    case StatementKind::kReset:
    case StatementKind::kDeallocate:
    case StatementKind::kDiscard:
    case StatementKind::kPrepare:
      return true;
    case StatementKind::kSet:
      return parts[0].setting && !parts[0].setting->is_set_config;
    default:
      return false;
  }
}

}  // namespace mosaic::proxy
