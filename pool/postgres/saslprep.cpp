#include "pool/postgres/saslprep.h"

#include <stringprep.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace mosaic::pool {

std::string saslprep(std::string_view password) {
  const bool is_ascii = std::all_of(password.begin(), password.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  std::string text(password);
  // A zero can be no part of a password; libidn would read up to it.
  if (is_ascii || text.find('\0') != std::string::npos) return text;
  char* prepared = nullptr;
  const int status = stringprep_profile(text.c_str(), &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED);
  const std::unique_ptr<char, void (*)(void*)> owned(prepared, std::free);
  if (status != STRINGPREP_OK || prepared == nullptr || *prepared == '\0') return text;
  return prepared;
}

}  // namespace mosaic::pool
