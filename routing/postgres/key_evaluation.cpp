#include "routing/postgres/key_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "routing/postgres/array_value.h"
#include "routing/postgres/sql/string_literal.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

std::string_view text_of(const Token& token, const KeyInput& input) {
  return input.text.substr(token.begin, token.end - token.begin);
}

Error missing_parameter(uint32_t index, const KeyInput& input) {
  return {sqlstate::kUnusableKey,
          fmt::format("the shard key is parameter ${}, which was not bound", index + 1),
          fmt::format("The Bind message has {} parameters.", input.parameters.count()), ""};
}

Error malformed_array() {
  return {sqlstate::kUnusableKey, "the array of shard keys is malformed", "",
          "Write it as '{1,2,3}', or bind it as an array parameter."};
}

// The type of the elements of bpchar[] and name[], whose input is not what it was (pg_type.dat); 0 for all
// others.
uint32_t element_oid_of(uint32_t array_oid) {
  if (array_oid == 1014) return 1042;
  return array_oid == 1003 ? 19 : 0;
}

Result<KeyValue> read_parameter_value(KeyType type, uint32_t type_oid, bool is_binary,
                                      std::string_view bytes) {
  // For text keys the parameter's type matters in both formats: '05' as a number is another text than '05'.
  if (is_binary || type == KeyType::kText || type == KeyType::kPaddedText)
    return parse_key_binary(type, type_oid, bytes);
  return parse_key_text(type, bytes);
}

// Makes `bytes` what the database keeps: UTF8, in `scratch` where that is not the same. Numbers and UUIDs are
// ASCII, or not valid. A literal is converted before its escapes are read, as the server does: they stand for
// bytes of the database's encoding.
Status convert(KeyType type, const KeyInput& input, std::string_view& bytes, std::string& scratch) {
  if (input.encoding == ClientEncoding::kUtf8 || type != KeyType::kText) return {};
  const auto utf8 = to_utf8(input.encoding, bytes, scratch);
  if (!utf8) return utf8.error();
  bytes = *utf8;
  return {};
}

Error computed_argument(uint32_t index) {
  return {
      sqlstate::kUnusableKey,
      fmt::format("the shard key is argument {} of EXECUTE, an expression that only a server can evaluate",
                  index + 1),
      "", "Write it as a literal: EXECUTE name (42)."};
}

// Calls `each(const KeyValue*)` for every value, null for NULL, until it returns false. Views in the value
// last for the call only.
template <typename Each>
Status for_each_literal(const KeySource& source, KeyType type, const KeyInput& input, Each&& each) {
  const Token& token = input.tokens[source.index];
  std::string_view text = text_of(token, input);
  if (token.kind == TokenKind::kWord) {
    each(nullptr);  // the word NULL: no other literal is a word
    return {};
  }
  if (token.kind == TokenKind::kString) {
    std::string scratch, converted;
    if (Status status = convert(type, input, text, converted); !status) return status;
    const auto value_text = read_string_literal(text, input.reading, scratch);
    if (!value_text) {
      return Error{sqlstate::kUnusableKey,
                   "the shard key is written in a form of string that Mosaic does not read", "",
                   "Write it as '...' without Unicode escapes."};
    }
    const auto value = parse_key_text(type, *value_text);
    if (!value) return value.error();
    each(&*value);
    return {};
  }
  char negated[32];
  std::string_view digits = text;
  if (source.kind == KeySource::Kind::kNegatedLiteral && text.size() < sizeof negated) {
    negated[0] = '-';
    std::memcpy(negated + 1, text.data(), text.size());
    digits = {negated, text.size() + 1};
  }
  const auto value = parse_key_text(type, digits);
  if (!value) return value.error();
  each(&*value);
  return {};
}

template <typename Each>
Status for_each_parameter(const KeySource& source, KeyType type, const KeyInput& input, Each&& each) {
  const auto parameter = input.parameters.find(source.index);
  if (!parameter) return missing_parameter(source.index, input);
  if (parameter->is_null) {
    each(nullptr);
    return {};
  }
  if (parameter->is_computed) return computed_argument(source.index);
  std::string scratch;
  std::string_view bytes = parameter->bytes;
  if (!parameter->is_utf8) {
    if (Status status = convert(type, input, bytes, scratch); !status) return status;
  }
  const auto value = read_parameter_value(type, parameter->type_oid, parameter->is_binary, bytes);
  if (!value) return value.error();
  each(&*value);
  return {};
}

// `element_oid`: the type that the client says the elements have; 0: none that changes them.
template <typename Each>
Status for_each_text_element(std::string_view text, KeyType type, uint32_t element_oid, Each&& each) {
  TextArrayReader reader(text);
  while (const auto element = reader.next()) {
    if (element->is_null) {
      if (!each(nullptr)) return {};
      continue;
    }
    const auto value = element_oid == 0 ? parse_key_text(type, element->text)
                                        : parse_key_binary(type, element_oid, element->text);
    if (!value) return value.error();
    if (!each(&*value)) return {};
  }
  return reader.is_valid() ? Status() : malformed_array();
}

