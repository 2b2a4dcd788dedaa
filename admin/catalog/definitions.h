#pragma once
// What users have defined on the nodes beside their tables' columns, as far as routing and sessions depend on
// it: what functions, triggers and views may leave in a session, and which names in other schemas stand
// before a listed table. Read from the live nodes, never kept on disk.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/catalog/catalog_state.h"
#include "admin/config/config.h"
#include "admin/postgres/connection.h"
#include "routing/postgres/function_classes.h"
#include "routing/result.h"

namespace mosaic::admin {

struct Definitions {
  std::shared_ptr<const routing::FunctionClasses> functions;  // null: not read
  std::map<std::string, std::vector<std::string>>
      namesakes;  // listed table -> other schemas that have its name
  std::map<std::string, std::string, std::less<>> search_paths;  // role -> its default; "": everybody's
  uint64_t as_of = 0;  // the count of schema changes through this process when they were read

  // What a snapshot depends on; `as_of` is not part of it.
  bool is_same(const Definitions& other) const;
};

// Reads them from the default node, from nodes that have pinned tables, and from one that has a shard.
// Blocking; one thread at a time. Keeps its connections between calls.
class DefinitionReader {
 public:
  // `stop` may be null and must outlive the reader.
  DefinitionReader(const Config& config, const StopSignal* stop);

  // Errors name the node. A second call costs the queries, and reads sources only where something has
  // changed.
  routing::Result<Definitions> read(const CatalogState& state);

 private:
  struct NodeRows {
    uint64_t digest = 0;
    std::vector<routing::Definition> definitions;
    std::vector<std::string> plain_builtins;
  };

  routing::Result<Connection*> connect(const std::string& node);
  routing::Result<Definitions> read_nodes(const std::vector<std::string>& nodes, const CatalogState& state);
  routing::Status read_node(const std::string& node, const CatalogState& state);
  routing::Status read_names(Connection& connection, const CatalogState& state, Definitions& definitions);

  const Config& config_;
  const StopSignal* stop_;
  std::map<std::string, Connection> connections_;
  std::map<std::string, NodeRows> rows_;
  uint64_t digest_ = 0;  // of all nodes' rows, when functions_ was made
  std::shared_ptr<const routing::FunctionClasses> functions_;
};

// For a process that starts: nothing, with a warning in the log, where a node can not be read. Statements are
// then taken to leave anything behind until the watcher has read them.
Definitions read_definitions_once(const Config& config, const CatalogState& state);

}  // namespace mosaic::admin
