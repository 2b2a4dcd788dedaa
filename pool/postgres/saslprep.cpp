#include "pool/postgres/saslprep.h"

#include <stringprep.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

namespace mosaic::pool {

namespace {

// libidn's SASLprep but for the normalisation, which PostgreSQL does last: it looks for what is prohibited,
// not assigned or of mixed direction in the text as it was mapped.
const std::vector<Stringprep_profile>& map_and_check() {
  static const std::vector<Stringprep_profile> steps = [] {
    std::vector<Stringprep_profile> kept;
    const Stringprep_profile* step = stringprep_saslprep;
    for (; step->operation != 0; ++step) {
      if (step->operation != STRINGPREP_NFKC) kept.push_back(*step);
    }
    kept.push_back(*step);  // the list's end
    return kept;
  }();
  return steps;
}

// Unicode Corrigendum 4 mended five decompositions after Unicode 3.2, whose tables libidn has; PostgreSQL has
// the mended ones.
constexpr std::array<std::pair<uint32_t, uint32_t>, 5> kMended = {
    {{0x2f868, 0x36fc}, {0x2f874, 0x5f53}, {0x2f91f, 0x243ab}, {0x2f95f, 0x7aee}, {0x2f9bf, 0x45d7}}};

template <typename T>
using Owned = std::unique_ptr<T, void (*)(void*)>;

}  // namespace

std::string saslprep(std::string_view password) {
  const bool is_ascii = std::all_of(password.begin(), password.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  std::string text(password);
  // A zero can be no part of a password; libidn would read up to it.
  if (is_ascii || text.find('\0') != std::string::npos) return text;
  size_t count = 0;
  const Owned<uint32_t> characters(stringprep_utf8_to_ucs4(text.c_str(), -1, &count), std::free);
  if (!characters) return text;
  // Mapping removes characters or replaces one by one: the result is no longer.
  if (stringprep_4i(characters.get(), &count, count + 1, STRINGPREP_NO_UNASSIGNED, map_and_check().data()) !=
          STRINGPREP_OK ||
      count == 0) {
    return text;
  }
  for (size_t i = 0; i < count; ++i) {
    for (const auto& [from, to] : kMended) {
      if (characters.get()[i] == from) characters.get()[i] = to;
    }
  }
  const Owned<uint32_t> normal(stringprep_ucs4_nfkc_normalize(characters.get(), static_cast<ssize_t>(count)),
                               std::free);
  const Owned<char> prepared(normal ? stringprep_ucs4_to_utf8(normal.get(), -1, nullptr, nullptr) : nullptr,
                             std::free);
  return prepared ? prepared.get() : text;
}

}  // namespace mosaic::pool
