// The held transaction: a BEGIN, and what followed it before any statement named a shard, is answered here
// and kept; the statement that tells the node takes it along (ARCHITECTURE.md, "Transactions").

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::StatementKind;
using routing::StatementPart;
namespace sqlstate = routing::sqlstate;

namespace {

std::string_view text_of(const AnalyzedStatement& statement, const StatementPart& part) {
  const uint32_t begin = statement.tokens[part.first_token].begin;
  return statement.text.substr(begin, statement.tokens[part.last_token - 1].end - begin);
}

}  // namespace

Session::HeldUse Session::held_use(const AnalyzedStatement& statement) const {
  if (statement.plan->parts.size() != 1) return HeldUse::kBegin;
  const StatementPart& part = statement.plan->parts[0];
  const bool is_session_setting = (part.kind == StatementKind::kSet || part.kind == StatementKind::kReset) &&
                                  part.setting && !part.setting->is_local;
  // Reads of a transaction with one snapshot belong into it; settings and syntax errors read nothing.
  if (part.is_free && !is_held_snapshot_) return has_held_settings_ ? HeldUse::kRehearse : HeldUse::kOutside;
  const bool reads_nothing = is_session_setting || part.kind == StatementKind::kInvalid;
  return reads_nothing && !is_rehearsing_ ? HeldUse::kOutside : HeldUse::kBegin;
}

void Session::send_held(HeldUse use) {
  if (held_.empty() || use == HeldUse::kOutside) return;
  if (!is_rehearsing_) send_held_statements();
  is_rehearsing_ = use == HeldUse::kRehearse;
  if (is_rehearsing_) return;
  settings_.rebase(server_->settings);
  held_.clear();
  held_savepoints_.clear();
  is_held_snapshot_ = has_held_settings_ = false;
  transaction_status_ = 'T';
  is_group_pure_ = false;
}

void Session::send_held_statements() {
  for (const std::string& text : held_) {
    routing::append_parse(*outbox_.to_server, "", text, {});
    {
      routing::FrameWriter bind(*outbox_.to_server, 'B');
      outbox_.to_server->append(
          std::string_view("\0\0\0\0\0\0\0\0", 8));  // unnamed both, no formats, values, formats
    }
    {
      routing::FrameWriter execute(*outbox_.to_server, 'E');
      outbox_.to_server->append(std::string_view("\0\0\0\0\0", 5));
    }
    replies_.push(Reply{Reply::Kind::kParse, true});
    replies_.push(Reply{Reply::Kind::kBind, true});
    replies_.push(Reply{Reply::Kind::kExecute, true});
  }
  server_->unnamed.reset();
}

// Keeps a statement that has taken effect already. When there is no room the transaction has failed, and its
// next statement tells why.
void Session::hold(std::string text) {
  if (auto excess = find_held_excess(sizeof text + text.size())) {
    held_error_ = std::make_unique<Error>(std::move(*excess));
    fail_held();
    return;
  }
  held_.push_back(std::move(text));
}

void Session::fail_held() {
  if (held_.empty()) return;
  is_held_failed_ = true;
  tell_restored_parameters();
}

char Session::visible_status(char server_status) const {
  if (held_.empty()) return server_status;
  return is_held_failed_ ? 'E' : 'T';
}

Error Session::failed_transaction_error() const {
  if (held_error_) return *held_error_;
  return Error{sqlstate::kInFailedTransaction,
               "current transaction is aborted, commands ignored until end of transaction block", "", ""};
}

size_t Session::held_bytes() const {
  size_t bytes = 0;
  for (const std::string& text : held_) bytes += sizeof text + text.size();
  for (const Portal& portal : portals_)
    bytes += sizeof portal + portal.name.size() + portal.parameters.size();
  for (const PortalEffects& made : portal_effects_) {
    bytes += sizeof made + made.portal.size();
    for (const SettingEffect& effect : made.effects)
      bytes += sizeof effect + effect.name.size() + effect.value.size();
  }
  return bytes;
}

std::optional<Error> Session::find_held_excess(size_t more_bytes) const {
  if (held_bytes() + more_bytes <= environment_.max_held_bytes) return std::nullopt;
  return Error{sqlstate::kLimitExceeded, "too many statements or portals wait for a server",
               fmt::format("max_held_bytes = {}", environment_.max_held_bytes),
               "run a statement that names a shard before so many savepoints, settings or portals, or raise "
               "max_held_bytes"};
}

