#pragma once
// One client after its login: what each of its messages means for the server it has, needs or must not have.
// Sans-I/O: events in, bytes and actions out (Outbox). Routes by routing/, remembers by
// pool/postgres/server_memory.h; knows no sockets, no loop, no clock. Its one driver is ClientConnection;
// tests drive it by scripts.
//
// The files: session.cpp (events, leases, simple queries), session_extended.cpp (Parse ... Sync),
// session_prepared.cpp (which server has which statement, under which name), session_bound.cpp (simple
// queries as prepared statements), session_server.cpp (what servers answer), session_local.cpp (statements
// answered here), session_held.cpp (a BEGIN that no server knows of yet), session_copy.cpp (COPY in),
// session_ending.cpp (how it all ends).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pool/postgres/server_memory.h"
#include "proxy/postgres/login/welcome_cache.h"
#include "proxy/postgres/session/client_settings.h"
#include "proxy/postgres/session/outbox.h"
#include "proxy/postgres/session/parse_contexts.h"
#include "proxy/postgres/session/query_binder.h"
#include "proxy/postgres/session/reply_queue.h"
#include "proxy/postgres/session/statement_cache.h"
#include "proxy/report.h"
#include "routing/buffer_stock.h"
#include "routing/postgres/copy_rows.h"
#include "routing/postgres/router.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/postgres/wire/frame.h"

namespace mosaic::proxy {

// What all sessions of a worker share. Owned by the worker, outlives its sessions.
struct SessionEnvironment {
  routing::Router* router = nullptr;
  StatementCache* statements = nullptr;
  WelcomeCache* welcomes = nullptr;
  ParseContexts* parse_contexts = nullptr;
  QueryBinder* binder = nullptr;
  routing::BufferStock* buffers = nullptr;
  pool::NameValuesTable* name_values = nullptr;
  std::shared_ptr<const routing::CatalogSnapshot> catalog;  // the newest
  uint32_t max_prepared_statements = 0;                     // per server connection
  uint32_t prepare_threshold = 0;               // Parses of a text before servers keep it by name; 0: never
  bool prepare_simple_queries = false;          // the same for simple queries, with parameters for literals
  uint32_t max_client_prepared_statements = 0;  // per client
  uint64_t max_held_bytes = 64 << 10;           // per client: see Session::held_bytes
  uint64_t max_copy_lookahead_bytes =
      1 << 20;                          // COPY without a hint: bytes kept until the first row's key is known
  std::vector<TrafficReport> traffic;   // by node
  std::vector<uint64_t> shard_queries;  // by shard
  uint64_t refused_statements = 0;
  uint64_t described_from_cache = 0;
  uint64_t bound_queries = 0;    // simple queries that went out as prepared statements
  uint64_t unbound_queries = 0;  // of these, sent again as they came
  uint64_t ddl_statements = 0;   // the worker tells the others of a changed schema when it grows
};

class Session {
 public:
  enum class Phase : uint8_t {
    kWelcome,       // logged in; parameters of a server are needed before the client may talk
    kReady,         // between statements
    kGroup,         // extended messages since the last Sync
    kWaiting,       // for a server connection
    kPreparing,     // the server is being given the client's settings
    kInFlight,      // until ReadyForQuery
    kCopyIn,        // the server takes COPY data
    kCopyUnrouted,  // the client sends COPY data; the first row will tell where to
    kAbandoned,     // the client is gone; the server is being brought to rest
    kClosed,
  };
  enum class Intake : uint8_t {
    kTaken,
    kLater,  // not now: deliver the same frame again once can_take()
  };
  enum class Verdict : uint8_t {
    kForward,
    kDrop,
    kBody,  // only the body tells: call on_server_body with the whole frame
  };

  Session(SessionEnvironment& environment, Outbox& outbox);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- events from the client ---
  void on_login(const std::vector<std::pair<std::string, std::string>>& settings, uint32_t process_id,
                uint32_t secret);
  bool can_take() const { return phase_ == Phase::kReady || phase_ == Phase::kGroup || is_copying(); }
  bool is_copying() const { return phase_ == Phase::kCopyIn || phase_ == Phase::kCopyUnrouted; }
  Intake on_client_frame(char type, std::string_view body);
  // Part of a CopyData body, while is_copying(): bodies are not gathered.
  void on_copy_bytes(std::string_view bytes);
  void on_client_lost(bool is_polite);
  void on_cancel_request();

