// What Mosaic refuses, and what is left to say in a transaction that is lost.

#include <fmt/format.h>

#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::Route;
using routing::StatementKind;
namespace sqlstate = routing::sqlstate;

// A refusal fails the transaction like any error. Where a server has it, the server must know: it is sent
// what fails, and the client gets our error in place of the server's.
Session::Intake Session::refuse(const Error& error, bool is_simple) {
  count_here(true);
  if (leg_.is_held() && (leg_.status() != 'I' || leg_.is_busy())) {
    begin_on_leg();
  } else if (transaction_.is_open() && !transaction_.is_lost()) {
    if (!waiting_.error) {
      Route anywhere;
      anywhere.node = idle_node();
      if (need_server(anywhere, std::nullopt) == Server::kWaiting) {
        waiting_.refusal = std::make_unique<Error>(error);  // the message itself is done with
        waiting_.is_refusal_simple = is_simple;
        if (!is_simple) group_.skips_until_sync = true;
        return Intake::kTaken;
      }
      begin_on_leg();
    } else {
      transaction_.fail(error);
      tell_error(error, is_simple);
      return Intake::kTaken;
    }
  } else {
    tell_error(error, is_simple);
    return Intake::kTaken;
  }
  ++environment_.refused_statements;
  waiting_.route.reset();
  leg_.send_refusal(error, is_simple);
  if (is_simple) {
    enter(Phase::kInFlight);
  } else {
    group_.skips_until_sync = true;
    enter(Phase::kGroup);
  }
  return Intake::kTaken;
}

// No server is concerned.
void Session::tell_error(const Error& error, bool is_simple) {
  ++environment_.refused_statements;
  waiting_.route.reset();
  routing::append_error(*outbox_.to_client, error);
  // In a transaction that was begun they live on, and can not be run.
  if (!is_in_transaction()) statements_.drop_portals();
  if (is_simple) {
    append_ready();
    begin_group();
    come_to_rest();
  } else {
    group_.skips_until_sync = true;
    enter(Phase::kGroup);
  }
}

void Session::append_ready() {
  const char status = visible_status();
  leg_.reply_by([status](routing::ByteBuffer& out) { routing::append_ready(out, status); });
}

char Session::visible_status() const {
  if (leg_.is_held()) return leg_.status();
  return transaction_.is_lost() ? 'E' : transaction_.is_open() ? 'T' : 'I';
}

// And nothing that is under way ends it.
bool Session::has_failed_transaction() const { return visible_status() == 'E' && !group_.may_recover; }

Error Session::failed_transaction_error() {
  if (transaction_.is_lost() && !transaction_.is_loss_told()) {
    transaction_.tell_loss();
    return transaction_.loss();
  }
  return Error{sqlstate::kInFailedTransaction,
               "current transaction is aborted, commands ignored until end of transaction block", "", ""};
}

Error Session::no_such_statement(std::string_view name) {
  return Error{sqlstate::kInvalidStatementName,
               name.empty() ? "unnamed prepared statement does not exist"
                            : fmt::format("prepared statement \"{}\" does not exist", name),
               "", ""};
}

// Nothing else may be said in a transaction that is lost; and not before the client knows of the loss.
bool Session::may_end_lost_transaction(const AnalyzedStatement& statement) const {
  const auto& parts = statement.plan->parts;
  if (parts.empty()) return true;
  if (parts.size() == 1 && is_local(parts[0])) return true;
  const StatementKind first = parts[0].kind;
  const bool is_end = first == StatementKind::kCommit || first == StatementKind::kRollback;
  return transaction_.is_loss_told() &&
         (is_end || (first == StatementKind::kRollbackTo && transaction_.can_go_back()));
}

}  // namespace mosaic::proxy
