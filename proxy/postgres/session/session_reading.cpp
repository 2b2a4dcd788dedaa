// How the client's text is read: by standard_conforming_strings and client_encoding as a server has reported
// them last. While what was sent may change them, nothing more can be read: the server's answer must come
// first.

#include <utility>

#include "proxy/postgres/session/session.h"
#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/setting_rules.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::AnalyzedStatement;
using routing::Error;
using routing::StatementKind;

namespace {

bool may_change_reading(const routing::StatementPart& part) {
  if (part.kind == StatementKind::kDiscard) return true;
  return part.setting && (part.setting->kind == routing::SettingChange::Kind::kResetAll ||
                          routing::is_reading_setting(part.setting->name));
}

bool ends_settings(StatementKind kind) {
  return kind == StatementKind::kCommit || kind == StatementKind::kRollback ||
         kind == StatementKind::kRollbackTo || kind == StatementKind::kPrepareTransaction;
}

}  // namespace

// Nearly always the parameters are the same object as before.
void Session::follow_parameters() {
  if (followed_parameters_ == client_parameters_) return;
  followed_parameters_ = client_parameters_;
  const std::string* conforming = client_parameters_->find("standard_conforming_strings");
  const std::string* encoding = client_parameters_->find("client_encoding");
  const routing::Reading reading{conforming == nullptr || *conforming != "off"};
  const routing::ClientEncoding client_encoding =
      encoding == nullptr ? routing::ClientEncoding::kUtf8 : routing::find_client_encoding(*encoding);
  if (reading == reading_ && client_encoding == encoding_) return;
  reading_ = reading;
  encoding_ = client_encoding;
  pending_route_.reset();  // it was found under the old ones
}

// `statement` is on its way to the server.
void Session::note_reading_changes(const AnalyzedStatement& statement) {
  for (const auto& part : statement.plan->parts) {
    if (may_change_reading(part)) is_reading_in_doubt_ = is_reading_of_transaction_ = true;
    if (is_reading_of_transaction_ && ends_settings(part.kind)) is_reading_in_doubt_ = true;
  }
}

Error Session::reading_in_doubt_error() {
  return Error{
      routing::sqlstate::kFeatureNotSupported,
      "a statement behind a change of standard_conforming_strings or client_encoding, before its Sync",
      "Mosaic reads statements as the server will: it must know first whether the change was made",
      "send Sync behind the change"};
}

// PostgreSQL reads a statement when it is parsed, and runs it as it was read then. A server that gets the
// text only now gets one that means the same under the settings of now.
PreparedStatement& Session::as_read_now(std::string_view name, PreparedStatement& statement) {
  const AnalyzedStatement& view = statement.compiled->view();
  // What is owed to the client has not been read by any server yet.
  const bool is_unread = owed_parse_ == &statement;
  std::string text(statement.text());
  if (!is_unread && routing::depends_on_reading(view.text, view.tokens))
    text = routing::make_portable(view.text, view.tokens, view.reading).text;
  std::string types;
  for (const uint32_t oid : statement.declared_types) {
    for (const int shift : {24, 16, 8, 0}) types += static_cast<char>(oid >> shift);
  }
  PreparedStatement& other =
      environment_.statements->acquire({name, text, types}, *environment_.router, catalog(), reading_);
  forget_portals_of(statement);
  if (is_unread) owed_parse_ = &other;
  environment_.statements->release(*std::exchange(prepared_.find(name)->second, &other));
  return other;
}

}  // namespace mosaic::proxy