  // --- events from the pool ---
  void on_lease(pool::ServerMemory& server);
  void on_lease_failed(const routing::Error& error);

  // --- events from the server ---
  Verdict on_server_frame(const routing::FrameHeader& header);
  Verdict on_server_body(char type, std::string_view body);
  // `is_mid_frame`: part of a frame has gone to the client already.
  void on_server_lost(const routing::Error& error, bool is_mid_frame);

  // --- events from the clock and the operator ---
  void on_timeout(const routing::Error& error);  // ends the statement or the transaction, and the connection
  void on_shutdown();                            // closes as soon as no transaction is open
  void on_idle();                                // the client has been quiet: gives scratch memory back

  Phase phase() const { return phase_; }
  bool holds_server() const { return server_ != nullptr; }
  bool is_in_transaction() const { return transaction_status_ != 'I' || !held_.empty(); }
  bool is_pinned() const { return is_pinned_; }
  // A statement runs, or waits to run.
  bool is_busy() const;
  size_t prepared_statements() const { return prepared_.size(); }
  size_t owed_replies() const { return replies_.size(); }  // by the server
  int last_shard() const { return last_shard_; }
  std::string application_name() const;

 private:
  struct Portal {  // of a statement that is answered here
    std::string name;
    PreparedStatement* statement;
    std::string parameters;  // the Bind message behind the names
  };
  struct NameHash {  // looks names up as they stand in messages
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  struct LocalReply {
    std::string tag;
    std::optional<routing::Error> error;
    bool is_empty_query = false;
  };
  enum class Server : uint8_t { kReady, kWaiting, kRefused };  // kRefused: lease_error_ says why
  // What a statement that goes to a server does with the held transaction, if there is one.
  enum class HeldUse : uint8_t {
    kOutside,   // runs before it: the result is the same
    kRehearse,  // reads what held SET LOCALs may change: runs behind them, and all of it is rolled back
    kBegin,     // begins it
  };

  // session.cpp
  Intake dispatch(char type, std::string_view body);
  Intake on_query(std::string_view body);
  Intake send_query(const routing::AnalyzedStatement& statement, const routing::Route& route);
  void collect_effects(const routing::AnalyzedStatement& statement, const routing::Parameters& parameters,
                       std::span<const uint32_t> types, std::vector<SettingEffect>& effects) const;
  Server need_server(const routing::Route& route, const std::optional<pool::StatementKey>& preferred,
                     HeldUse held_use);
  void on_server_prepared();
  void go_on_without_server(const routing::Error& error);
  pool::NameValuesRef welcome_key() const;
  pool::NameValuesRef with_application_name(const pool::NameValuesRef& parameters) const;
  void finish_welcome(const pool::NameValuesRef& parameters);
  bool ask_next_node(const routing::Error& error);
  routing::Error other_node_error(const routing::Route& route) const;
  void send_own_query(std::string_view text);
  void end_lease(LeaseEnd end);
  void refuse_query(const routing::Error& error);
  void reply_error_and_ready(const routing::Error& error);
  // session_reading.cpp
  void follow_parameters();
  void note_reading_changes(const routing::AnalyzedStatement& statement);
  PreparedStatement& as_read_now(std::string_view name, PreparedStatement& statement);
  static routing::Error reading_in_doubt_error();

  routing::AnalyzedStatement analyze(std::string_view text);
  routing::Result<routing::Route> route_of(const routing::AnalyzedStatement& statement,
                                           const routing::Parameters& parameters);
  void count_query(const routing::Route& route);
  void enter(Phase phase) { phase_ = phase; }
  void come_to_rest();  // kReady; closes instead when Mosaic is shutting down
  const routing::CatalogSnapshot& catalog() const { return *catalog_; }
  void begin_statement();  // takes the newest catalog between transactions
  void close_with(const routing::Error& error);

  // session_extended.cpp
  Intake on_parse(std::string_view body);
  Intake on_bind(std::string_view body);
  Intake on_describe(std::string_view body);
  Intake on_execute(std::string_view body);
  Intake on_close(std::string_view body);
  Intake on_flush();
  Intake on_sync();
  Intake settle_parse(bool with_description);
  Intake try_settle_parse(bool with_description);
  Portal* find_portal(std::string_view name);
  void fail_group(const routing::Error& error);
  void send_poison(const routing::Error& error);

