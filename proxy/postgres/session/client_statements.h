#pragma once
// The names that one client has given: its prepared statements, and the portals of statements that Mosaic
// answers itself. A name is given or taken as soon as its message is sent on, and given back when the message
// turns out to be skipped or to fail (NameChange). Also the Parse whose answer is owed: it is kept until the
// message behind it tells where it may go. One per session.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/postgres/session/expectations.h"
#include "proxy/postgres/session/statement_cache.h"

namespace mosaic::proxy {

struct LocalPortal {
  std::string name;
  PreparedStatement* statement;  // with a reference
  std::string parameters;        // the Bind message behind the names
  bool has_run = false;
  bool is_on_server = false;  // its name is taken there as well
};

class ClientStatements {
 public:
  explicit ClientStatements(StatementCache& cache) : cache_(cache) {}
  ~ClientStatements();
  ClientStatements(const ClientStatements&) = delete;
  ClientStatements& operator=(const ClientStatements&) = delete;

  size_t size() const { return names_.size() + (unnamed_ != nullptr ? 1 : 0); }
  size_t bytes() const { return bytes_; }  // of all names' statements, shared or not
  PreparedStatement* find(std::string_view name) const { return name.empty() ? unnamed_ : find_named(name); }

  // Gives `name` to a statement whose reference comes along, or takes it away (null). What the name stood for
  // goes into `undo`, or is released where that is null.
  void assign(std::string_view name, PreparedStatement* statement, std::vector<NameChange>* undo);
  void drop_all(std::vector<NameChange>* undo);  // with a name
  // Takes changes back, the last first.
  void take_back(std::vector<NameChange>& changes);
  // The changes have come true.
  void keep(std::vector<NameChange>& changes);

  // --- portals of statements that are answered here ---
  LocalPortal* find_portal(std::string_view name) {
    return portals_.empty() ? nullptr : find_among_portals(name);
  }
  LocalPortal& add_portal(std::string_view name, PreparedStatement& statement, std::string_view parameters);
  void drop_portal(std::string_view name);
  void drop_portals() {
    if (!portals_.empty()) drop_all_portals();
  }
  size_t portal_bytes() const;

  // --- the Parse that is owed ---
  PreparedStatement* owed() const { return owed_; }
  bool is_owed_unnamed() const { return is_owed_unnamed_; }
  // What its name stood for: goes along with the message that answers it.
  std::vector<NameChange>& owed_undo() { return owed_undo_; }
  void owe(PreparedStatement& statement, bool is_unnamed) {
    owed_ = &statement;
    is_owed_unnamed_ = is_unnamed;
  }
  void settle() {
    owed_ = nullptr;
    keep(owed_undo_);
  }
  // It is answered by what comes; what its name stood for goes along.
  std::vector<NameChange> give_up_owed() {
    owed_ = nullptr;
    return std::exchange(owed_undo_, {});
  }
  // It was skipped.
  void forget_owed() {
    owed_ = nullptr;
    take_back(owed_undo_);
  }

 private:
  struct NameHash {  // looks names up as they stand in messages
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  PreparedStatement* find_named(std::string_view name) const;
  LocalPortal* find_among_portals(std::string_view name);
  void drop_all_portals();
  // What `name` stands for from now on; returns what it stood for before.
  PreparedStatement* exchange(std::string_view name, PreparedStatement* statement);
  void release(PreparedStatement* statement);

  StatementCache& cache_;
  std::unordered_map<std::string, PreparedStatement*, NameHash, std::equal_to<>> names_;
  PreparedStatement* unnamed_ = nullptr;
  size_t bytes_ = 0;
  std::vector<LocalPortal> portals_;
  PreparedStatement* owed_ = nullptr;
  bool is_owed_unnamed_ = false;
  std::vector<NameChange> owed_undo_;
};

}  // namespace mosaic::proxy
