#pragma once
// What Mosaic knows about PostgreSQL's own functions: which of them change nothing, so that a statement that
// calls them may run on any node. A function that is not known may do anything.

#include <cstdint>
#include <string_view>

namespace mosaic::routing {

enum class FunctionTrait : uint8_t {
  kUnknown,        // may write, or read tables that live somewhere else
  kPlain,          // changes nothing, and every node answers alike
  kCatalog,        // changes nothing; reads the node's system catalogs
  kSessionLock,    // takes a lock that the session holds until it gives it back
  kSessionUnlock,  // gives such locks back
};

// `name`: unqualified, as the grammar folds it.
FunctionTrait find_function_trait(std::string_view name);

}  // namespace mosaic::routing
