#pragma once
// Which server parameters (ParameterStatus) a client with certain start-up settings begins with: asked of a
// server once, then answered from here, so that logins need no server connection. One per worker, bounded.

#include <unordered_map>

#include "pool/postgres/name_values.h"

namespace mosaic::proxy {

class WelcomeCache {
 public:
  // Null when not known. `settings`: without application_name, which is the client's own affair.
  pool::NameValuesRef find(const pool::NameValuesRef& settings) const {
    const auto found = parameters_.find(settings);
    return found == parameters_.end() ? nullptr : found->second;
  }
  void store(const pool::NameValuesRef& settings, pool::NameValuesRef parameters) {
    if (parameters_.size() >= kEntriesMax) parameters_.clear();
    parameters_[settings] = std::move(parameters);
  }
  void clear() { parameters_.clear(); }

 private:
  static constexpr size_t kEntriesMax = 256;
  std::unordered_map<pool::NameValuesRef, pool::NameValuesRef> parameters_;  // equal sets are one object
};

}  // namespace mosaic::proxy
