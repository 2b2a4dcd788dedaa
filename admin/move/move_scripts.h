#pragma once
// The SQL of a move, as text. Every object has a name made of the move's number, so that whoever goes on with
// a move, or clears up behind it, needs no memory of what was made.

#include <string>
#include <string_view>
#include <vector>

#include "admin/move/move_row.h"

namespace mosaic::admin {

// Forward: from the source to the target. Back: the other way, behind the switch.
enum class Way : uint8_t { kForward, kBack };

class MoveScripts {
 public:
  // `schema`: of the shard, `catalog_schema`: where Mosaic's own objects are on every node.
  MoveScripts(const MoveRow& row, std::string schema, std::string catalog_schema);

  // "mosaic_m7_": how the names of all its objects begin.
  const std::string& prefix() const { return prefix_; }
  uint64_t move() const { return row_.id; }
  // Publication, slot, subscription, table of markers and channel of one way.
  std::string lane(Way way) const { return prefix_ + (way == Way::kForward ? "f" : "r"); }
  std::string lane_table(Way way) const;
  std::string quoted_schema() const;
  std::string table(const std::string& name) const;  // with the schema, quoted

  // --- on either node ---
  // From then on only the mover with this lease changes anything of the move there.
  std::string guard(uint64_t lease) const;
  // To begin a transaction with; fails with MZ002 for another mover.
  std::string begin_guarded(uint64_t lease) const;
  std::string fence_function(bool is_closed) const;
  std::string fence_trigger(const std::string& table) const;
  std::string marker_table(Way way, bool is_receiving) const;
  std::string publication(Way way) const;
  std::string subscription(Way way, const std::string& connection_text) const;

  // --- the cutover ---
  // Begins the transaction that close() ends: from here on no definition of the tables changes. Answers with
  // fingerprint(). Makes no writer wait.
  std::string look(uint64_t lease, uint32_t lock_timeout_ms) const;
  // SELECT of one row: relations in the schema, so that none is left behind that was made since.
  std::string count_relations() const;
  // Answers with count_relations(). mark() is what is left of it without a fence.
  std::string mark(const std::string& marker, Way way) const;
  std::string close(const std::string& marker, Way way) const;
  // `values`: of the sequences, as read_sequences() gives them; empty: they stay. Answers with the log's
  // position behind it.
  std::string open(uint64_t lease, const std::string& values) const;
  // Likewise, and rolled back.
  std::string try_to_open(uint64_t lease) const;
  // As if it had never been closed.
  std::string reopen(uint64_t lease) const;
  // SELECT of process and begin: transactions of several statements that have used the shard. `with_active`:
  // a statement that runs may be the last of one, or the only one.
  std::string open_transactions(bool with_active) const;
  // Ready to be opened: only the schema's use is refused, and writes.
  std::string close_again(uint64_t lease) const;
  // To whoever has prepared a statement before as well.
  std::string refuse_reads(uint64_t lease) const;
  // SELECT of one row: "SELECT setval(..), setval(..)" for the other side; empty when there are none.
  std::string read_sequences() const;
  // SELECT of one row: a digest of all definitions in the schema.
  std::string fingerprint() const;

 private:
  std::string lock(const char* mode) const;

  const MoveRow& row_;
  std::string schema_, catalog_, prefix_;
};

// Queries of a shard's schema on its node; $1 is the schema.
extern const std::string_view kMoveTablesQuery;     // name, bytes, pages, is_binary, key columns
extern const std::string_view kMoveSequencesQuery;  // name
extern const std::string_view kMoveRevokesQuery;    // statements that would take each privilege in it away
extern const std::string_view
    kMoveGrantsQuery;  // grant_use, revoke_use, grant_write, revoke_write, grant_read, revoke_read

}  // namespace mosaic::admin
