#pragma once
// What the analysis of a statement's *shape* found, once for all statements that differ only in their
// literals: what kind of statement it is, where its shard keys stand, and at which tokens table names must be
// qualified. A plan holds no literal, no shard and no node. Value type: copies are independent.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "routing/postgres/client_encoding.h"
#include "routing/postgres/sql/traces.h"
#include "routing/result.h"
#include "routing/shard_function.h"

namespace mosaic::routing {

enum class StatementKind : uint8_t {
  kEmpty,
  kQuery,     // SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE, MERGE, and EXPLAIN of these
  kCopyIn,    // COPY t FROM STDIN
  kCopyOut,   // COPY ... TO STDOUT
  kBegin,     // BEGIN, START TRANSACTION
  kCommit,    // COMMIT, END
  kRollback,  // ROLLBACK, ABORT
  kSavepoint,
  kRelease,
  kRollbackTo,
  kPrepareTransaction,  // and COMMIT PREPARED, ROLLBACK PREPARED
  kSet,  // SET [SESSION|LOCAL] x = ..., SET TIME ZONE, and SELECT set_config('x', 'v', local) on its own
  kSetTransaction,  // SET TRANSACTION ..., SET SESSION CHARACTERISTICS
  kSetConstraints,  // SET CONSTRAINTS ...
  kReset,           // RESET x, RESET ALL, SET x TO DEFAULT
  kShow,            // SHOW x
  kDiscard,         // DISCARD ALL | PLANS | SEQUENCES | TEMP
  kDeallocate,      // DEALLOCATE [ALL | name]
  kPrepare,         // SQL-level PREPARE: for a session to carry out, route() refuses it
  kExecute,         // SQL-level EXECUTE, also in EXPLAIN: likewise
  kDdl,             // CREATE, ALTER, DROP, TRUNCATE, GRANT ... of tables and other objects
  kSessionState,    // LISTEN, UNLISTEN, LOAD, DECLARE ... WITH HOLD, CREATE TEMP: state that lives in one
                    // server session
  kUtility,  // anything else that PostgreSQL parses (NOTIFY, DO, CALL, LOCK, FETCH, CHECKPOINT, VACUUM ...)
  kInvalid,  // our parser rejects it: a server's own error is what the client should see
};

// Where a part may run, before any key is evaluated.
enum class Placement : uint8_t {
  kAnywhere,   // no table, or catalog tables only: any node answers alike
  kReference,  // reads reference tables only: any node answers alike
  kAllNodes,   // writes to a reference table, or DDL on a sharded table
  kPinned,     // on the node of a pinned table
  kDefault,    // default node (tables that the config does not list; unknown functions)
  kSharded,    // on one shard, which `uses` tell
};

// Where one key value stands in the statement.
struct KeySource {
  enum class Kind : uint8_t {
    kLiteral,         // token `index` is the literal
    kNegatedLiteral,  // token `index` is an integer literal behind a minus sign
    kParameter,       // parameter `index` (0 is $1)
    kLiteralArray,    // token `index` is an array literal: = ANY('{1,2}')
    kParameterArray,  // parameter `index` holds an array: = ANY($1)
  };
  Kind kind = Kind::kLiteral;
  uint32_t index = 0;
  bool operator==(const KeySource&) const = default;
};

// "this table's key (or ID) is one of these values".
struct KeyTerm {
  bool is_id = false;     // the values embed their shard; otherwise they are hashed
  bool is_every = false;  // every value gets a row (INSERT), so that all must be on the shard, not just one
  KeyType key_type = KeyType::kInt8;  // how to read the values
  std::vector<KeySource> any_of;
  // The values are assigned to a varchar(n) column: what is longer loses trailing blanks down to n characters
  // (PostgreSQL manual, Character Types). 0: compared, or no limit.
  uint32_t length_max = 0;
  bool operator==(const KeyTerm&) const = default;
};

// One appearance of a sharded table, with every term that binds it (all of them hold together).
struct TableUse {
  uint16_t table = 0;  // index into CatalogSnapshot::tables()
  bool is_written = false;
  bool repeats = false;         // an earlier use has the same terms: nothing to evaluate here
  std::vector<KeyTerm> terms;   // empty: nothing binds it; only a hint can
  std::vector<KeyTerm> checks;  // new values (UPDATE ... SET key = 5): must be on the shard that `terms` tell
  std::optional<Error> unbound;  // what to say instead of the general "no shard key" when `terms` is empty
};

// Tokens [token, token+count) are replaced by schema + "." + `name`.
struct Splice {
  uint32_t token = 0;
  uint32_t count = 1;
  std::string name;  // as it must be written (quoted where needed)
};

struct SettingChange {
  enum class Kind : uint8_t { kSet, kReset, kResetAll };
  Kind kind = Kind::kSet;
  std::string name;            // lower case; "timezone" for SET TIME ZONE, "mosaic.shard" for ours ...
  bool is_local = false;       // SET LOCAL
  bool is_set_config = false;  // the value is argument 2 of SELECT set_config(...): one literal or parameter
  uint32_t value_first = 0;    // tokens [value_first, value_last): the value list as written
  uint32_t value_last = 0;
  std::optional<KeySource> value_parameter;  // set_config($1, $2, false): where the value is bound
};

struct CopyTarget {
  uint16_t table = 0;                 // index into CatalogSnapshot::tables(), sharded tables only
  KeyType key_type = KeyType::kInt8;  // of that table
  bool is_sharded = false;
  enum class Format : uint8_t { kText, kCsv, kBinary } format = Format::kText;
  char delimiter = '\t';
  char quote = '"';
  char escape = '"';
  std::string null_text = "\\N";
  bool has_header = false;
  int column_count = 0;  // columns per row; 0: unknown (no column list and the table's columns are unknown)
  int key_column = -1;   // position of the shard key in each row; -1: not among the columns
  std::optional<ClientEncoding> encoding;  // ENCODING '...', of text and csv; none: the client's
};

// Tokens [first, last) of the statement.
struct TokenRange {
  uint32_t first = 0;
  uint32_t last = 0;
  bool operator==(const TokenRange&) const = default;
};

// PREPARE name (types) AS statement. The name is the part's, folded as PostgreSQL folds it.
struct PrepareTarget {
  TokenRange name;   // as written
  TokenRange types;  // between the parentheses; empty: none are declared
  uint32_t type_count = 0;
  TokenRange statement;          // behind AS
  uint32_t parameter_count = 0;  // the declared types, or the highest $n where that is more
};

// EXECUTE name (arguments); the name is the part's.
struct ExecuteCall {
  struct Argument {
    TokenRange text;                 // the expression as written
    std::optional<KeySource> value;  // a literal or parameter; none: only the server can tell the value
    uint32_t type_oid = 0;           // what its value is: int8, uuid, or 0 for what any type's input may read
  };
  std::vector<Argument> arguments;
  TokenRange command;         // from EXECUTE on
  TokenRange name;            // as written
  bool is_explained = false;  // stands in EXPLAIN
};

struct StatementPart {
  StatementKind kind = StatementKind::kEmpty;
  Placement placement = Placement::kAnywhere;
  bool is_read = false;  // changes nothing and locks nothing
  bool is_free = false;  // may run outside the client's open transaction with the same result: catalog reads,
                         // SHOW, SELECT of constants and of well-known stable functions, reference reads
  Traces traces;  // what the functions, triggers, defaults and views that the statement runs may leave behind
  Pins pins;      // state that the client keeps its server for, from the statement's completion on
  // Settings that set_config() amid the statement may have changed: what they are now, only the server can
  // tell.
  std::vector<std::string> untold_settings;
  // The statement may end a reason to keep the server: UNLISTEN, CLOSE, DROP, DISCARD, pg_advisory_unlock(),
  // and all that may do anything. Whether it did, only the server can tell.
  bool may_release_pins = false;
  uint32_t first_token = 0;  // the part's tokens, without the semicolon
  uint32_t last_token = 0;
  uint16_t pinned_table = 0;       // kPinned: index into CatalogSnapshot::tables()
  bool uses_default_node = false;  // kPinned: also touches tables that live on the default node only
  bool follows_hint = false;  // kDefault for want of knowledge (functions, DO, CALL): a hint may say better
  std::optional<Error> one_node_only;  // writes a reference table: what to say while there are several nodes
  std::vector<TableUse> uses;
  std::vector<Splice> splices;     // in token order
  std::vector<uint32_t> bindable;  // tokens of literals that a parameter may stand for, ascending; none in a
                                   // text of several statements
  std::string name;             // savepoint, prepared statement (empty: ALL), SHOWn variable, DISCARDed thing
  bool is_chained = false;      // COMMIT or ROLLBACK ... AND CHAIN
  bool names_modes = false;     // BEGIN with a level, READ ONLY, DEFERRABLE ...
  bool keeps_snapshot = false;  // among them REPEATABLE READ or SERIALIZABLE: reads share a snapshot
  bool closes_portals = false;  // CLOSE ALL
  std::optional<SettingChange> setting;
  std::optional<CopyTarget> copy;
  std::optional<PrepareTarget> prepare;
  std::optional<ExecuteCall> execute;
  std::optional<Error> refusal;  // never routable, whatever the keys: why, and what to write instead

