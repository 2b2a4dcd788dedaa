#pragma once
// shard = f(key). The function and the number of shards are fixed at `mosaic init`; text and binary forms of
// the same value give the same shard, because f sees the value, never its spelling.

#include <cstdint>
#include <string_view>

#include "routing/ids.h"
#include "routing/result.h"

namespace mosaic::routing {

enum class KeyType : uint8_t {
  kInt8,  // smallint, integer, bigint
  kText,  // text, varchar
  kUuid,
  kPaddedText,  // char(n): blanks at the end do not count (PostgreSQL manual, Character Types)
};

enum class ShardFunction : uint8_t {
  kXxh3,    // XXH3 64 bits of the canonical form, modulo the number of shards
  kModulo,  // integer keys only: the mathematical (never negative) modulus, as Instagram published
};

// Whether values of this type are characters, which a client may send in another encoding.
inline bool is_text(KeyType type) { return type == KeyType::kText || type == KeyType::kPaddedText; }

// A key's value in canonical form. Text views point into the statement or message they were read from.
struct KeyValue {
  KeyType type = KeyType::kInt8;
  int64_t integer = 0;          // kInt8
  std::string_view text;        // kText, kPaddedText
  unsigned char uuid[16] = {};  // kUuid
};

// Reads a key's value from its text form (what PostgreSQL's input function of the type takes).
// Errors: kUnusableKey.
Result<KeyValue> parse_key_text(KeyType type, std::string_view text);
// Reads a key's value from its binary form (what the type's send function writes). `type_oid` 0: unknown,
// then the length decides between int2, int4 and int8. Errors: kUnusableKey.
Result<KeyValue> parse_key_binary(KeyType type, uint32_t type_oid, std::string_view bytes);

// What assignment to a varchar(n) makes of a value: blanks at the end that do not fit into `length_max`
// characters are cut off; a value that is longer without them stays, and the server refuses it (varchar() in
// src/backend/utils/adt/varchar.c). In UTF-8.
std::string_view cut_to_length(std::string_view text, uint32_t length_max);

ShardId shard_of(ShardFunction function, const KeyValue& key, uint32_t shard_count);

}  // namespace mosaic::routing
