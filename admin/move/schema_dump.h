#pragma once
// The definitions of one schema as SQL, by PostgreSQL's own pg_dump.

#include <string>

#include "admin/postgres/connection.h"
#include "admin/stop_signal.h"
#include "routing/result.h"

namespace mosaic::admin {

struct SchemaDump {
  std::string pre_data;   // schema, types, functions, tables, sequences, privileges
  std::string post_data;  // indexes, constraints, triggers, policies
};

// Errors: there is no pg_dump, what it says.
routing::Result<SchemaDump> dump_schema(const ConnectionTarget& node, const std::string& schema,
                                        const StopSignal& stop);

// Without the lines that only psql understands (\restrict, which minor releases of 2025 and later write).
std::string without_psql_commands(const std::string& script);

// "host='..' port='..' ..." for programs and subscriptions that connect to the node by themselves.
std::string connection_text(const ConnectionTarget& node, bool with_password);

}  // namespace mosaic::admin
