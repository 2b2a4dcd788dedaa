#pragma once
// What Mosaic knows about PostgreSQL's own functions: which of them change nothing, so that a statement that
// calls them may run on any node. A function that is not known may do anything.

#include <cstdint>
#include <string_view>

#include "routing/postgres/sql/traces.h"

namespace mosaic::routing {

enum class FunctionTrait : uint8_t {
  kUnknown,        // may write, read tables that live somewhere else, or leave anything in the session
  kPlain,          // changes nothing, and every node answers alike
  kCatalog,        // changes nothing; reads the node's system catalogs
  kEffect,         // acts on the database, the server or the transaction; leaves nothing in the session
  kSequence,       // nextval(), setval(): leaves what currval() and lastval() tell
  kSequenceRead,   // currval(), lastval()
  kSetting,        // set_config(): leaves a setting, unless its last argument is true
  kSessionLock,    // takes a lock that the session holds until it gives it back
  kSessionUnlock,  // gives such locks back
};

// `name`: unqualified, as the grammar folds it.
FunctionTrait find_function_trait(std::string_view name);

// What a call leaves in the session. A session lock does where the call fails as well: those that it got
// before stay.
Traces traces_of(FunctionTrait trait);
// The same for a call within a function's body, where nobody sees which locks or settings it is about.
Traces traces_inside_of_function(FunctionTrait trait);

}  // namespace mosaic::routing
