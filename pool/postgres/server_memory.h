#pragma once
// What the PostgreSQL session behind a server connection remembers from one transaction to the next, as far
// as Mosaic knows. Plain data: sessions read and update it, the pool carries it along. No I/O.

#include <cstdint>
#include <optional>
#include <vector>

#include "pool/postgres/name_values.h"
#include "pool/postgres/statement_list.h"
#include "routing/ids.h"

namespace mosaic::pool {

struct ServerMemory {
  routing::NodeId node;
  StatementList statements;             // named prepared statements
  std::vector<StatementKey> to_close;   // prepared, no longer wanted: closed with the next message
  std::optional<StatementKey> unnamed;  // what the unnamed statement holds, when it is ours to know
  uint32_t parses_when_full = 0;        // of clients' unnamed statements while `statements` was full
  NameValuesRef settings;               // SETs applied by us, by name
  NameValuesRef parameters;             // as reported by ParameterStatus
  bool has_used_sequences = false;      // currval() and lastval() know values of an earlier client
  uint32_t process_id = 0;
};

}  // namespace mosaic::pool
