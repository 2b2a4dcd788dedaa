#pragma once
// Simple queries as prepared statements: the text with parameters in place of literals, and the Bind values
// that give it back (which literals: routing/postgres/sql/bindable_literals.h). Also tells which such texts
// come often enough that servers should keep their plans. Pure; one per worker.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "routing/byte_buffer.h"
#include "routing/postgres/router.h"

namespace mosaic::proxy {

class QueryBinder {
 public:
  struct BoundQuery {  // points into the binder: valid until the next bind()
    std::string_view text;
    std::string_view types;   // of the parameters, as in a Parse message: four bytes each
    std::string_view values;  // a Bind message behind its names
  };

  // Null when no literal may stand as a parameter, or the statement is too long.
  const BoundQuery* bind(const routing::AnalyzedStatement& statement);
  // Counts one more use; true from the `threshold`th on, while uses of others have not pushed it out.
  bool is_familiar(const BoundQuery& query, uint32_t threshold);

 private:
  // Beyond these a plan of one's own saves little.
  static constexpr size_t kTextBytesMax = 4096;
  static constexpr size_t kParametersMax = 100;

  // How often texts came, of the frequent ones (after Misra and Gries, "Finding Repeated Elements", 1982):
  // who finds no counter of its own takes one away from the smallest of its set.
  struct Counter {
    uint64_t hash = 0;
    uint32_t uses = 0;
  };
  static constexpr size_t kSets = 2048, kWays = 2;
  static constexpr uint32_t kUsesMax = 1'000'000;  // more are as good as this: pushed out in the end

  bool append_value(std::string_view token, routing::TokenKind kind, routing::Reading reading);

  BoundQuery query_;
  std::string text_, types_, scratch_;
  routing::ByteBuffer values_;
  std::array<Counter, kSets * kWays> counters_{};
};

}  // namespace mosaic::proxy
