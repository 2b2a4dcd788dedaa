#include "routing/postgres/sql/client_encoding.h"

#include <algorithm>
#include <iterator>
#include <string>

namespace mosaic::routing {

bool is_safe_client_encoding(std::string_view name) {
  // As PostgreSQL compares names of encodings: letters and digits only, without case.
  std::string plain;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      plain += static_cast<char>(c + 32);
    } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      plain += c;
    }
  }
  static constexpr std::string_view kUnsafe[] = {
      "big5",   "gb18030", "gbk",    "johab",  "mskanji",    "shiftjis",   "shiftjis2004", "sjis",      "uhc",
      "win932", "win936",  "win949", "win950", "windows932", "windows936", "windows949",   "windows950"};
  return std::find(std::begin(kUnsafe), std::end(kUnsafe), plain) == std::end(kUnsafe);
}

}  // namespace mosaic::routing
