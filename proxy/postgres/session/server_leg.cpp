#include "proxy/postgres/session/server_leg.h"

#include <fmt/format.h>

#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

using Kind = Expectation::Kind;

void ServerLeg::attach(pool::ServerMemory& server) {
  server_ = &server;
  status_ = 'I';
  has_sent_ = false;
  last_words.reset();
}

void ServerLeg::end(LeaseEnd end) {
  outbox_.lease_end = end;
  server_ = nullptr;
  status_ = 'I';
  has_sent_ = false;
}

void ServerLeg::on_ready(char status) {
  status_ = status;
  has_sent_ = owed_.size() > 1;  // behind a query of ours the client's may be under way
}

Expectation& ServerLeg::expect(Kind kind, bool is_ours) {
  has_sent_ = true;
  Expectation& expectation = owed_.push(Expectation{kind});
  expectation.is_ours = is_ours;
  return expectation;
}

void ServerLeg::send_own_query(Expectation::Purpose purpose, std::string_view text) {
  routing::append_query(out(), text);
  server_->unnamed.reset();
  expect(Kind::kOwnQuery, true).purpose = purpose;
}

void ServerLeg::send_sync() {
  routing::append_sync(out());
  expect(Kind::kSync);
}

void ServerLeg::send_own_sync(Expectation::Purpose purpose) {
  routing::append_sync(out());
  expect(Kind::kSync, true).purpose = purpose;
}

void ServerLeg::send_flush() { routing::append_empty(out(), 'H'); }

Expectation& ServerLeg::send_statement(std::string_view text, bool is_ours) {
  routing::append_parse(out(), "", text, {});
  {
    routing::FrameWriter bind(out(), 'B');
    out().append(std::string_view("\0\0\0\0\0\0\0\0", 8));  // unnamed both, no formats, values, formats
  }
  {
    routing::FrameWriter execute(out(), 'E');
    out().append(std::string_view("\0\0\0\0\0", 5));
  }
  server_->unnamed.reset();
  expect(Kind::kParse, true).is_unnamed = true;
  expect(Kind::kBind, true).is_unnamed = true;
  return expect(Kind::kExecute, is_ours);
}

Expectation& ServerLeg::bind_nothing(std::string_view portal) {
  routing::append_parse(out(), "", "", {});
  {
    routing::FrameWriter bind(out(), 'B');
    out().append_c_string(portal);
    out().append(std::string_view("\0\0\0\0\0\0\0", 7));
  }
  server_->unnamed.reset();
  expect(Kind::kParse, true).is_unnamed = true;
  Expectation& bind = expect(Kind::kBind);
  bind.is_unnamed = true;
  return bind;
}

void ServerLeg::send_refusal(const routing::Error& error, bool is_simple) {
  const std::string text = fmt::format("mosaic refused a statement: {}", error.sqlstate);
  if (is_simple) {
    routing::append_query(out(), text);
    expect(Kind::kQuery).made_effects().refusal = error;
  } else {
    routing::append_parse(out(), "", text, {});
    send_flush();  // or the client would not see the error before it sends Sync
    expect(Kind::kParse).made_effects().refusal = error;
    owed_.back().is_unnamed = true;
  }
  server_->unnamed.reset();
}

void ServerLeg::send_closes() {
  for (const pool::StatementKey& key : server_->to_close) {
    routing::append_close(out(), 'S', pool::ServerStatementName(key).view());
    expect(Kind::kClose, true).key = key;
  }
  server_->to_close.clear();
}

}  // namespace mosaic::proxy