template <typename Each>
Status for_each_array_parameter(const KeySource& source, KeyType type, const KeyInput& input, Each&& each) {
  const auto parameter = input.parameters.find(source.index);
  if (!parameter) return missing_parameter(source.index, input);
  if (parameter->is_null) {
    each(nullptr);
    return {};
  }
  if (parameter->is_computed) return computed_argument(source.index);
  std::string scratch;
  if (!parameter->is_binary) {
    std::string_view text = parameter->bytes;
    if (!parameter->is_utf8) {
      if (Status status = convert(type, input, text, scratch); !status) return status;
    }
    return for_each_text_element(text, type, element_oid_of(parameter->type_oid), each);
  }
  BinaryArrayReader reader(parameter->bytes);
  while (const auto element = reader.next()) {
    if (element->is_null) {
      if (!each(nullptr)) return {};
      continue;
    }
    std::string_view bytes = element->bytes;
    if (Status status = convert(type, input, bytes, scratch); !status) return status;
    const auto value = read_parameter_value(type, reader.element_oid(), true, bytes);
    if (!value) return value.error();
    if (!each(&*value)) return {};
  }
  return reader.is_valid() ? Status() : malformed_array();
}

template <typename Each>
Status for_each_value(const KeySource& source, KeyType type, const KeyInput& input, Each&& each) {
  switch (source.kind) {
    case KeySource::Kind::kLiteral:
    case KeySource::Kind::kNegatedLiteral:
      return for_each_literal(source, type, input, each);
    case KeySource::Kind::kParameter:
      return for_each_parameter(source, type, input, each);
    case KeySource::Kind::kParameterArray:
      return for_each_array_parameter(source, type, input, each);
    case KeySource::Kind::kLiteralArray: {
      std::string scratch, converted;
      std::string_view written = text_of(input.tokens[source.index], input);
      if (Status status = convert(type, input, written, converted); !status) return status;
      const auto text = read_string_literal(written, input.reading, scratch);
      if (!text) return malformed_array();
      return for_each_text_element(*text, type, 0, each);
    }
  }
  return {};
}

std::optional<ShardId> shard_of_value(const KeyValue& value, bool is_id, const CatalogSnapshot& catalog) {
  if (is_id) return catalog.id_layout().shard_of(value.integer, catalog.shard_count());
  return shard_of(catalog.shard_function(), value, catalog.shard_count());
}

// Calls `each(value, shard)` for every value of the term until it returns false; no shard for NULL and
// foreign IDs.
template <typename Each>
Status for_each_shard(const KeyTerm& term, const KeyInput& input, Each&& each) {
  bool goes_on = true;
  for (const KeySource& source : term.any_of) {
    Status status = for_each_value(source, term.key_type, input, [&](const KeyValue* read) {
      if (read == nullptr) return goes_on = each(nullptr, std::nullopt);
      KeyValue value = *read;
      if (term.length_max > 0) value.text = cut_to_length(value.text, term.length_max);
      goes_on = each(&value, shard_of_value(value, term.is_id, input.catalog));
      return goes_on;
    });
    if (!status || !goes_on) return status;
  }
  return {};
}

std::string to_text(const KeyValue& value) {
  if (value.type == KeyType::kInt8) return fmt::format("{}", value.integer);
  if (value.type == KeyType::kText || value.type == KeyType::kPaddedText)
    return fmt::format("'{}'", value.text.substr(0, 40));
  std::string text;
  for (int i = 0; i < 16; ++i)
    text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", value.uuid[i]);
  return text;
}

}  // namespace

Result<KeyValue> read_assigned_key(const Table& table, bool is_binary, std::string_view bytes) {
  auto value = is_binary ? parse_key_binary(table.key_type, 0, bytes) : parse_key_text(table.key_type, bytes);
  if (value && table.key_length_max > 0) value->text = cut_to_length(value->text, table.key_length_max);
  return value;
}

Result<TermShards> evaluate_term(const KeyTerm& term, const KeyInput& input) {
  TermShards shards;
  const Status status = for_each_shard(term, input, [&](const KeyValue* value, std::optional<ShardId> shard) {
    if (value == nullptr) {
      shards.has_null = true;
    } else if (!shard) {
      shards.has_foreign_id = true;
    } else if (!shards.first) {
      shards.first = shard;
    } else if (*shard != *shards.first) {
      shards.second = shard;
    }
    return true;
  });
  if (!status) return status.error();
  return shards;
}

Result<bool> has_shard(const KeyTerm& term, ShardId shard, const KeyInput& input) {
  bool is_found = false;
  const Status status = for_each_shard(term, input, [&](const KeyValue*, std::optional<ShardId> other) {
    is_found = other == shard;
    return !is_found;
  });
  if (!status) return status.error();
  return is_found;
}

Result<std::vector<ShardId>> all_shards(const KeyTerm& term, const KeyInput& input) {
  std::vector<ShardId> shards;
  const Status status = for_each_shard(term, input, [&](const KeyValue*, std::optional<ShardId> shard) {
    if (shard) shards.push_back(*shard);
    return true;
  });
  if (!status) return status.error();
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  return shards;
}

std::string describe_values(const KeyTerm& term, const KeyInput& input) {
  constexpr int kShownMax = 4;
  std::string text;
  int shown = 0;
  const Status status = for_each_shard(term, input, [&](const KeyValue* value, std::optional<ShardId> shard) {
    if (value == nullptr || !shard) return true;
    if (shown++ == kShownMax) {
      text += ", ...";
      return false;
    }
    text += fmt::format("{}{} is on shard {}", text.empty() ? "" : ", ", to_text(*value), shard->value);
    return true;
  });
  return status ? text : status.error().message;
}

}  // namespace mosaic::routing