  // session_prepared.cpp
  PreparedStatement* find_prepared(std::string_view name);
  void drop_prepared(std::string_view name);
  void drop_all_prepared();
  void forget_portals_of(const PreparedStatement& statement);
  PreparedStatement& name_statement(const routing::ParseMessage& message);
  bool has_description(const PreparedStatement& statement) const;
  bool is_refused_in_failed_transaction(const PreparedStatement& statement) const;
  routing::Error duplicate_error(const routing::ParseMessage& message);
  pool::StatementKey key_of(const PreparedStatement& statement, const routing::Route& route);
  void note_local_settings(const routing::AnalyzedStatement& statement);
  bool parses_unlike_others() const;
  bool is_worth_preparing(const PreparedStatement& statement) const;
  bool admits_statement();
  bool goes_unnamed(const PreparedStatement& statement, std::string_view name, const pool::StatementKey& key);
  pool::StatementKey send_parse(PreparedStatement& statement, bool is_unnamed, const routing::Route& route,
                                bool is_ours);
  void send_closes();

  // session_bound.cpp
  bool may_bind_query() const;
  bool send_bound(const routing::AnalyzedStatement& statement, const routing::Route& route, size_t query_at);
  void keep_bound_tag(std::string_view body);
  void tell_bound_tag();
  void on_bound_error(std::string_view body);
  void send_unbound();

  // session_server.cpp
  void pop_reply();
  void flush_local_replies();
  void drop_replies_until_sync();
  Verdict on_error(std::string_view body);
  Verdict on_ready(char status);
  Verdict on_parameter_status(std::string_view body);
  Verdict on_description(char type, std::string_view body);
  Verdict on_copy_in_response();
  void on_part_complete();
  void on_schema_change();
  void on_transaction_tag(std::string_view tag);
  Verdict on_preparing_body(char type, std::string_view body);
  Verdict on_abandoned_body(char type, std::string_view body);
  void on_abandoned_ready(char status);
  void drop_local_replies();
  void tell_parameters(const pool::NameValuesRef& parameters);
  void tell_restored_parameters();
  void end_group(char status);
  void finish_group(char status);
  void reset_group();
  void forward_error(std::string_view body);

  // session_local.cpp
  bool is_local(const routing::StatementPart& part, const routing::AnalyzedStatement& statement) const;
  LocalReply run_local(const routing::StatementPart& part, const routing::AnalyzedStatement& statement,
                       const routing::Parameters& parameters);
  LocalReply set_hint(const routing::StatementPart& part, const routing::AnalyzedStatement& statement,
                      const routing::Parameters& parameters);
  void append_local(const LocalReply& reply);
  // Replies of ours take their place behind what the server owes. `append` writes them to a ByteBuffer.
  template <typename Append>
  void reply_local_by(const Append& append) {
    if (replies_.is_empty()) return append(*outbox_.to_client);
    const size_t before = local_bytes_.size();
    append(local_bytes_);
    Reply reply{Reply::Kind::kLocal};
    reply.local_bytes = static_cast<uint32_t>(local_bytes_.size() - before);
    replies_.push(reply);
  }
  void reply_local(std::string_view bytes) {
    reply_local_by([bytes](routing::ByteBuffer& out) { out.append(bytes); });
  }

  // session_held.cpp
  void send_held(HeldUse use);
  void send_held_statements();
  void hold(std::string text);
  void fail_held();
  HeldUse held_use(const routing::AnalyzedStatement& statement) const;
  LocalReply run_local_in_held(const routing::StatementPart& part,
                               const routing::AnalyzedStatement& statement);
  void apply_in_held(const SettingEffect& effect);
  // What is kept while no server has it: held statements, and portals of statements that are answered here.
  size_t held_bytes() const;
  std::optional<routing::Error> find_held_excess(size_t more_bytes) const;
  char visible_status(char server_status) const;
  routing::Error failed_transaction_error() const;

  // session_copy.cpp
  Intake begin_unrouted_copy(const routing::AnalyzedStatement& statement);
  void check_copy_rows(std::string_view bytes);
  void route_copy(std::string_view key, bool is_binary);
  void begin_copy_check(const routing::CopyTarget& target, routing::ShardId shard);
  void forward_copy_bytes(std::string_view bytes);
  void fail_copy(const routing::Error& error);
  void end_unrouted_copy(char type, std::string_view body);

  SessionEnvironment& environment_;
  Outbox& outbox_;
  std::shared_ptr<const routing::CatalogSnapshot> catalog_;  // one snapshot per transaction
  Phase phase_ = Phase::kWelcome;
  Phase phase_after_lease_ = Phase::kReady;
  pool::ServerMemory* server_ = nullptr;

