// Any bytes as an auth file. The first byte chooses: the whole file, or one SCRAM secret (a file of plaintext
// passwords runs PBKDF2 for each, which is slow).

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/postgres/login/auth_file.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mosaic::proxy;
  if (size == 0 || size > 400) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if ((data[0] & 1) != 0) {
    const auto verifier = parse_scram_secret(text);
    if (verifier) require(verifier->iterations > 0 && !verifier->salt.empty());
    return 0;
  }
  const auto file = AuthFile::parse(text, ScramKey{});
  if (!file) {
    require(!file.error().detail.empty());
    return 0;
  }
  const ScramCredential unknown = file->credential_of("nobody has this name");
  require(!unknown.can_succeed && !unknown.verifier.salt.empty());
  // Reading the same file again with itself as the previous one changes nothing.
  const auto again = AuthFile::parse(text, ScramKey{}, &*file);
  require(again && again->size() == file->size() && again->warnings() == file->warnings());
  return 0;
}
