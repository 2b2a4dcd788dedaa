#include "proxy/postgres/session/transaction.h"

namespace mosaic::proxy {

using routing::StatementKind;

// Of what was said only how it began still counts.
void Transaction::lose(const routing::Error& error, bool is_told) {
  std::string begin = said_.empty() ? "BEGIN" : std::move(said_.front());
  reset();
  is_open_ = true;
  said_.push_back(std::move(begin));
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

void Transaction::say(std::string text, size_t bytes_max) {
  if (is_bound_) return;
  if (!has_room(text.size(), bytes_max)) return bind();
  said_bytes_ += sizeof text + text.size();
  said_.push_back(std::move(text));
}

void Transaction::begin(std::string text, bool is_snapshot) {
  reset();
  is_open_ = true;
  is_snapshot_ = is_snapshot;
  said_bytes_ = sizeof text + text.size();
  said_.push_back(std::move(text));
}

void Transaction::leave_savepoint(std::string_view name, bool is_release) {
  const auto found = std::find(savepoints_.rbegin(), savepoints_.rend(), name);
  if (found != savepoints_.rend()) savepoints_.erase(found.base() - (is_release ? 1 : 0), savepoints_.end());
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
      return true;
    case StatementKind::kDiscard:
      return true;
    default:
      return part.is_free && !is_snapshot_;
  }
}

void Transaction::on_sent(const routing::StatementPart& part) {
  switch (part.kind) {
    case StatementKind::kBegin:
      is_open_ = true;
      is_snapshot_ |= part.begins_with_options;
      break;
    case StatementKind::kSetTransaction:
      is_snapshot_ = true;  // at least one that wants to know
      break;
    case StatementKind::kCommit:
    case StatementKind::kRollback:
      if (part.last_token - part.first_token > 2) {
        bind();  // AND CHAIN: what follows began with what is not kept here
        break;
      }
      is_open_ = is_bound_ = is_snapshot_ = has_local_settings = false;
      break;
    default:
      break;
  }
  if (!is_portable(part)) bind();
  traces.add(part.traces);
  pins.add(part.pins);
  untold_settings.insert(untold_settings.end(), part.untold_settings.begin(), part.untold_settings.end());
  if (part.pins_session() || part.may_release_pins || part.may_leave_traces()) may_change_pins = true;
}

void Transaction::on_ended() {
  said_.clear();
  said_bytes_ = 0;
}

void Transaction::on_ready(char status, bool has_failed) {
  if (status == 'I') return reset();
  is_open_ = true;
  is_told_ = true;
  savepoints_.clear();
  if (has_failed) is_bound_ = was_bound_ || bound_since_ready_;
  was_bound_ = is_bound_;
  bound_since_ready_ = false;
}

void Transaction::reset() {
  is_open_ = is_bound_ = was_bound_ = bound_since_ready_ = is_snapshot_ = is_told_ = is_loss_told_ =
      can_go_back_ = false;
  has_local_settings = may_change_pins = has_changed_schema = changes_reading = false;
  has_local_search_path = false;
  untold_settings.clear();
  traces = {};
  pins = {};
  said_.clear();
  said_bytes_ = 0;
  savepoints_.clear();
  loss_.reset();
}

}  // namespace mosaic::proxy
