#include "proxy/postgres/session/client_statements.h"

#include <algorithm>
#include <utility>

namespace mosaic::proxy {

ClientStatements::~ClientStatements() {
  drop_portals();
  keep(owed_undo_);
  for (auto& [name, statement] : names_) cache_.release(*statement);
}

PreparedStatement* ClientStatements::find(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

void ClientStatements::release(PreparedStatement* statement) {
  if (statement != nullptr) cache_.release(*statement);
}

void ClientStatements::assign(std::string_view name, PreparedStatement* statement,
                              std::vector<NameChange>* undo) {
  PreparedStatement* before = nullptr;
  const auto at = names_.find(name);
  if (at != names_.end()) {
    before = at->second;
    bytes_ -= before->bytes_of_name();
    if (statement != nullptr) {
      at->second = statement;
    } else {
      names_.erase(at);
    }
  } else if (statement != nullptr) {
    names_.emplace(name, statement);
  }
  if (statement != nullptr) bytes_ += statement->bytes_of_name();
  if (undo != nullptr) {
    undo->push_back({std::string(name), before});
  } else {
    release(before);
  }
}

void ClientStatements::drop_all(std::vector<NameChange>* undo) {
  for (auto at = names_.begin(); at != names_.end();) {
    if (at->first.empty()) {  // the unnamed one is not among them (PostgreSQL, prepare.c)
      ++at;
      continue;
    }
    bytes_ -= at->second->bytes_of_name();
    if (undo != nullptr) {
      undo->push_back({at->first, at->second});
    } else {
      release(at->second);
    }
    at = names_.erase(at);
  }
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

LocalPortal* ClientStatements::find_portal(std::string_view name) {
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

void ClientStatements::drop_portals() {
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
