#include "routing/postgres/client_encoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "routing/postgres/single_byte_characters.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

using E = ClientEncoding;

static_assert(std::size(kSingleByteCharacters) ==
              static_cast<size_t>(E::kKoi8u) - static_cast<size_t>(E::kLatin1) + 1);

struct Name {
  std::string_view name;  // lower case, letters and digits only
  ClientEncoding encoding;
};

// src/common/encnames.c, pg_encname_tbl: in order, for a binary search.
constexpr std::array kNames = {
    Name{"abc", E::kWin1258},
    Name{"alt", E::kWin866},
    Name{"big5", E::kBig5},
    Name{"euccn", E::kEucCn},
    Name{"eucjis2004", E::kEucJis2004},
    Name{"eucjp", E::kEucJp},
    Name{"euckr", E::kEucKr},
    Name{"euctw", E::kEucTw},
    Name{"gb18030", E::kGb18030},
    Name{"gbk", E::kGbk},
    Name{"iso88591", E::kLatin1},
    Name{"iso885910", E::kLatin6},
    Name{"iso885913", E::kLatin7},
    Name{"iso885914", E::kLatin8},
    Name{"iso885915", E::kLatin9},
    Name{"iso885916", E::kLatin10},
    Name{"iso88592", E::kLatin2},
    Name{"iso88593", E::kLatin3},
    Name{"iso88594", E::kLatin4},
    Name{"iso88595", E::kIso8859Part5},
    Name{"iso88596", E::kIso8859Part6},
    Name{"iso88597", E::kIso8859Part7},
    Name{"iso88598", E::kIso8859Part8},
    Name{"iso88599", E::kLatin5},
    Name{"johab", E::kJohab},
    Name{"koi8", E::kKoi8r},
    Name{"koi8r", E::kKoi8r},
    Name{"koi8u", E::kKoi8u},
    Name{"latin1", E::kLatin1},
    Name{"latin10", E::kLatin10},
    Name{"latin2", E::kLatin2},
    Name{"latin3", E::kLatin3},
    Name{"latin4", E::kLatin4},
    Name{"latin5", E::kLatin5},
    Name{"latin6", E::kLatin6},
    Name{"latin7", E::kLatin7},
    Name{"latin8", E::kLatin8},
    Name{"latin9", E::kLatin9},
    Name{"mskanji", E::kSjis},
    Name{"muleinternal", E::kMuleInternal},
    Name{"shiftjis", E::kSjis},
    Name{"shiftjis2004", E::kShiftJis2004},
    Name{"sjis", E::kSjis},
    Name{"sqlascii", E::kSqlAscii},
    Name{"tcvn", E::kWin1258},
    Name{"tcvn5712", E::kWin1258},
    Name{"uhc", E::kUhc},
    Name{"unicode", E::kUtf8},
    Name{"utf8", E::kUtf8},
    Name{"vscii", E::kWin1258},
    Name{"win", E::kWin1251},
    Name{"win1250", E::kWin1250},
    Name{"win1251", E::kWin1251},
    Name{"win1252", E::kWin1252},
    Name{"win1253", E::kWin1253},
    Name{"win1254", E::kWin1254},
    Name{"win1255", E::kWin1255},
    Name{"win1256", E::kWin1256},
    Name{"win1257", E::kWin1257},
    Name{"win1258", E::kWin1258},
    Name{"win866", E::kWin866},
    Name{"win874", E::kWin874},
    Name{"win932", E::kSjis},
    Name{"win936", E::kGbk},
    Name{"win949", E::kUhc},
    Name{"win950", E::kBig5},
    Name{"windows1250", E::kWin1250},
    Name{"windows1251", E::kWin1251},
    Name{"windows1252", E::kWin1252},
    Name{"windows1253", E::kWin1253},
    Name{"windows1254", E::kWin1254},
    Name{"windows1255", E::kWin1255},
    Name{"windows1256", E::kWin1256},
    Name{"windows1257", E::kWin1257},
    Name{"windows1258", E::kWin1258},
    Name{"windows866", E::kWin866},
    Name{"windows874", E::kWin874},
    Name{"windows932", E::kSjis},
    Name{"windows936", E::kGbk},
    Name{"windows949", E::kUhc},
    Name{"windows950", E::kBig5},
};
static_assert(std::is_sorted(kNames.begin(), kNames.end(),
                             [](const Name& a, const Name& b) { return a.name < b.name; }));

