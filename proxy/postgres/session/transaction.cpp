#include "proxy/postgres/session/transaction.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/setting_rules.h"
#include "routing/postgres/sql/tokenizer.h"

namespace mosaic::proxy {

using routing::StatementKind;

namespace {

// BEGIN or START TRANSACTION, not SET TRANSACTION.
bool is_begin(const std::string& mode) {
  return (mode.front() | 0x20) == 'b' || (mode.size() > 1 && (mode[1] | 0x20) == 't');
}

// Of what may have run where the transaction is no more (PostgreSQL, PlannedStmtRequiresSnapshot() in
// pquery.c).
bool takes_snapshot(const routing::StatementPart& part) {
  return part.kind == StatementKind::kQuery || part.kind == StatementKind::kDeallocate ||
         part.kind == StatementKind::kDiscard || part.kind == StatementKind::kPrepare ||
         (part.setting && part.setting->is_set_config);
}

}  // namespace

// Of what was said only its modes still count, from its BEGIN on.
void Transaction::lose(const routing::Error& error, bool is_told) {
  std::vector<std::string> modes = std::move(modes_);
  const auto begin = std::find_if(modes.begin(), modes.end(), is_begin);
  modes.erase(modes.begin(), begin);
  if (modes.empty()) modes.emplace_back("BEGIN");
  reset();
  is_open_ = true;
  for (std::string& mode : modes) say(std::move(mode), true, SIZE_MAX);
  loss_ = std::make_unique<routing::Error>(error);
  is_loss_told_ = is_told;
}

void Transaction::fail(const routing::Error& error) {
  loss_ = std::make_unique<routing::Error>(error);
  is_loss_told_ = can_go_back_ = true;
}

void Transaction::on_failed_again() {
  go_back();
  is_told_ = true;
}

void Transaction::say(std::string text, bool is_mode, size_t bytes_max) {
  const bool has_its_room = has_room(text.size(), bytes_max);
  if (is_mode && !has_its_room) are_modes_known_ = false;
  if (is_bound_ && !is_chaining_ && !(is_mode && has_its_room)) return;
  if (!has_its_room) return bind();
  said_bytes_ += sizeof(std::string) + text.size();
  if (is_bound_ && !is_chaining_) {
    modes_.push_back(std::move(text));
    return;
  }
  if (is_mode) modes_.push_back(text);
  said_.push_back(std::move(text));
}

std::optional<bool> Transaction::is_read_only() const {
  std::optional<bool> is_read_only;
  routing::Tokenizer tokenizer;
  for (const std::string& mode : modes_) {
    tokenizer.read(mode);
    std::string_view last;
    bool is_setting = false;  // SET transaction_read_only = ..., or set_config('transaction_read_only', ...)
    for (const routing::Token& token : tokenizer.tokens()) {
      std::string_view word = std::string_view(mode).substr(token.begin, token.end - token.begin);
      if (word.size() > 1 && word.front() == '\'') word = word.substr(1, word.size() - 2);
      if (routing::is_keyword(last, "read") && routing::is_keyword(word, "only")) is_read_only = true;
      if (routing::is_keyword(last, "read") && routing::is_keyword(word, "write")) is_read_only = false;
      if (is_setting) {
        const auto is_on = routing::find_boolean(word);
        if (is_on) is_read_only = is_on;
        is_setting = !is_on;
      }
      is_setting |= routing::is_keyword(word, "transaction_read_only");
      last = word;
    }
  }
  return is_read_only;
}

void Transaction::chain(bool has_failed) {
  has_failed &= savepoints_.empty() && !began_by_chain_;
  std::vector<std::string> modes = has_failed ? std::vector<std::string>{"BEGIN"} : std::move(modes_);
  const bool is_snapshot = is_snapshot_ && !has_failed;
  reset();
  is_open_ = began_by_chain_ = true;
  is_snapshot_ = is_snapshot;
  begin_again(std::move(modes));
}

// With the modes of the one before. They are not undone with what has failed later, as those of BEGIN are: so
// a server that is told of it ends one as well.
void Transaction::begin_again(std::vector<std::string> modes) {
  constexpr const char* kChain = "COMMIT AND CHAIN";
  if (modes.back() != kChain) modes.emplace_back(kChain);
  for (std::string& mode : modes) say(std::move(mode), true, SIZE_MAX);
}

void Transaction::begin(std::string text, bool is_snapshot) {
  const bool has_snapshot = has_snapshot_here;  // of the messages before, which it is one with
  reset();
  has_snapshot_here = has_snapshot;
  is_open_ = true;
  is_snapshot_ = is_snapshot;
  say(std::move(text), true, SIZE_MAX);
}

void Transaction::leave_savepoint(std::string_view name, bool is_release) {
  const auto found = std::find(savepoints_.rbegin(), savepoints_.rend(), name);
  if (found != savepoints_.rend()) savepoints_.erase(found.base() - (is_release ? 1 : 0), savepoints_.end());
}

bool Transaction::leave_server() {
  is_told_ = false;
  has_snapshot_here |= std::exchange(has_taken_snapshot_, false);
  return std::exchange(has_run_, false);
}

bool Transaction::is_portable(const routing::StatementPart& part) const {
  switch (part.kind) {
    case StatementKind::kEmpty:
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kRelease:
    case StatementKind::kRollbackTo:
    case StatementKind::kSet:
    case StatementKind::kSetTransaction:
    case StatementKind::kSetConstraints:
    case StatementKind::kReset:
    case StatementKind::kShow:
    case StatementKind::kDeallocate:
    case StatementKind::kPrepare:
    case StatementKind::kInvalid:
    case StatementKind::kDiscard:
      return true;
    default:
      return part.is_free && !is_snapshot_;
  }
}

void Transaction::on_sent(const routing::StatementPart& part) {
  has_run_ |= !part.is_transaction_control();
  has_taken_snapshot_ |= takes_snapshot(part);
  switch (part.kind) {
    case StatementKind::kBegin:
      is_open_ = true;
      is_snapshot_ |= part.keeps_snapshot;
      break;
    case StatementKind::kSetTransaction:
      is_snapshot_ = true;  // at least one that wants to know
      if (is_bound_) are_modes_known_ = false;
      break;
    case StatementKind::kCommit:
    case StatementKind::kRollback:
      if (part.is_chained) {
        const bool was_chaining = is_chaining_;
        bind();  // until it is confirmed
        has_snapshot_here = has_run_ = has_taken_snapshot_ = false;
        is_chaining_ = true;
        is_bound_behind_chain_ = was_chaining;
        break;
      }
      is_open_ = is_bound_ = is_snapshot_ = has_local_settings = has_snapshot_here = false;
      has_run_ = has_taken_snapshot_ = false;
      break;
    default:
      break;
  }
  if (part.setting && part.setting->name.find("transaction_") != std::string::npos) are_modes_known_ = false;
  changes_schema |= part.kind == StatementKind::kDdl && !part.pins.has(routing::Pin::kTemporary);
  if (!is_portable(part)) bind();
  traces.add(part.traces);
  pins.add(part.pins);
  untold_settings.insert(untold_settings.end(), part.untold_settings.begin(), part.untold_settings.end());
  if (part.pins_session() || part.may_release_pins || part.may_leave_traces()) may_change_pins = true;
}

void Transaction::on_ended(bool has_failed) {
  said_.clear();
  said_bytes_ = 0;
  std::vector<std::string> modes = std::exchange(modes_, {});
  if (has_failed && !began_by_chain_) {
    modes = {"BEGIN"};
    are_modes_known_ = true;
    is_snapshot_ = false;
  }
  began_by_chain_ = is_chaining_;
  if (is_chaining_ && are_modes_known_ && !modes.empty()) begin_again(std::move(modes));
}

void Transaction::on_ready(char status, bool has_failed) {
  if (status == 'I') return reset();
  is_open_ = true;
  is_told_ = true;
  savepoints_.clear();
  if (has_failed) is_bound_ = was_bound_ || bound_since_ready_;
  if (is_chaining_ && !has_failed && !is_bound_behind_chain_ && !said_.empty()) is_bound_ = false;
  is_chaining_ = is_bound_behind_chain_ = false;
  was_bound_ = is_bound_;
  bound_since_ready_ = false;
}

void Transaction::reset() {
  is_chaining_ = is_bound_behind_chain_ = began_by_chain_ = false;
  are_modes_known_ = true;
  modes_.clear();
  is_open_ = is_bound_ = was_bound_ = bound_since_ready_ = is_snapshot_ = is_told_ = is_loss_told_ =
      can_go_back_ = false;
  has_local_settings = may_change_pins = has_changed_schema = changes_reading = has_snapshot_here = false;
  has_local_search_path = changes_schema = has_run_ = has_taken_snapshot_ = false;
  untold_settings.clear();
  traces = {};
  pins = {};
  said_.clear();
  said_bytes_ = 0;
  savepoints_.clear();
  loss_.reset();
}

}  // namespace mosaic::proxy
