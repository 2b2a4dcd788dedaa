#pragma once
// One client after its login: what each of its messages means for the server it has, needs or must not have.
// Sans-I/O: events in, bytes and actions out (Outbox). Its one driver is FramePump; tests drive it by scripts
// as well. What is known is kept by its parts, each of which says what it owns: ServerLeg, Transaction,
// ClientView, ClientStatements, CopyIn, Attempt. No part knows the session.
//
// The files: session.cpp (events, simple queries), segments.cpp (what counts up to a Sync), refusals.cpp,
// leases.cpp (which server, from asking to leaving), moved_shards.cpp, prepared_transactions.cpp, parsing.cpp
// (Parse), binding.cpp (Bind), extended_protocol.cpp (Describe ... Sync), server_statements.cpp (which server
// has which statement, under which name), sql_prepared.cpp (PREPARE and EXECUTE of SQL), bound_query.cpp
// (simple queries as prepared statements), answers.cpp (what servers answer), group_endings.cpp
// (ReadyForQuery, and bringing servers to rest), local_statements.cpp (statements answered here), copying.cpp
// (COPY in), counting.cpp (how many, how long), session_ending.cpp (how it all ends).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/postgres/session/attempt.h"
#include "proxy/postgres/session/client_statements.h"
#include "proxy/postgres/session/client_view.h"
#include "proxy/postgres/session/copy_in.h"
#include "proxy/postgres/session/outbox.h"
#include "proxy/postgres/session/server_leg.h"
#include "proxy/postgres/session/session_environment.h"
#include "proxy/postgres/session/statement_times.h"
#include "proxy/postgres/session/transaction.h"
#include "routing/postgres/router.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/postgres/wire/frame.h"

namespace mosaic::proxy {

// ParameterDescription and NoData: no parameters, no rows.
inline constexpr std::string_view kDescribedAsNothing("t\0\0\0\6\0\0n\0\0\0\4", 12);

inline constexpr std::string_view kParseComplete("1\0\0\0\4", 5);

class Session {
 public:
  enum class Phase : uint8_t {
    kWelcome,       // logged in; parameters of a server are needed before the client may talk
    kReady,         // between statements
    kGroup,         // extended messages since the last Sync
    kWaiting,       // for a server connection
    kPreparing,     // the server is being given the client's settings
    kLeaving,       // the server is let go, for one of another node or an attempt made again
    kDraining,      // the server answers what it owes before the next message is looked at
    kSearching,     // nodes are asked for a prepared transaction
    kInFlight,      // until ReadyForQuery
    kCopyIn,        // the server takes COPY data
    kCopyUnrouted,  // the client sends COPY data; the first row will tell where to
    kResting,       // the client has its answer; the server is brought to rest
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
  void on_login(std::string_view user, const std::vector<std::pair<std::string, std::string>>& settings,
                uint32_t process_id, uint32_t secret);
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
  // Instead of a lease: what was asked for is to be looked at again.
  void on_gate_open();

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
  bool holds_server() const { return leg_.is_held(); }
  bool is_in_transaction() const { return leg_.status() != 'I' || transaction_.is_open(); }
  bool is_pinned() const { return !leg_.remains.pins.is_empty(); }
  // A statement runs, or waits to run.
  bool is_busy() const;
  // Its server is only being prepared for what another node would do as well: it may be lost unseen.
  bool may_go_elsewhere() const;
  size_t prepared_statements() const { return statements_.size(); }
  size_t owed_replies() const { return leg_.owed().size(); }  // by the server
  // What it runs or waits to run; between statements the last one. Times by environment.clock.
  struct Running {
    const routing::ShapeUse* shape = nullptr;  // null: not known
    int shard = -1;                            // -1: of none
    uint64_t began_us = 0;                     // 0: nothing runs or waits
    uint64_t waited_us = 0;                    // for a server, before it ran
    uint64_t waiting_us = 0;                   // since when it waits for one; 0: it does not
    uint64_t transaction_began_us = 0;         // 0: no transaction is open
  };
  Running running() const;
  // The client has not read for so long, and its server was not read from.
  void on_held_back(uint64_t us) { times_.held_back_us += us; }
  std::string application_name() const;
  // What the server said before it went away; null: nothing.
  const routing::Error* server_last_words() const { return leg_.last_words.get(); }

