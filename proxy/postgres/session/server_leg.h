#pragma once
// One leased server as the session that holds it sees it: its transaction status, what it owes, and the
// messages that it is sent. Appends to the outbox; knows no route and no client statement by name. Its
// messages and their expectations are made together here, so that neither can be forgotten.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pool/postgres/server_memory.h"
#include "proxy/postgres/session/expectations.h"
#include "proxy/postgres/session/outbox.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/sql/traces.h"
#include "routing/result.h"

namespace mosaic::proxy {

class ServerLeg {
 public:
  // What the client has left in the server.
  struct Remains {
    routing::Pins pins;              // why the client keeps it
    bool is_unclean = false;         // it may hold what nobody else may see
    bool may_change_pins = false;    // it is to be asked which of them are left
    bool has_own_sequences = false;  // currval() and lastval() know values of this client only
  };

  explicit ServerLeg(Outbox& outbox) : outbox_(outbox) {}

  bool is_held() const { return server_ != nullptr; }
  pool::ServerMemory& server() { return *server_; }
  const pool::ServerMemory& server() const { return *server_; }
  routing::NodeId node() const { return server_->node; }
  // By the last ReadyForQuery: 'I', 'T' or 'E'; 'I' without a server.
  char status() const { return status_; }
  // Something is under way, or something was sent since the last ReadyForQuery.
  bool is_busy() const { return has_sent_ || !owed_.is_empty(); }
  ExpectationQueue& owed() { return owed_; }
  const ExpectationQueue& owed() const { return owed_; }
  routing::ByteBuffer& out() { return *outbox_.to_server; }
  routing::ByteBuffer& local_bytes() { return local_bytes_; }

  void attach(pool::ServerMemory& server);
  void end(LeaseEnd end);
  void on_ready(char status);  // while what it ends is still the first that is owed

  // --- messages to the server ---
  Expectation& expect(Expectation::Kind kind, bool is_ours = false);
  // A query that the client did not ask for. Like any simple query it destroys the unnamed statement.
  void send_own_query(Expectation::Purpose purpose, std::string_view text);
  void send_sync();  // the client's
  void send_own_sync(Expectation::Purpose purpose);
  void send_flush();
  // Parse, Bind and Execute of ours, in the client's transaction: said again, or said late.
  // `is_ours`: of the Execute.
  Expectation& send_statement(std::string_view text, bool is_ours);
  // A portal of no statement: its name is taken, or the server says that it was before.
  Expectation& bind_nothing(std::string_view portal);
  // What makes the server fail as Mosaic has failed: its error is replaced by `error`.
  void send_refusal(const routing::Error& error, bool is_simple);
  void send_closes();  // of statements that the server is to forget

  // --- replies of ours: in their place behind what the server owes ---
  // `append` writes them to a ByteBuffer. The entry for what their turn confirms; null: told at once.
  template <typename Append>
  Expectation* reply_by(const Append& append) {
    if (owed_.is_empty()) {
      append(*outbox_.to_client);
      return nullptr;
    }
    const size_t before = local_bytes_.size();
    append(local_bytes_);
    Expectation& local = owed_.push(Expectation{Expectation::Kind::kLocal});
    local.local_bytes = static_cast<uint32_t>(local_bytes_.size() - before);
    return &local;
  }
  Expectation* reply(std::string_view bytes) {
    return reply_by([bytes](routing::ByteBuffer& out) { out.append(bytes); });
  }

  // What the server said before it went away: its FATAL.
  std::unique_ptr<routing::Error> last_words;
  // ParameterDescription, until what follows it makes it whole.
  routing::ByteBuffer description;
  Remains remains;

 private:
  Outbox& outbox_;
  pool::ServerMemory* server_ = nullptr;
  char status_ = 'I';
  bool has_sent_ = false;
  ExpectationQueue owed_;
  // Of kLocal entries; while a bound query is in flight its CommandComplete.
  routing::ByteBuffer local_bytes_;
};

}  // namespace mosaic::proxy
