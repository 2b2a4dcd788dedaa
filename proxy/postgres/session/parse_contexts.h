#pragma once
// Under which settings a server parsed a statement that it keeps. PostgreSQL reads constants when it parses:
// '2024-05-06 07:00'::timestamptz is another instant in another time zone, '01/02/2024'::date another day in
// another date style. So what one client had parsed must not serve another with other settings. Pure; one per
// worker.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pool/postgres/name_values.h"

namespace mosaic::proxy {

// Whether a setting decides what constants mean. search_path and roles are not among them: PostgreSQL itself
// parses again when they have changed (PostgreSQL, RevalidateCachedQuery() in plancache.c).
bool affects_parsing(std::string_view setting);

class ParseContexts {
 public:
  // `first_id` > 0, `id_step`: so that several workers never give the same id; connections move between them.
  ParseContexts(uint32_t first_id, uint32_t id_step) : next_id_(first_id), id_step_(id_step) {}

  // Equal only for settings that parse alike; 0 when none of those is set.
  uint32_t id_of(const pool::NameValues& settings);
  size_t size() const { return ids_.size(); }

 private:
  // Ids are not given twice: a client that sets a thousand time zones only makes servers parse again.
  static constexpr size_t kEntriesMax = 1024;
  uint32_t next_id_, id_step_;
  std::string key_;  // scratch
  std::unordered_map<std::string, uint32_t> ids_;
};

}  // namespace mosaic::proxy