 private:
  using Kind = Expectation::Kind;
  using Purpose = Expectation::Purpose;
  struct LocalReply {
    std::string tag;
    std::optional<routing::Error> error;
    bool is_empty_query = false;
  };
  enum class Server : uint8_t { kReady, kWaiting, kRefused };  // kRefused: waiting_.error says why
  struct WaitingRoute : routing::Route {
    WaitingRoute(routing::Route route, bool is_of_parse = false)
        : Route(std::move(route)), is_describing(is_of_parse) {}
    bool is_describing;  // for the Parse that is owed
  };
  // What the message at hand waits for, and what was found out for it.
  struct Waiting {
    bool is_describing() const { return route && route->is_describing; }

    std::optional<WaitingRoute> route;
    std::unique_ptr<routing::Error> error;    // no server is to be had
    std::unique_ptr<routing::Error> refusal;  // the message is refused once the transaction has a server
    bool is_refusal_simple = false;
    Phase phase_after = Phase::kReady;
    uint32_t attempts = 0;                           // nodes asked where any will do
    routing::NodeId first_asked;                     // of them
    std::unique_ptr<routing::Error> own_error;       // what became of a query of ours
    bool has_been_rested = false;                    // before its settings are assigned once more
    std::string answer;                              // of a query of ours: its last row
    std::vector<std::optional<std::string>> fields;  // the same, field by field
    std::vector<std::string> untold_settings;        // kReadBack
    Phase phase_before_search = Phase::kReady;
    std::string searched;                // kSearching: the transaction's name, as written
    std::vector<routing::NodeId> found;  // kSearching: nodes that have the prepared transaction
  };
  // The messages since the last ReadyForQuery.
  struct Group {
    bool has_error = false;
    bool skips_until_sync = false;
    bool has_settling_failed = false;
    bool changes_settings = false;     // what is parsed now is parsed under settings not confirmed yet
    bool has_run_here = false;         // statements were answered here
    bool has_our_snapshot = false;     // a server has taken one for a message that takes none
    bool may_recover = false;          // the end of a failed transaction is under way
    bool has_reset_start_up = false;   // servers have another default than the client
    bool is_reading_in_doubt = false;  // what was sent may change how text is read
    bool tells_no_ready = false;       // it ends for a simple query that is still to be answered
    bool is_retrying = false;          // its messages will be sent again
    bool is_as_written = false;        // in the client's own words
    std::optional<routing::ShardId> fenced_shard;  // they go to where it is now
    bool is_described_unnamed = false;             // the statement described last is the server's unnamed one
    pool::StatementKey described_key;
  };
  // What a node has refused because the shard is leaving it, until it runs.
  struct Fence {
    routing::ShardId shard;
    routing::Epoch refused_at;  // of its place then; 0: nothing is refused
    uint32_t refusals = 0;      // one after another
    uint32_t denials = 0;       // of them, by what may be said for another reason
  };
  struct PortalEffects {
    std::string portal;
    std::vector<Effect> effects;
    StatementReference control;  // BEGIN, COMMIT ...: counts from its Execute on, not from its Bind
  };

  struct PortalUse {
    std::string name;
    routing::ShapeUseRef use;
    int shard = -1;
  };

  // Of the client, on its server.
  struct ServerPortals {
    std::vector<PortalUse> named_uses;  // the latest
    routing::ShapeUseRef unnamed_use;
    int unnamed_shard = -1;
    std::vector<PortalEffects> effects;  // by name: what their Execute will do
    bool has_unnamed = false;            // the server's is one that the client has bound
  };
  // Of the statement that is being looked at, over the wait for a server.
  struct Analysis {
    routing::AnalyzedStatement statement;
    uint64_t generation = 0;                        // of the router
    std::vector<routing::TextChange> text_changes;  // what qualifying did to the query that runs
  };

