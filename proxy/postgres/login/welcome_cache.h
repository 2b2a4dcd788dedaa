#pragma once
// Which server parameters (ParameterStatus) a user's client with certain start-up settings begins with: asked
// of a server once, then answered from here, so that logins need no server connection. Each user has answers
// of his own: session_authorization and is_superuser are among them, and ALTER ROLE .. SET gives a role any
// other. One per worker, bounded.

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "pool/postgres/name_values.h"

namespace mosaic::proxy {

class WelcomeCache {
 public:
  // Null when not known. `settings`: without application_name, which is the client's own affair.
  pool::NameValuesRef find(std::string_view user, const pool::NameValuesRef& settings) const {
    const auto found = parameters_.find(Key(user, settings));
    return found == parameters_.end() ? nullptr : found->second;
  }
  void store(std::string_view user, const pool::NameValuesRef& settings, pool::NameValuesRef parameters) {
    if (parameters_.size() >= kEntriesMax) parameters_.clear();
    parameters_[Key(user, settings)] = std::move(parameters);
  }
  void clear() { parameters_.clear(); }

 private:
  static constexpr size_t kEntriesMax = 1024;
  using Key = std::pair<std::string, pool::NameValuesRef>;  // equal sets of settings are one object
  std::map<Key, pool::NameValuesRef> parameters_;
};

}  // namespace mosaic::proxy
