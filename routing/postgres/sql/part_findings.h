#pragma once
// What the analysis of one statement has found so far - tables, terms, which uses follow from which, splices,
// functions - and the conclusion: the part's placement. The analyses add, finish() concludes.

#include <string>
#include <utility>
#include <vector>

#include "routing/postgres/sql/parse_tree.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/postgres/sql/statement_source.h"

namespace mosaic::routing {

enum class Access : uint8_t { kRead, kWrite };

class PartFindings {
 public:
  PartFindings(StatementSource& source, StatementPart& part) : source_(source), part_(part) {}
  PartFindings(const PartFindings&) = delete;
  PartFindings& operator=(const PartFindings&) = delete;

  StatementSource& source() { return source_; }
  const CatalogSnapshot& catalog() const { return source_.catalog(); }
  StatementPart& part() { return part_; }

  // A table's name in the statement. Sharded tables become a use, whose index is returned, and a splice; -1
  // for all others.
  int add_table(const PgQuery__RangeVar& name, Access access);
  void add_function(const PgQuery__FuncCall& call);
  // A cast to regclass and the like reads the system catalogs.
  void add_cast(const PgQuery__TypeName& type);
  // b of a.b, which may be a function's name.
  void add_name_behind_dot(std::string_view name);
  // An operator may be a function of a user's.
  void add_operator(NodeList name);
  void add_traces(Traces traces);
  // The tokens from the one at `location` that write a name of `part_count` parts: replaced by schema.name.
  void add_splice(int32_t location, size_t part_count, std::string_view name);

  const Table& table_of(int use) const { return catalog().tables()[part_.uses[use].table]; }
  void add_term(int use, KeyTerm term);
  // Rows of `to` matter only where they are on the shard of rows of `from`.
  void add_edge(int from, int to) { edges_.emplace_back(from, to); }
  void refuse(Error error);
  void add_lock() { has_locks_ = true; }
  void add_write() { has_writes_ = true; }

  bool has_sharded_table() const { return !part_.uses.empty(); }
  // Something other than tables was named whose shard only a hint can tell (next_id()).
  bool needs_shard() const { return !part_.uses.empty() || calls_next_id_; }
  const std::vector<std::string>& written_tables() const { return written_tables_; }

  // Completes terms along the edges and sets placement, is_read and is_free. Call once, last.
  void finish();

 private:
  enum class TableClass : uint8_t { kListed, kDefault, kCatalog, kTemporary, kShardSchema };
  TableClass classify(const PgQuery__RangeVar& name) const;
  void add_listed_table(int table, const PgQuery__RangeVar& name, Access access);
  void add_call(std::string_view name, std::string_view schema, const PgQuery__FuncCall& call);
  // The statement may change a setting, and which one and to what only the server knows.
  void add_untold_setting();
  void propagate_terms();
  void place();
  void place_sharded();
  void place_pinned();

  StatementSource& source_;
  StatementPart& part_;
  std::vector<std::pair<int, int>> edges_;
  std::vector<int> pinned_tables_;
  std::vector<std::string> written_tables_;
  std::string default_table_;      // the first one seen
  std::string reference_written_;  // the first one seen
  bool has_reference_ = false;
  bool has_catalog_ = false;
  bool has_unknown_function_ = false;
  bool has_session_unlock_ = false;
  bool calls_next_id_ = false;
  bool has_locks_ = false;
  bool has_writes_ = false;
};

// An identifier as it must be written: quoted unless it is a plain lower-case word that is no keyword of
// ours.
std::string identifier_behind_schema(std::string_view name);

}  // namespace mosaic::routing