  // session.cpp
  Intake dispatch(char type, std::string_view body);
  Intake on_query(std::string_view body);
  Intake on_function_call(std::string_view body);
  Intake send_query(const routing::AnalyzedStatement& statement, const routing::Route& route);
  routing::AnalyzedStatement analyze(std::string_view text);
  std::string scope() const;
  bool is_as_now(const PreparedStatement& statement) const;
  routing::Result<routing::Route> route_of(const routing::AnalyzedStatement& statement,
                                           const routing::Parameters& parameters);
  bool is_answered_in_failed_transaction(const routing::AnalyzedStatement& statement) const;
  void note_reading_changes(const routing::AnalyzedStatement& statement);
  bool is_reading_in_doubt(std::string_view message) const;
  static routing::Error reading_in_doubt_error();
  bool resets_start_up(const routing::StatementPart& part) const;
  bool sees_reset(const routing::AnalyzedStatement& statement) const;
  static routing::Error reset_error();
  std::optional<routing::Error> shadowed_name_error(const routing::AnalyzedStatement& statement);
  void note_sent(const routing::AnalyzedStatement& statement, const Effects* effects);
  void finish_welcome(const pool::NameValuesRef& parameters);
  pool::NameValuesRef welcome_key() const;
  pool::NameValuesRef with_application_name(const pool::NameValuesRef& parameters) const;
  void enter(Phase phase) { phase_ = phase; }
  void come_to_rest();  // kReady; closes instead when Mosaic is shutting down
  const routing::CatalogSnapshot& catalog() const { return *catalog_; }
  void begin_statement();  // takes the newest catalog between transactions
  void close_with(const routing::Error& error);

  // counting.cpp
  enum class TimingEnd : uint8_t { kCompleted, kSuspended, kFailed };
  void count_query(const routing::Route& route);
  void note_statement(routing::ShapeUse* use);
  void count_here(bool has_failed);
  void begin_timing(Expectation& expectation, routing::ShapeUse* use);
  void end_timing(Expectation& expectation, TimingEnd end);
  void end_timing_of_failed();
  void count_rows(Expectation& expectation, std::string_view tag);
  void note_portal(std::string_view name, routing::ShapeUse* use);
  void begin_timing_of_portal(Expectation& expectation, std::string_view name);

  // segments.cpp
  bool tells_of_sequences(const routing::AnalyzedStatement& statement) const;
  bool comes_behind_ours(const routing::AnalyzedStatement& statement);
  bool forget_sequences_first(const routing::AnalyzedStatement& statement);
  void clear_foreign_sequences(const routing::AnalyzedStatement& statement);
  void tell_of_what_ran_here(const routing::AnalyzedStatement& statement);
  void begin_group();
  void on_sequences_forgotten();

  // refusals.cpp
  Intake refuse(const routing::Error& error, bool is_simple);
  void tell_error(const routing::Error& error, bool is_simple);
  void append_ready();
  char visible_status() const;
  bool has_failed_transaction() const;
  routing::Error failed_transaction_error();
  static routing::Error no_such_statement(std::string_view name);
  bool may_end_lost_transaction(const routing::AnalyzedStatement& statement) const;

  // effects.cpp
  std::unique_ptr<Effects> effects_of(const routing::AnalyzedStatement& statement,
                                      const routing::Parameters& parameters) const;
  void apply(const Effect& effect);
  void forget_plans();
  void on_schema_change();

  // leases.cpp
  Server need_server(const routing::Route& route, const std::optional<pool::StatementKey>& preferred);
  bool may_leave_node() const;
  void leave_node();
  void on_left(char status);
  void note_left();
  void go_on_without_what_is_left();
  void leave();
  void go_on_elsewhere();
  Intake drain();
  Intake end_segment();
  void begin_on_leg(bool may_be_repeated = false);
  void on_server_prepared();
  void on_assigned();
  void go_on_without_server(const routing::Error& error);
  bool any_node_will_do() const;
  bool ask_next_node(const routing::Error& error);
  void fail_again();
  void on_failed_again(char status);
  void resume();
  routing::NodeId likely_node() const;
  routing::NodeId idle_node() const;
  routing::NodeId preferred_node(routing::NodeId wanted) const;
  void ask_for_server(routing::NodeId node, const std::optional<pool::StatementKey>& preferred,
                      bool is_any_node_good);
  routing::Error other_node_error(const routing::Route& route) const;
  void end_lease(LeaseEnd end);

