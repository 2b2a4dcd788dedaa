#include "pool/postgres/name_values.h"

#include <algorithm>

namespace mosaic::pool {

namespace {

// Above this many sets, those that nobody holds any more are dropped.
constexpr size_t kSetsKept = 1024;

std::string serialized(const NameValues::Entries& entries) {
  std::string text;
  for (const auto& [name, value] : entries) {
    text.append(name).push_back('\0');
    text.append(value).push_back('\0');
  }
  return text;
}

}  // namespace

const std::string* NameValues::find(std::string_view name) const {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  return at != entries_.end() && at->first == name ? &at->second : nullptr;
}

NameValuesTable::NameValuesTable() { empty_ = intern({}); }

NameValuesRef NameValuesTable::intern(NameValues::Entries entries) {
  std::sort(entries.begin(), entries.end());
  std::string key = serialized(entries);
  const auto found = sets_.find(key);
  if (found != sets_.end()) return found->second;
  if (sets_.size() >= kSetsKept) {
    std::erase_if(sets_, [](const auto& set) { return set.second.use_count() == 1; });
  }
  auto made = std::make_shared<const NameValues>(std::move(entries));
  sets_.emplace(std::move(key), made);
  return made;
}

NameValuesRef NameValuesTable::with(const NameValuesRef& base, std::string_view name,
                                    std::optional<std::string_view> value) {
  const std::string* present = base->find(name);
  if (value ? (present != nullptr && *present == *value) : present == nullptr) return base;
  NameValues::Entries entries = base->entries();
  std::erase_if(entries, [&](const auto& entry) { return entry.first == name; });
  if (value) entries.emplace_back(name, *value);
  return intern(std::move(entries));
}

}  // namespace mosaic::pool
