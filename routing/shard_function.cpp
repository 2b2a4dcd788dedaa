#include "routing/shard_function.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

// pg_type.dat of PostgreSQL 15: these numbers never change.
constexpr uint32_t kInt8Oid = 20, kInt2Oid = 21, kInt4Oid = 23, kNameOid = 19, kTextOid = 25,
                   kUnknownOid = 705, kBpcharOid = 1042, kVarcharOid = 1043, kUuidOid = 2950;

constexpr size_t kNameBytesMax = 63;  // NAMEDATALEN - 1

bool is_text_oid(uint32_t oid) {
  return oid == kTextOid || oid == kVarcharOid || oid == kBpcharOid || oid == kNameOid || oid == kUnknownOid;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What int8in takes: white space around a sign and decimal digits.
std::optional<KeyValue> parse_integer(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
  KeyValue value;
  const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), value.integer);
  if (error != std::errc() || last != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What uuid_in takes: 32 digits, a hyphen allowed after each group of four, braces allowed around all.
std::optional<KeyValue> parse_uuid(std::string_view text) {
  if (text.size() >= 2 && text.front() == '{' && text.back() == '}') text = text.substr(1, text.size() - 2);
  KeyValue value;
  value.type = KeyType::kUuid;
  size_t at = 0;
  for (int i = 0; i < 16; ++i) {
    if (at + 2 > text.size()) return std::nullopt;
    const int high = hex_digit(text[at]);
    const int low = hex_digit(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    value.uuid[i] = static_cast<unsigned char>(high * 16 + low);
    at += 2;
    if (i % 2 == 1 && i < 15 && at < text.size() && text[at] == '-') ++at;
  }
  if (at != text.size()) return std::nullopt;
  return value;
}

KeyValue text_value(KeyType type, std::string_view text) {
  KeyValue value;
  value.type = type;
  value.text = text;
  if (type == KeyType::kPaddedText) value.text = without_blanks(text);
  return value;
}

const char* name_of(KeyType type) {
  switch (type) {
    case KeyType::kInt8:
      return "an integer";
    case KeyType::kText:
    case KeyType::kPaddedText:
      return "a text";
    case KeyType::kUuid:
      return "a uuid";
  }
  return "";
}

std::optional<KeyValue> find_text_value(KeyType type, std::string_view text) {
  switch (type) {
    case KeyType::kInt8:
      return parse_integer(text);
    case KeyType::kText:
    case KeyType::kPaddedText:
      return text_value(type, text);
    case KeyType::kUuid:
      return parse_uuid(text);
  }
  return std::nullopt;
}

int64_t read_big_endian(std::string_view bytes) {
  // Starting from the sign makes the loop right for all widths.
  int64_t value = static_cast<signed char>(bytes.front());
  for (const char c : bytes.substr(1))
    value = static_cast<int64_t>(static_cast<uint64_t>(value) << 8) | static_cast<unsigned char>(c);
  return value;
}

std::optional<KeyValue> find_binary_integer(uint32_t type_oid, std::string_view bytes) {
  const size_t width = type_oid == kInt8Oid   ? 8
                       : type_oid == kInt4Oid ? 4
                       : type_oid == kInt2Oid ? 2
                                              : bytes.size();
  if (type_oid != 0 && type_oid != kInt8Oid && type_oid != kInt4Oid && type_oid != kInt2Oid)
    return std::nullopt;
  if (bytes.size() != width || (width != 2 && width != 4 && width != 8)) return std::nullopt;
  KeyValue value;
  value.integer = read_big_endian(bytes);
  return value;
}

std::optional<KeyValue> find_binary_value(KeyType type, uint32_t type_oid, std::string_view bytes) {
  // A parameter that the server takes as text arrives as its characters in both formats.
  if (type_oid == kNameOid && bytes.size() > kNameBytesMax) return std::nullopt;  // the server cuts it
  if (type_oid == kBpcharOid) return find_text_value(type, without_blanks(bytes));
  if (is_text_oid(type_oid)) return find_text_value(type, bytes);
  switch (type) {
    case KeyType::kInt8:
      return find_binary_integer(type_oid, bytes);
    case KeyType::kText:
    case KeyType::kPaddedText:
      if (type_oid != 0) return std::nullopt;
      return text_value(type, bytes);
    case KeyType::kUuid: {
      if ((type_oid != 0 && type_oid != kUuidOid) || bytes.size() != 16) return std::nullopt;
      KeyValue value;
      value.type = KeyType::kUuid;
      std::memcpy(value.uuid, bytes.data(), 16);
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<KeyValue> parse_key_text(KeyType type, std::string_view text) {
  if (const auto value = find_text_value(type, text)) return *value;
  const size_t shown = std::min<size_t>(text.size(), 64);
  return Error{sqlstate::kUnusableKey,
               fmt::format("the shard key must be {}, not \"{}\"", name_of(type), text.substr(0, shown)), "",
               type == KeyType::kInt8 ? "Write it in decimal digits, within the range of bigint." : ""};
}

Result<KeyValue> parse_key_binary(KeyType type, uint32_t type_oid, std::string_view bytes) {
  if (const auto value = find_binary_value(type, type_oid, bytes)) return *value;
  return Error{sqlstate::kUnusableKey,
               fmt::format("the shard key must be {}; the parameter has {} bytes of the type with OID {}",
                           name_of(type), bytes.size(), type_oid),
               "", "Bind the parameter with the type of the key's column, or cast it: $1::bigint."};
}

std::string_view cut_to_length(std::string_view text, uint32_t length_max) {
  size_t end = 0;
  for (uint32_t characters = 0; end < text.size() && characters < length_max; ++characters) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
  }
  return text.find_first_not_of(' ', end) == std::string_view::npos ? text.substr(0, end) : text;
}

ShardId shard_of(ShardFunction function, const KeyValue& key, uint32_t shard_count) {
  if (function == ShardFunction::kModulo && key.type == KeyType::kInt8) {
    const int64_t remainder = key.integer % static_cast<int64_t>(shard_count);
    return ShardId{static_cast<uint32_t>(remainder < 0 ? remainder + shard_count : remainder)};
  }
  uint64_t hash = 0;
  switch (key.type) {
    case KeyType::kInt8: {
      // Little-endian on every machine: the function is for good.
      char bytes[8];
      for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(static_cast<uint64_t>(key.integer) >> (8 * i));
      hash = XXH3_64bits(bytes, sizeof bytes);
      break;
    }
    case KeyType::kText:
    case KeyType::kPaddedText:
      hash = XXH3_64bits(key.text.data(), key.text.size());
      break;
    case KeyType::kUuid:
      hash = XXH3_64bits(key.uuid, sizeof key.uuid);
      break;
  }
  return ShardId{static_cast<uint32_t>(hash % shard_count)};
}

}  // namespace mosaic::routing
