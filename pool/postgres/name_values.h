#pragma once
// Small immutable sets of name = value, shared by whoever holds the same ones: the settings a client asked
// for, the settings a server session has, the parameters a server reported. Equal sets are one object per
// worker, so that "does the next server differ?" is one comparison of pointers on the hot path.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mosaic::pool {

class NameValues {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;  // sorted by name, names unique

  explicit NameValues(Entries entries) : entries_(std::move(entries)) {}
  const Entries& entries() const { return entries_; }
  const std::string* find(std::string_view name) const;
  bool is_empty() const { return entries_.empty(); }

 private:
  Entries entries_;
};

using NameValuesRef = std::shared_ptr<const NameValues>;

// Makes equal sets one object. One per worker; not thread-safe.
class NameValuesTable {
 public:
  NameValuesTable();
  NameValuesRef empty() const { return empty_; }
  NameValuesRef intern(NameValues::Entries entries);
  // `base` with `name` set, or removed when `value` is empty.
  NameValuesRef with(const NameValuesRef& base, std::string_view name, std::optional<std::string_view> value);
  size_t size() const { return sets_.size(); }

 private:
  std::unordered_map<std::string, NameValuesRef> sets_;
  NameValuesRef empty_;
};

}  // namespace mosaic::pool
