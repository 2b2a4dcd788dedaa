#pragma once
// A Session without sockets: client and server messages in, readable lines out. "Query select 1", "Parse s1
// select ..", "Ready T" ... so that tests read like the conversation they check.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pool/postgres/name_values.h"
#include "pool/postgres/server_memory.h"
#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {

class SessionScript {
 public:
  SessionScript();

  // --- the client speaks; each returns what the session did with the frame ---
  Session::Intake client(char type, std::string_view body);
  Session::Intake query(std::string_view text);
  Session::Intake parse(std::string_view name, std::string_view text);
  // Text parameters.
  Session::Intake bind(std::string_view portal, std::string_view statement,
                       std::vector<std::string> values = {});
  Session::Intake describe(char kind, std::string_view name);
  Session::Intake execute(std::string_view portal = "", uint32_t row_limit = 0);
  Session::Intake sync();

  Session::Intake flush();
  Session::Intake close(char kind, std::string_view name);
  // Sends a query, on a server that is granted where one is asked for.
  void send(const std::string& text);
  // Parse, Bind and Execute of the unnamed statement, the same.
  void send_extended(std::string_view text, std::vector<std::string> values = {}, uint32_t row_limit = 0);

  // Grants the lease that the session asked for; returns the node's name.
  std::string grant();
  // The session need not wait for its shard any more.
  void open_gate();
  // There is no server, for this reason.
  void fail_lease(const char* sqlstate);
  // The connection to its server is lost; the next one is another server.
  void lose_server();
  bool wants_lease() const { return outbox.lease_request.has_value(); }
  std::string wanted_node() const;

  // --- the server speaks ---
  void server(char type, std::string_view body);
  void server_ready(char status) { server('Z', std::string_view(&status, 1)); }
  void server_complete(std::string_view tag);
  void server_error(std::string_view sqlstate, std::string_view message);
  void server_row(std::string_view value);
  void server_parameter(std::string_view name, std::string_view value);
  // Answers what was sent since the last call as a server does that finds nothing wrong: statements complete
  // with these tags in turn ("SELECT 1" when they are used up), a query or Sync ends in `status`. Returns
  // what was sent.
  std::vector<std::string> answer(std::vector<std::string> tags, char status);
  // The session has asked what is left in its server's session (group_endings.cpp): letters of reasons.
  void answer_look(std::string_view left);
  // The session brings its server to rest: so many statements of others are left.
  void answer_rest(std::string_view count = "0");

  // What was sent since the last call, as lines.
  std::vector<std::string> to_server();
  std::vector<std::string> to_client();
  // Client messages that the session wants again and has not taken yet.
  bool has_pending() const { return !pending_.is_empty(); }
  // How the lease ended since the last call.
  LeaseEnd lease_end() { return std::exchange(outbox.lease_end, LeaseEnd::kNone); }

  // A user whose shard is on this node ("pg1", "pg2").
  int64_t user_on(std::string_view node, int which = 0) const;
  std::string schema_of_user(int64_t user) const;

  pool::NameValuesTable name_values;
  routing::Router router{routing::RouterLimits{}};
  StatementCache statements{1 << 20, 1, 1};
  WelcomeCache welcomes;
  ParseContexts parse_contexts{1, 1};
  QueryBinder binder;
  routing::BufferStock buffers;
  SessionEnvironment environment;
  routing::ByteBuffer client_out, server_out;
  Outbox outbox;
  pool::ServerMemory memory;
  std::unique_ptr<Session> session;

 private:
  void redeliver();  // as ClientConnection does, behind every event

  routing::ByteBuffer pending_;
};

// A catalog with nodes pg1 and pg2, 8 shards, the demo's tables.
std::shared_ptr<const routing::CatalogSnapshot> script_catalog();

}  // namespace mosaic::proxy