constexpr size_t kNameBytesMax = 32;  // longer than any above

void append_utf8(std::string& out, char16_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
  } else {
    out += static_cast<char>(0xe0 | (c >> 12));
    tail(6);
  }
  tail(0);
}

Error without_character(ClientEncoding encoding, unsigned char byte) {
  return {
      sqlstate::kUntranslatableCharacter,
      fmt::format("character with byte sequence 0x{:02x} in encoding \"{}\" has no equivalent in encoding "
                  "\"UTF8\"",
                  byte, name_of(encoding)),
      "", ""};
}

Error without_conversion(ClientEncoding encoding) {
  return {
      sqlstate::kUnusableKey,
      fmt::format("the shard key has characters beyond ASCII in client_encoding {}, which Mosaic does not "
                  "convert",
                  name_of(encoding)),
      "A key is hashed in the database's encoding, UTF8, so that it has one shard whoever writes it.",
      "Send it as UTF8: SET client_encoding TO 'UTF8'."};
}

}  // namespace

ClientEncoding find_client_encoding(std::string_view name) {
  char plain[kNameBytesMax];
  size_t size = 0;
  for (const char c : name) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    if (!is_upper && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) continue;
    if (size == kNameBytesMax) return E::kUnknown;
    plain[size++] = is_upper ? static_cast<char>(c + 32) : c;
  }
  const std::string_view wanted(plain, size);
  const auto* found = std::lower_bound(kNames.begin(), kNames.end(), wanted,
                                       [](const Name& a, std::string_view b) { return a.name < b; });
  return found != kNames.end() && found->name == wanted ? found->encoding : E::kUnknown;
}

std::string_view name_of(ClientEncoding encoding) {
  // src/common/encnames.c, pg_enc2name_tbl, in the order of ClientEncoding.
  static constexpr std::string_view kOwnNames[] = {
      "UTF8",       "SQL_ASCII",  "LATIN1",  "LATIN2",  "LATIN3",  "LATIN4",       "LATIN5",
      "LATIN6",     "LATIN7",     "LATIN8",  "LATIN9",  "LATIN10", "ISO_8859_5",   "ISO_8859_6",
      "ISO_8859_7", "ISO_8859_8", "WIN1250", "WIN1251", "WIN1252", "WIN1253",      "WIN1254",
      "WIN1255",    "WIN1256",    "WIN1257", "WIN1258", "WIN866",  "WIN874",       "KOI8R",
      "KOI8U",      "EUC_JP",     "EUC_CN",  "EUC_KR",  "EUC_TW",  "EUC_JIS_2004", "MULE_INTERNAL",
      "SJIS",       "BIG5",       "GBK",     "UHC",     "GB18030", "JOHAB",        "SHIFT_JIS_2004",
      "unknown"};
  static_assert(std::size(kOwnNames) == static_cast<size_t>(E::kUnknown) + 1);
  return kOwnNames[static_cast<size_t>(encoding)];
}

bool is_ascii(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  for (; end - at >= 8; at += 8) {
    uint64_t block;
    std::memcpy(&block, at, sizeof block);
    if ((block & 0x8080808080808080u) != 0) return false;
  }
  return std::none_of(at, end, [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

Result<std::string_view> to_utf8(ClientEncoding encoding, std::string_view bytes, std::string& scratch) {
  if (encoding == E::kUtf8 || encoding == E::kSqlAscii || is_ascii(bytes)) return bytes;
  if (!is_single_byte(encoding)) return without_conversion(encoding);
  const auto& characters =
      kSingleByteCharacters[static_cast<size_t>(encoding) - static_cast<size_t>(E::kLatin1)];
  scratch.clear();
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      scratch += c;
      continue;
    }
    const char16_t character = characters[byte - 0x80];
    if (character == 0) return without_character(encoding, byte);
    append_utf8(scratch, character);
  }
  return std::string_view(scratch);
}

}  // namespace mosaic::routing