  // moved_shards.cpp
  uint32_t denials_for(const routing::Error& error, routing::ShardId shard) const;
  bool is_fenced(Expectation& front, std::string_view body);
  bool may_be_gone(routing::ShardId shard) const;
  bool is_for_moving(const routing::Error& error) const;
  routing::Error moved_error() const;
  void take_attempt_back();
  void try_elsewhere(char status);

  // prepared_transactions.cpp
  bool ends_prepared_transaction(const routing::AnalyzedStatement& statement) const;
  void search_prepared_transaction(const routing::AnalyzedStatement& statement);
  void ask_for_prepared_transaction();
  void on_search_answer();

  // parsing.cpp
  Intake on_parse(std::string_view body);
  std::optional<routing::Error> naming_error(std::string_view name, size_t text_bytes) const;
  Intake refuse_duplicate(const routing::ParseMessage& message);
  Intake settle_parse(bool with_description);
  Intake refuse_owed(const routing::Error& error);
  void drop_unnamed();
  Intake settle_then_refuse(const routing::Error& error);
  bool is_settled_here(const routing::AnalyzedStatement& statement) const;
  static bool answers_with_nothing(const routing::AnalyzedStatement& statement);
  void tell_parse_complete();
  void reply_named(std::string_view bytes, std::vector<NameChange>& changes);
  routing::Result<routing::Route> describing_route(const PreparedStatement& statement);

  // binding.cpp
  Intake on_bind(std::string_view body);
  Intake bind_here(const routing::BindMessage& message, PreparedStatement& statement);
  bool may_have_portal(std::string_view name) const;
  void add_portal_effects(std::string_view portal, std::unique_ptr<Effects> effects,
                          StatementReference control = {});

  // extended_protocol.cpp
  Intake on_describe(std::string_view body);
  Intake on_execute(std::string_view body);
  Intake on_close(std::string_view body);
  Intake on_flush();
  Intake on_sync();
  Intake execute_local(LocalPortal& portal);
  void note_executed(PortalEffects& portal, uint32_t row_limit, Expectation& execute);

  // server_statements.cpp
  PreparedStatement& as_read_now(std::string_view name, PreparedStatement& statement);
  PreparedStatement& name_statement(const routing::ParseMessage& message);
  bool has_temporary() const;
  bool is_known(const PreparedStatement& statement) const;
  bool has_description(const PreparedStatement& statement) const;
  pool::StatementKey key_of(const PreparedStatement& statement, const routing::Route& route);
  bool parses_unlike_others() const;
  ParsedUnder parsed_under_now();
  bool is_parsed_under_others(const PreparedStatement& statement);
  bool is_worth_preparing(const PreparedStatement& statement) const;
  bool admits_statement();
  bool goes_unnamed(const PreparedStatement& statement, std::string_view name, const pool::StatementKey& key);
  Expectation& send_parse(PreparedStatement& statement, bool is_unnamed, const routing::Route& route,
                          bool is_ours);
  Expectation& append_parse_of(PreparedStatement& statement, bool is_unnamed, const pool::StatementKey& key,
                               const routing::Route& route, bool is_ours);

