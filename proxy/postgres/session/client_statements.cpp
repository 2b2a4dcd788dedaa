#include "proxy/postgres/session/client_statements.h"

#include <algorithm>
#include <utility>

namespace mosaic::proxy {

ClientStatements::~ClientStatements() {
  drop_portals();
  keep(owed_undo_);
  for (auto& [name, statement] : names_) cache_.release(*statement);
  release(unnamed_);
}

PreparedStatement* ClientStatements::find_named(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

void ClientStatements::release(PreparedStatement* statement) {
  if (statement != nullptr) cache_.release(*statement);
}

PreparedStatement* ClientStatements::exchange(std::string_view name, PreparedStatement* statement) {
  if (name.empty()) return std::exchange(unnamed_, statement);
  const auto at = names_.find(name);
  if (at == names_.end()) {
    if (statement != nullptr) names_.emplace(name, statement);
    return nullptr;
  }
  PreparedStatement* before = at->second;
  if (statement != nullptr) {
    at->second = statement;
  } else {
    names_.erase(at);
  }
  return before;
}

void ClientStatements::assign(std::string_view name, PreparedStatement* statement,
                              std::vector<NameChange>* undo) {
  PreparedStatement* before = exchange(name, statement);
  if (before != nullptr) bytes_ -= before->bytes_of_name();
  if (statement != nullptr) bytes_ += statement->bytes_of_name();
  if (undo != nullptr) {
    undo->push_back({std::string(name), before});
  } else {
    release(before);
  }
}

// The unnamed one is not among them (PostgreSQL, prepare.c).
void ClientStatements::drop_all(std::vector<NameChange>* undo) {
  for (auto& [name, statement] : names_) {
    bytes_ -= statement->bytes_of_name();
    if (undo != nullptr) {
      undo->push_back({name, statement});
    } else {
      release(statement);
    }
  }
  names_.clear();
}

void ClientStatements::take_back(std::vector<NameChange>& changes) {
  while (!changes.empty()) {
    NameChange change = std::move(changes.back());
    changes.pop_back();
    assign(change.name, change.before, nullptr);
  }
}

void ClientStatements::keep(std::vector<NameChange>& changes) {
  for (const NameChange& change : changes) release(change.before);
  changes.clear();
}

LocalPortal* ClientStatements::find_among_portals(std::string_view name) {
  const auto found =
      std::find_if(portals_.begin(), portals_.end(), [&](const LocalPortal& p) { return p.name == name; });
  return found == portals_.end() ? nullptr : &*found;
}

LocalPortal& ClientStatements::add_portal(std::string_view name, PreparedStatement& statement,
                                          std::string_view parameters) {
  cache_.retain(statement);
  return portals_.emplace_back(
      LocalPortal{std::string(name), &statement, std::string(parameters), false, false});
}

void ClientStatements::drop_portal(std::string_view name) {
  for (auto at = portals_.begin(); at != portals_.end(); ++at) {
    if (at->name != name) continue;
    cache_.release(*at->statement);
    portals_.erase(at);
    return;
  }
}

void ClientStatements::drop_all_portals() {
  for (const LocalPortal& portal : portals_) cache_.release(*portal.statement);
  portals_.clear();
}

size_t ClientStatements::portal_bytes() const {
  size_t bytes = 0;
  for (const LocalPortal& portal : portals_)
    bytes += sizeof portal + portal.name.size() + portal.parameters.size();
  return bytes;
}

}  // namespace mosaic::proxy