  bool pins_session() const { return !pins.is_empty(); }
  // PostgreSQL's TransactionStmt (IsTransactionStmtList() in postgres.c).
  bool is_transaction_control() const {
    switch (kind) {
      case StatementKind::kBegin:
      case StatementKind::kCommit:
      case StatementKind::kRollback:
      case StatementKind::kSavepoint:
      case StatementKind::kRelease:
      case StatementKind::kRollbackTo:
      case StatementKind::kPrepareTransaction:
        return true;
      default:
        return false;
    }
  }
  // The client's own: not COMMIT PREPARED.
  bool ends_transaction() const {
    return kind == StatementKind::kCommit || kind == StatementKind::kRollback ||
           (kind == StatementKind::kPrepareTransaction && placement != Placement::kDefault);
  }
  bool is_discard_all() const { return kind == StatementKind::kDiscard && (name.empty() || name == "all"); }
  // May leave state in the server session that Mosaic can not know exactly: before another client gets the
  // server, it is brought to rest. Sequences are a trace of their own, see `traces`.
  bool may_leave_traces() const { return traces.has(Trace::kUnknown); }
};

struct StatementPlan {
  std::vector<StatementPart> parts;  // `a; b; c`; one part for most, none for an empty query string
  uint32_t parameter_count = 0;      // highest $n
  // One query that is nothing to the session but rows: it changes no setting, leaves no trace and no pin,
  // runs nothing by name. Most are; what a session asks of all others it need not ask of these.
  bool is_plain = false;
  size_t bytes() const;  // memory held, for the cache's limit
};

}  // namespace mosaic::routing
