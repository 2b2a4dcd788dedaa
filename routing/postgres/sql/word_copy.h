#pragma once
// Copies a word of a statement while looking for its end: half of all bytes go through here, so it takes
// sixteen at a time where the machine can.

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace mosaic::routing {

inline constexpr size_t kWordBlockBytes = 16;

// Letters, digits, underscore, dollar and all bytes of characters beyond ASCII (scan.l, ident_cont).
inline bool is_word_part(char c) {
  const auto byte = static_cast<unsigned char>(c);
  const auto letter = static_cast<unsigned char>((byte | 0x20) - 'a');
  return letter < 26 || static_cast<unsigned char>(byte - '0') < 10 || byte == '_' || byte == '$' ||
         byte >= 0x80;
}

// Copies the word at `at` to `out` and returns its end. May write up to kWordBlockBytes beyond what it
// copies.
inline const char* copy_word(const char* at, const char* end, char* out) {
#if defined(__SSE2__)
  while (end - at >= static_cast<ptrdiff_t>(kWordBlockBytes)) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), block);
    const auto is_below = [](__m128i value, char limit) {
      return _mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(limit)), value);
    };
    const __m128i letter =
        is_below(_mm_sub_epi8(_mm_or_si128(block, _mm_set1_epi8(0x20)), _mm_set1_epi8('a')), 25);
    const __m128i digit = is_below(_mm_sub_epi8(block, _mm_set1_epi8('0')), 9);
    const __m128i other =
        _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('_')), _mm_cmpeq_epi8(block, _mm_set1_epi8('$')));
    // A byte beyond ASCII has its top bit set already: or-ing the block in adds it to the mask.
    const int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), _mm_or_si128(other, block)));
    const uint32_t stops = ~static_cast<uint32_t>(mask) & 0xffff;
    if (stops != 0) return at + __builtin_ctz(stops);
    at += kWordBlockBytes;
    out += kWordBlockBytes;
  }
#endif
  while (at < end && is_word_part(*at)) *out++ = *at++;
  return at;
}

}  // namespace mosaic::routing
