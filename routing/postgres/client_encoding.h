#pragma once
// The encodings that a client may send its bytes in (client_encoding), and the conversion of what routing
// compares by value to that of the database, UTF8: a key has one shard, whoever writes it. Pure functions;
// UTF8, which nearly all clients use, costs nothing.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "routing/result.h"

namespace mosaic::routing {

// PostgreSQL's (src/include/mb/pg_wchar.h, pg_enc), by what can be done with them.
enum class ClientEncoding : uint8_t {
  kUtf8,
  kSqlAscii,  // the server takes the bytes as they are
  // One byte for a character; in the order of kSingleByteCharacters.
  kLatin1,
  kLatin2,
  kLatin3,
  kLatin4,
  kLatin5,
  kLatin6,
  kLatin7,
  kLatin8,
  kLatin9,
  kLatin10,
  kIso8859Part5,
  kIso8859Part6,
  kIso8859Part7,
  kIso8859Part8,
  kWin1250,
  kWin1251,
  kWin1252,
  kWin1253,
  kWin1254,
  kWin1255,
  kWin1256,
  kWin1257,
  kWin1258,
  kWin866,
  kWin874,
  kKoi8r,
  kKoi8u,
  // Several bytes, none of them ASCII: statements are read rightly, but characters are not converted here.
  kEucJp,
  kEucCn,
  kEucKr,
  kEucTw,
  kEucJis2004,
  kMuleInternal,
  // Several bytes, of which the second can be a backslash or another ASCII character: only the server, which
  // converts before it parses, reads them rightly. PostgreSQL allows them for clients only.
  kSjis,
  kBig5,
  kGbk,
  kUhc,
  kGb18030,
  kJohab,
  kShiftJis2004,
  kUnknown,  // no name that PostgreSQL knows
};

// By a name or an alias as PostgreSQL takes them: letters and digits count, case does not ("iso-8859-1",
// 'unicode', "WIN936"; src/common/encnames.c, pg_char_to_encoding).
ClientEncoding find_client_encoding(std::string_view name);
// PostgreSQL's own name, as it reports it ("LATIN1").
std::string_view name_of(ClientEncoding encoding);

inline bool is_single_byte(ClientEncoding encoding) {
  return encoding >= ClientEncoding::kLatin1 && encoding <= ClientEncoding::kKoi8u;
}
// False: a text's bytes beyond ASCII can not be cut into tokens here. True for unknown names: the server
// refuses those.
inline bool is_safe(ClientEncoding encoding) {
  return encoding < ClientEncoding::kSjis || encoding == ClientEncoding::kUnknown;
}

bool is_ascii(std::string_view bytes);

// Characters of the client's encoding as UTF8: a view of `bytes` where they are the same, else of `scratch`.
// Errors: 22P05 as the server's for a byte without a character, kUnusableKey for encodings of several bytes.
Result<std::string_view> to_utf8(ClientEncoding encoding, std::string_view bytes, std::string& scratch);

}  // namespace mosaic::routing
