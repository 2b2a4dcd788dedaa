#pragma once
// The arguments of SQL's EXECUTE as the parameters that they are to the statement it names: what route()
// needs to route that one, and a session to bind it.

#include <string>
#include <vector>

#include "routing/postgres/router.h"

namespace mosaic::routing {

class ExecuteArguments {
 public:
  ExecuteArguments(ExecuteArguments&&) noexcept = default;
  ExecuteArguments& operator=(ExecuteArguments&&) noexcept = default;

  // `statement`: one part of it is `part`, of kind kExecute. `outer`: the parameters of the EXECUTE itself,
  // which must outlive this. Values are taken as they are written, in UTF8; NULL is one. An expression that
  // is neither a literal nor a parameter is_computed: who needs it as a key is refused (kUnusableKey).
  // Errors: kUnusableKey and 22P05, for literals that can not be read.
  static Result<ExecuteArguments> read(const AnalyzedStatement& statement, const StatementPart& part,
                                       const Parameters& outer,
                                       ClientEncoding encoding = ClientEncoding::kUtf8);

  // Valid as long as this object is.
  Parameters parameters() const { return Parameters(std::span<const Parameter>(values_)); }
  // All have a value, so that a Bind message could carry them.
  bool has_all_values() const;

 private:
  ExecuteArguments() = default;

  std::vector<std::string> texts_;  // what `values_` point to; as many as there are, so that none moves
  std::vector<Parameter> values_;
};

// What stands in `range`, as written: a view of the statement's text.
std::string_view text_of(const AnalyzedStatement& statement, TokenRange range);

}  // namespace mosaic::routing