// No server takes part yet: what it will go back to is told by rebase().
void Session::apply_in_held(const SettingEffect& effect) {
  pool::NameValuesRef none = environment_.name_values->empty();
  settings_.apply(effect, none, client_parameters_);
}

Session::LocalReply Session::run_local_in_held(const StatementPart& part,
                                               const AnalyzedStatement& statement) {
  const bool is_end = part.kind == StatementKind::kCommit || part.kind == StatementKind::kRollback;
  if (!is_end) {
    if (auto excess = find_held_excess(sizeof(std::string) + text_of(statement, part).size())) {
      fail_held();
      return {"", std::move(excess)};
    }
  }
  const auto find_savepoint = [this, &part] {
    return std::find(held_savepoints_.rbegin(), held_savepoints_.rend(), part.name);
  };
  const auto no_savepoint = [&part, this] {
    fail_held();
    return LocalReply{"", Error{"3B001", fmt::format("savepoint \"{}\" does not exist", part.name), "", ""}};
  };
  switch (part.kind) {
    case StatementKind::kBegin:
      if (!held_.empty()) {
        reply_local_by([](routing::ByteBuffer& out) {
          const Error notice{sqlstate::kActiveTransaction, "there is already a transaction in progress", "",
                             ""};
          routing::append_notice(out, notice, "WARNING");
        });
        // Its options count all the same.
        if (part.last_token - part.first_token > 2) {
          held_.emplace_back(text_of(statement, part));
          is_held_snapshot_ |= part.begins_with_options;
        }
      } else {
        held_.emplace_back(text_of(statement, part));
        is_held_snapshot_ = part.begins_with_options;
        has_held_settings_ = false;
        is_held_failed_ = false;
      }
      return {(text_of(statement, part).front() | 0x20) == 's' ? "START TRANSACTION" : "BEGIN", std::nullopt};
    case StatementKind::kCommit:
    case StatementKind::kRollback: {
      const bool asks_commit = part.kind == StatementKind::kCommit;
      const bool is_commit = asks_commit && !is_held_failed_;
      const std::unique_ptr<Error> untold = std::exchange(held_error_, nullptr);
      held_.clear();
      held_savepoints_.clear();
      is_held_failed_ = has_local_settings_ = false;
      if (is_commit) {
        settings_.commit();
      } else {
        settings_.roll_back(nullptr);
      }
      // Few programs look whether COMMIT was answered with ROLLBACK: they expect to have seen an error
      // before.
      if (asks_commit && untold) return {"", *untold};
      return {is_commit ? "COMMIT" : "ROLLBACK", std::nullopt};
    }
    case StatementKind::kSavepoint:
      held_.emplace_back(text_of(statement, part));
      held_savepoints_.push_back(part.name);
      apply_in_held({SettingEffect::Kind::kSavepoint, 0, part.name, ""});
      return {"SAVEPOINT", std::nullopt};
    case StatementKind::kRelease: {
      const auto found = find_savepoint();
      if (found == held_savepoints_.rend()) return no_savepoint();
      held_savepoints_.erase(found.base() - 1, held_savepoints_.end());
      held_.emplace_back(text_of(statement, part));
      return {"RELEASE", std::nullopt};
    }
    case StatementKind::kRollbackTo: {
      const auto found = find_savepoint();
      if (found == held_savepoints_.rend()) return no_savepoint();
      held_savepoints_.erase(found.base(), held_savepoints_.end());
      held_.emplace_back(text_of(statement, part));
      apply_in_held({SettingEffect::Kind::kRollbackTo, 0, part.name, ""});
      is_held_failed_ = false;
      held_error_.reset();
      return {"ROLLBACK", std::nullopt};
    }
    default:  // SET LOCAL, SET TRANSACTION
      held_.emplace_back(text_of(statement, part));
      (part.kind == StatementKind::kSetTransaction ? is_held_snapshot_ : has_held_settings_) = true;
      note_local_settings(statement);
      return {"SET", std::nullopt};
  }
}

}  // namespace mosaic::proxy