  // Transaction.
  char transaction_status_ = 'I';  // of the leased server, by its last ReadyForQuery
  std::vector<std::string> held_;  // BEGIN and what followed it before any statement named a shard
  std::vector<std::string> held_savepoints_;
  bool is_held_failed_ = false;                 // the held transaction can only be rolled back
  std::unique_ptr<routing::Error> held_error_;  // why, when the client has not been told
  bool is_held_snapshot_ = false;               // BEGIN asked for one snapshot for all its statements
  bool has_held_settings_ = false;              // a SET LOCAL is among them
  bool is_rehearsing_ = false;                  // the server runs what is held, to be rolled back
  bool is_pinned_ = false;
  bool is_shutting_down_ = false;
  LeaseEnd abandoned_end_ = LeaseEnd::kReturn;  // kAbandoned: what becomes of the server when it is at rest

  // What the client sees.
  ClientSettings settings_;
  pool::NameValuesRef client_parameters_;
  // How its text is read, by these parameters; see session_reading.cpp.
  pool::NameValuesRef followed_parameters_;
  routing::Reading reading_;
  routing::ClientEncoding encoding_ = routing::ClientEncoding::kUtf8;
  bool is_reading_in_doubt_ = false;        // what was sent since the last Sync may change it
  bool is_reading_of_transaction_ = false;  // the end of the transaction may change it
  uint32_t process_id_ = 0, secret_ = 0;

  // The statement that is being routed, kept over the wait for a server.
  std::optional<routing::Route> pending_route_;
  std::unique_ptr<routing::Error> lease_error_;
  uint32_t lease_attempts_ = 0;  // nodes asked for a statement that any node answers
  routing::AnalyzedStatement analyzed_;
  uint64_t analyzed_generation_ = 0;  // of the router

  // What the server owes.
  ReplyQueue replies_;
  // Replies of ours; while a bound query is in flight, the Query message that it stands for, and then its
  // tag.
  routing::ByteBuffer local_bytes_;
  std::vector<SettingEffect> effects_;  // of statements sent, in order; applied when confirmed
  size_t completed_parts_ = 0;
  bool has_error_ = false;                         // in this group
  bool has_settling_failed_ = false;               // the SETs of ours behind it failed
  std::vector<routing::TextChange> text_changes_;  // what qualifying did to the query that runs
  std::unique_ptr<routing::Error> refusal_;
  std::unique_ptr<routing::Error> preparing_error_;
  bool skip_until_sync_ = false;
  bool has_sent_ = false;      // something went to the server since it was leased or last ready
  bool is_group_pure_ = true;  // only Parse and Describe went to the leased server so far

  // Extended protocol.
  std::unordered_map<std::string, PreparedStatement*, NameHash, std::equal_to<>>
      prepared_;                             // "" is the unnamed one
  PreparedStatement* owed_parse_ = nullptr;  // parsed by the client, ParseComplete not given yet
  bool owed_is_unnamed_ = false;
  pool::StatementKey described_key_;   // of the latest Parse that was settled on a server
  bool is_described_unnamed_ = false;  // it went into the server's unnamed statement
  bool has_local_settings_ = false;    // a SET LOCAL that affects parsing is part of this transaction
  uint32_t parse_context_ = 0;         // of the settings `parse_settings_`
  pool::NameValuesRef parse_settings_;
  routing::ByteBuffer
      description_;  // ParameterDescription, until what follows it makes the description whole
  std::vector<Portal> portals_;
  struct PortalEffects {
    std::string portal;
    std::vector<SettingEffect> effects;
  };
  std::vector<PortalEffects> portal_effects_;
  size_t sent_parts_ = 0;  // Executes sent in this group

  // COPY. Most clients never do: it is kept apart, so that an idle client stays small.
  struct CopyState {
    std::optional<routing::CopyRows> rows;  // none: the rows can not be checked, or not any more
    std::optional<routing::ShardId> shard;
    routing::ByteBuffer lookahead;  // kCopyUnrouted: what came before a server was known
    std::string text;
    std::string checked_key;  // of the row before, as it came
    uint16_t table = 0;
    bool is_done = false;  // CopyDone came already
  };
  std::unique_ptr<CopyState> copy_;
  bool copy_failed_ = false;

  int last_shard_ = -1;
};

}  // namespace mosaic::proxy
