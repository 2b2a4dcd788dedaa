#pragma once
// The rows of reference tables, which are the same on every node: a node that is added gets them from the
// default node. Blocking.

#include <string>
#include <vector>

#include "admin/postgres/connection.h"
#include "routing/result.h"

namespace mosaic::admin {

// Of the reference tables those that are empty at `target` and are not at `source`, in the order in which
// foreign keys let them be filled. A table that is not there yet counts as empty. Errors: a table that has
// rows at `target`, and others than at `source`.
routing::Result<std::vector<std::string>> find_missing_rows(Connection& source, Connection& target,
                                                            const std::vector<std::string>& tables);

// Nobody writes the tables at `source` until its transaction, in which this is called, ends. Those that are
// not made yet are passed over.
routing::Status lock_reference_tables(Connection& source, const std::vector<std::string>& tables);

// Copies `tables`, with the counts of their sequences, within the transactions that both connections are in.
// Where the role may, no trigger and no foreign key of `target` has a say in it.
routing::Status copy_reference_rows(Connection& source, Connection& target,
                                    const std::vector<std::string>& tables);

}  // namespace mosaic::admin
