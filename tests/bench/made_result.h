#pragma once
// A PGresult made by hand, as a server would have sent it: for tests of what reads results.

#include <string>
#include <vector>

#include "bench/workload/connection.h"

namespace mosaic::workload {

using MadeRows = std::vector<std::vector<std::string>>;

// Rows of `columns` text columns; without rows, an empty answer to a SELECT.
inline ResultPtr make_result(int columns, const MadeRows& rows) {
  ResultPtr result(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK));
  std::vector<std::string> names;
  for (int i = 0; i < columns; ++i) names.push_back("column" + std::to_string(i));
  std::vector<PGresAttDesc> attributes(static_cast<size_t>(columns));
  for (size_t i = 0; i < attributes.size(); ++i) {
    attributes[i] = {};
    attributes[i].name = names[i].data();
    attributes[i].typlen = -1;
  }
  PQsetResultAttrs(result.get(), columns, attributes.data());
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t column = 0; column < rows[row].size(); ++column) {
      std::string value = rows[row][column];
      PQsetvalue(result.get(), static_cast<int>(row), static_cast<int>(column), value.data(),
                 static_cast<int>(value.size()));
    }
  }
  return result;
}

}  // namespace mosaic::workload
