#pragma once
// The parameters a client has SET, kept true over server connections: what it asked for at start-up, what it
// set since, and how transactions and savepoints roll such changes back. Values are tagged: "R" + the raw
// value (start-up, bound parameters), "S" + SQL as written behind SET, "C" + the SQL literal given to
// set_config.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pool/postgres/name_values.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/route.h"

namespace mosaic::proxy {

// A change that takes effect when the server has confirmed the statement that makes it.
struct SettingEffect {
  enum class Kind : uint8_t { kSet, kReset, kResetAll, kSavepoint, kRollbackTo, kPin, kDdl };
  Kind kind = Kind::kSet;
  size_t part = 0;    // of a multi-statement query: which CommandComplete confirms it
  std::string name;   // setting or savepoint
  std::string value;  // tagged, see above
};

class ClientSettings {
 public:
  explicit ClientSettings(pool::NameValuesTable& tables);
  void start(const std::vector<std::pair<std::string, std::string>>& startup_settings);

  const pool::NameValuesRef& wanted() const { return wanted_; }
  // The search_path that the client has set, as routing::NameScope takes it; empty: none.
  std::string search_path() const;
  // Applies a confirmed effect. `server`: the settings of the server session it ran on, changed alike.
  // `seen`: the parameters as the client knows them, from before the effect.
  void apply(const SettingEffect& effect, pool::NameValuesRef& server, const pool::NameValuesRef& seen);
  // The statement that makes `server` like wanted(), appended as SQL text; nothing when they are alike.
  std::string statement_to_reach(const pool::NameValuesRef& server) const;

  // The statement that makes the change of a kSet, kReset or kResetAll.
  static std::string statement_of(const SettingEffect& effect);

  // Transaction ends. `server` as in apply(); null when there is none any more.
  void commit();
  void roll_back(pool::NameValuesRef* server);
  bool has_marks() const { return !marks_.empty(); }
  // The parameters that the client sees again when the transaction fails now: those of the latest savepoint.
  // Null: nothing was changed.
  const pool::NameValuesRef* seen_when_failed() const {
    return marks_.empty() ? nullptr : &marks_.back().seen;
  }
  // The transaction begins on this server only now, with these settings: what a rollback leaves there.
  void rebase(const pool::NameValuesRef& server);
  void reset_all();  // DISCARD ALL

  // SET mosaic.shard / mosaic.<key>.
  void set_hint(std::string name, std::string value, bool is_local);
  void reset_hint(std::string_view name);
  routing::Hint hint() const;

 private:
  struct Mark {
    std::string savepoint;  // empty: the transaction's start
    pool::NameValuesRef wanted, server, seen;
    std::vector<std::pair<std::string, std::string>> hints;
  };
  void mark_start(const pool::NameValuesRef& server, const pool::NameValuesRef& seen);

  pool::NameValuesTable& tables_;
  pool::NameValuesRef startup_;
  pool::NameValuesRef wanted_;
  std::vector<Mark> marks_;
  std::vector<std::pair<std::string, std::string>> hints_;        // of the session
  std::vector<std::pair<std::string, std::string>> local_hints_;  // of the transaction
};

}  // namespace mosaic::proxy
