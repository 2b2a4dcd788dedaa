#pragma once
// Client encodings under which a proxy reads a statement's bytes otherwise than the server reads its
// characters: in these (Shift-JIS, Big5, GBK and kin) the second byte of a character can be a backslash or
// another ASCII character. PostgreSQL allows them for clients only, and converts before it parses.

#include <string_view>

namespace mosaic::routing {

// False for the encodings above, whatever the spelling ("SJIS", "shift_jis", 'WIN936'). True for all others,
// unknown names included: the server refuses those.
bool is_safe_client_encoding(std::string_view name);

}  // namespace mosaic::routing
