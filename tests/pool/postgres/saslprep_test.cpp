#include "pool/postgres/saslprep.h"

#include <gtest/gtest.h>

namespace mosaic::pool {
namespace {

struct Case {
  const char* what;
  std::string password, prepared;
};

TEST(Saslprep, makes_one_password_of_many_spellings) {
  const Case cases[] = {
      {"RFC 4013: soft hyphen", "I\u00adX", "IX"},
      {"RFC 4013: no change", "user", "user"},
      {"RFC 4013: case is kept", "USER", "USER"},
      {"RFC 4013: feminine ordinal", "\u00aa", "a"},
      {"RFC 4013: roman nine", "\u2168", "IX"},
      {"accent composed", "cafe\u0301", "caf\u00e9"},
      {"already composed", "caf\u00e9", "caf\u00e9"},
      {"no-break space", "a\u00a0b", "a b"},
      {"ideographic space", "a\u3000b", "a b"},
      {"full width", "\uff50\uff41\uff53\uff53", "pass"},
      {"ligature", "o\ufb03ce", "office"},
      {"zero width joiner", "a\u200db", "ab"},
      {"variation selector", "a\ufe0fb", "ab"},
      {"byte order mark", "\ufeffabc", "abc"},
      {"Angstrom sign", "\u212b", "\u00c5"},
      {"hangul jamo", "\u1100\u1161", "\uac00"},
      {"half-width katakana", "\uff76\uff9e", "\u30ac"},
      {"circled digit", "\u2460", "1"},
      {"two marks in canonical order", "q\u0307\u0323", "q\u0323\u0307"},
      {"what is prohibited is looked for before the normalisation", "x\u0340", "x\u0340"},
      {"Unicode Corrigendum 4", "\U0002f868", "\u36fc"},
      {"right to left alone", "\u05d0\u05d1", "\u05d0\u05d1"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(saslprep(one.password), one.prepared) << one.what;
    EXPECT_EQ(saslprep(one.prepared), one.prepared) << one.what << ": prepared twice";
  }
}

TEST(Saslprep, takes_what_it_must_not_prepare_byte_for_byte) {
  const std::string passwords[] = {
      "",
      "p\x01q\x7f",  // ASCII is never looked at
      "a b",
      "\xff\xfe",           // not UTF-8
      "caf\xe9",            // Latin-1
      "e\u0301\xc3",        // cut in the middle of a character
      "\xc0\x80",           // overlong
      "\xed\xa0\x80",       // surrogate
      "e\u0301\u0080",      // a control character
      "e\u0301\U0001f600",  // not in Unicode 3.2
      "\ufffd\u00aa",       // replacement character
      "\u05d0a\u00aa",      // both directions
      "\u06271",            // RFC 4013's example: does not end right to left
      "\u00ad",             // nothing would be left
      "\u00ad\u200d\ufeff",
      std::string("\u00ad\0\u00ad", 5),
      "\ue000\u00aa",  // private use
      "\u2028\u00aa",  // line separator
  };
  for (const std::string& password : passwords) EXPECT_EQ(saslprep(password), password) << password;
}

}  // namespace
}  // namespace mosaic::pool
