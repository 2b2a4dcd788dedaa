#pragma once
// Who one client is, what it has asked for and been told: the settings it SET, kept true over server
// connections and rolled back with its transactions and savepoints, and the parameters that it has been
// shown. Values are tagged: "R" + the raw value (start-up, bound parameters, what a server reported), "S" +
// SQL as written behind SET, "C" + the SQL literal given to set_config. Pure; one per session.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pool/postgres/name_values.h"
#include "proxy/postgres/session/expectations.h"
#include "proxy/postgres/session/parse_contexts.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/client_encoding.h"
#include "routing/postgres/route.h"
#include "routing/postgres/sql/reading.h"

namespace mosaic::proxy {

class ClientView {
 public:
  struct Login {
    std::string user;
    uint32_t process_id = 0, secret = 0;  // of its cancel requests
  };

  explicit ClientView(pool::NameValuesTable& tables);
  void start(const std::vector<std::pair<std::string, std::string>>& startup_settings);

  // --- settings ---
  const pool::NameValuesRef& wanted() const { return wanted_; }
  // Of these settings.
  uint32_t parse_context(ParseContexts& contexts);
  // The search_path that the client has set, as routing::NameScope takes it; empty: none.
  std::string search_path() const;
  // What the open transaction began with: what another server must have before it is told the same.
  const pool::NameValuesRef& at_begin() const { return marks_.empty() ? wanted_ : marks_.front().wanted; }
  // Applies a confirmed effect. `server`: the settings of the server session that it ran on, changed alike;
  // null: no server has been told yet.
  void apply(const Effect& effect, pool::NameValuesRef* server);
  // A server that began like at_begin() has been told all that the transaction said.
  void follow(pool::NameValuesRef& server);
  void commit();
  void roll_back(pool::NameValuesRef* server);  // null: there is none any more
  bool has_marks() const { return !marks_.empty(); }
  bool has_savepoints() const { return !marks_.empty() && !marks_.back().savepoint.empty(); }
  void reset_all();  // DISCARD ALL
  // The client gave it at start-up, so that servers reset it to another value. "": any but application_name.
  bool has_start_up(std::string_view name) const;
  // What sets these again behind a RESET of `name`; "": RESET ALL.
  std::vector<std::string> start_up_statements(std::string_view name) const;
  // A setting was changed by other means than SET, and the server was asked for its value.
  void adopt(const std::string& name, const std::string& value, pool::NameValuesRef& server);
  // DateStyle is set in parts: what is kept is the whole that the server reported.
  void complete_date_style(pool::NameValuesRef& server, const pool::NameValuesRef& reported);

  // The statements that make a server with the settings `server` like `target`; empty when they are alike.
  static std::string statement_to_reach(const pool::NameValuesRef& server, const pool::NameValuesRef& target);
  // Those that take a server from one set of settings to another, as far as they decide what constants mean;
  // how text is read (routing::is_reading_setting) is left as it is. Null: none are set.
  static std::vector<std::string> parsing_changes(const pool::NameValues* from, const pool::NameValues* to);
  // The statement that makes the change of a kSet, kReset or kResetAll.
  static std::string statement_of(const Effect& effect);
  static std::string set_config_statement(std::string_view name, std::string_view value, bool is_local);

  // --- parameters that the client has been told ---
  const pool::NameValuesRef& told() const { return told_; }
  void set_told(pool::NameValuesRef parameters) {
    told_ = std::move(parameters);
    compared_.reset();
  }
  // Appends a ParameterStatus for each of `parameters` that differs from what the client knows.
  void tell(const pool::NameValuesRef& parameters, routing::ByteBuffer& out);

  // --- how its text is read, by the parameters that it has been told ---
  routing::Reading reading() const { return follow().reading; }
  routing::ClientEncoding encoding() const { return follow().encoding; }

  // --- SET mosaic.shard / mosaic.<key> ---
  void set_hint(std::string name, std::string value, bool is_local);
  void reset_hint(std::string_view name);
  routing::Hint hint() const;

  Login login;

 private:
  struct Mark {
    std::string savepoint;  // empty: the transaction's start
    pool::NameValuesRef wanted, server;
    std::vector<std::pair<std::string, std::string>> hints;
  };
  // Nearly always the parameters are the same object as before.
  struct Followed {
    pool::NameValuesRef parameters;
    routing::Reading reading;
    routing::ClientEncoding encoding = routing::ClientEncoding::kUtf8;
  };
  struct ParseContext {
    pool::NameValuesRef settings;
    uint32_t id = 0;  // of these
  };
  const Followed& follow() const;
  void mark_start(const pool::NameValuesRef& server);

  pool::NameValuesTable& tables_;
  pool::NameValuesRef startup_;
  pool::NameValuesRef wanted_;
  pool::NameValuesRef told_;
  pool::NameValuesRef compared_;  // a server's, of which the client has been told
  mutable Followed followed_;
  ParseContext parse_context_;
  std::vector<Mark> marks_;
  std::vector<std::pair<std::string, std::string>> hints_;        // of the session
  std::vector<std::pair<std::string, std::string>> local_hints_;  // of the transaction
};

}  // namespace mosaic::proxy