  // sql_prepared.cpp
  struct Execution {
    PreparedStatement* prepared = nullptr;
    routing::AnalyzedStatement view;  // of it, with EXECUTE's hint
    routing::Route route;
    pool::StatementKey key;
  };
  bool is_sql_prepared(const routing::AnalyzedStatement& statement) const;
  Intake run_prepare(const routing::AnalyzedStatement& statement, bool is_simple);
  void keep_as(const pool::StatementKey& key);
  Expectation& send_prepare(const PreparedStatement& statement, const pool::StatementKey& key,
                            const routing::Route& route);
  routing::Result<Execution> execution_of(const routing::AnalyzedStatement& statement, bool is_described);
  std::string begin_execution(const routing::AnalyzedStatement& statement, Execution& execution, bool runs);
  std::unique_ptr<Effects> note_execution(const Execution& execution);
  Intake run_execute(const routing::AnalyzedStatement& statement);
  Intake bind_execute(const routing::BindMessage& message, PreparedStatement& bound);
  Intake execute_unknown(LocalPortal& portal);
  void parse_renamed(std::string_view text);
  Intake describe_execute(const routing::AnalyzedStatement& statement);

  // bound_query.cpp
  bool may_bind_query() const;
  bool send_bound(const routing::AnalyzedStatement& statement, const routing::Route& route, size_t query_at);
  void keep_bound_tag(std::string_view body);
  bool may_try_again(const Expectation& front, std::string_view body);

  // answers.cpp
  void pop_expectation();
  void flush_local_replies();
  void end_attempt_with(char type);
  void tell_or_hold(char type, std::string_view body);
  void skip_to_sync();
  void undo(Expectation& expectation);
  void complete_part(Expectation& expectation, char type, std::string_view tag);
  Verdict on_error(std::string_view body);
  Verdict on_own_body(char type, std::string_view body);
  Verdict on_parameter_status(std::string_view body);
  Verdict on_description(char type, std::string_view body);
  Verdict on_completion(char type, std::string_view body);
  Verdict on_copy_in_response();
  void forward_error(std::string_view body, char type = 'E');  // or 'N': a notice

  // group_endings.cpp
  Verdict on_ready(char status);
  void on_own_ready(Purpose purpose, char status);
  void end_group(char status);
  void finish_group(char status);
  void release_server();
  void bring_to_rest();
  void on_rested();
  void on_looked();
  void on_read_back();
  void look();
  void forget_own_answer();
  void try_again();

  // local_statements.cpp
  bool is_local(const routing::StatementPart& part) const;
  std::optional<routing::Error> local_error(const routing::StatementPart& part) const;
  LocalReply run_local(const routing::StatementPart& part, const routing::AnalyzedStatement& statement,
                       const routing::Parameters& parameters);
  LocalReply run_local_in_transaction(const routing::StatementPart& part,
                                      const routing::AnalyzedStatement& statement);
  LocalReply set_hint(const routing::StatementPart& part, const routing::AnalyzedStatement& statement,
                      const routing::Parameters& parameters);
  void append_local(const LocalReply& reply);
  void answer_here(const LocalReply& reply);

  // copying.cpp
  Intake on_copy_frame(char type, std::string_view body);
  bool is_unrouted_copy(const routing::AnalyzedStatement& statement) const;
  bool is_read_only() const;
  static routing::Error read_only_copy_error();
  void begin_copy(const routing::CopyTarget& target, routing::ShardId shard);
  void begin_unrouted_copy(const routing::AnalyzedStatement& statement, bool is_extended);
  void route_copy();
  void check_copy_rows(std::string_view bytes);
  void forward_copy_bytes(std::string_view bytes);
  void fail_copy(const routing::Error& error);
  void end_unrouted_copy(char type, std::string_view body);

  // session_ending.cpp
  Verdict on_abandoned_body(char type, std::string_view body);
  void on_abandoned_ready(char status);

  SessionEnvironment& environment_;
  Outbox& outbox_;
  std::shared_ptr<const routing::CatalogSnapshot> catalog_;  // one snapshot per transaction
  Phase phase_ = Phase::kWelcome;
  ServerLeg leg_;
  Transaction transaction_;
  ClientView view_;
  ClientStatements statements_;
  Attempt attempt_;
  std::unique_ptr<CopyIn> copy_;  // most clients never do
  Waiting waiting_;
  Group group_;
  ServerPortals portals_;
  Fence fence_;
  Analysis analysis_;
  StatementTimes times_;
  int last_shard_ = -1;
  bool is_shutting_down_ = false;
};

}  // namespace mosaic::proxy
