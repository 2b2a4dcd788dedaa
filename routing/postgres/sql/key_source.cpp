#include "routing/postgres/sql/key_source.h"

namespace mosaic::routing {

namespace {

std::string_view base_name(const PgQuery__TypeName& type) {
  const NodeList names = MOSAIC_NODES(type, names);
  return names.is_empty() ? std::string_view() : string_of(names[names.size() - 1]);
}

// Whether a cast to `type` leaves a key's value as it stands in the statement. varchar(3), char, name and the
// like may cut or pad; numbers may be rounded, which find_scalar() looks after.
bool keeps_value(const PgQuery__TypeName& type, KeyType key_type, bool is_array) {
  if (type.setof || type.n_typmods > 0 || (type.n_array_bounds > 0) != is_array) return false;
  const std::string_view name = base_name(type);
  const bool is_text = name == "text" || name == "varchar";
  switch (key_type) {
    case KeyType::kInt8:
      return is_text || name == "int8" || name == "int4" || name == "int2" || name == "numeric";
    case KeyType::kText:
      return is_text;
    case KeyType::kPaddedText:
      return is_text || name == "bpchar";
    case KeyType::kUuid:
      return is_text || name == "uuid";
  }
  return false;
}

std::optional<KeySource> find_literal(const StatementSource& source, const PgQuery__AConst& constant,
                                      KeyType type, bool has_cast) {
  int token = source.find_token(constant.location);
  if (token < 0) return std::nullopt;
  if (constant.isnull) return KeySource{KeySource::Kind::kLiteral, static_cast<uint32_t>(token)};
  // The grammar folds signs and parentheses into the constant: -(5) is one constant that starts at the minus
  // sign.
  bool is_negated = false;
  const auto tokens = source.tokens();
  while (static_cast<size_t>(token) < tokens.size()) {
    const std::string_view text = source.text_of(static_cast<size_t>(token));
    if (text == "-") {
      is_negated = !is_negated;
    } else if (text != "(") {
      break;
    }
    ++token;
  }
  if (static_cast<size_t>(token) >= tokens.size()) return std::nullopt;
  const TokenKind kind = tokens[static_cast<size_t>(token)].kind;
  const bool is_number = kind == TokenKind::kInteger || kind == TokenKind::kNumber;
  if (kind != TokenKind::kString && !is_number) return std::nullopt;
  // 05::text is '5', and 5.7::bigint is 6: the digits as written are not the value.
  if (is_number && type != KeyType::kInt8) return std::nullopt;
  if (kind == TokenKind::kNumber && has_cast) return std::nullopt;
  return KeySource{is_negated ? KeySource::Kind::kNegatedLiteral : KeySource::Kind::kLiteral,
                   static_cast<uint32_t>(token)};
}

std::optional<KeySource> find_scalar(const StatementSource& source, const Node* value, KeyType type,
                                     bool has_cast) {
  if (const auto* constant = as_constant(value)) return find_literal(source, *constant, type, has_cast);
  if (const auto* parameter = as_parameter(value)) {
    if (parameter->number <= 0) return std::nullopt;
    return KeySource{KeySource::Kind::kParameter, static_cast<uint32_t>(parameter->number - 1)};
  }
  if (const auto* cast = as_cast(value)) {
    if (cast->type_name == nullptr || !keeps_value(*cast->type_name, type, false)) return std::nullopt;
    return find_scalar(source, cast->arg, type, true);
  }
  return std::nullopt;
}

}  // namespace

std::optional<KeySource> find_key_source(const StatementSource& source, const Node* value, KeyType type) {
  return find_scalar(source, value, type, false);
}

std::optional<std::vector<KeySource>> find_key_sources(const StatementSource& source, NodeList values,
                                                       KeyType type) {
  std::vector<KeySource> sources;
  for (const Node* value : values) {
    const auto found = find_key_source(source, value, type);
    if (!found) return std::nullopt;
    sources.push_back(*found);
  }
  return sources;
}

std::optional<std::vector<KeySource>> find_array_sources(const StatementSource& source, const Node* array,
                                                         KeyType type) {
  if (const auto* cast = as_cast(array)) {
    if (cast->type_name == nullptr || !keeps_value(*cast->type_name, type, true)) return std::nullopt;
    return find_array_sources(source, cast->arg, type);
  }
  if (const auto* elements = as_array(array))
    return find_key_sources(source, MOSAIC_NODES(*elements, elements), type);
  if (const auto* parameter = as_parameter(array)) {
    if (parameter->number <= 0) return std::nullopt;
    return std::vector<KeySource>{
        {KeySource::Kind::kParameterArray, static_cast<uint32_t>(parameter->number - 1)}};
  }
  if (const auto* constant = as_constant(array)) {
    const int token = source.find_token(constant->location);
    if (token < 0 || source.tokens()[static_cast<size_t>(token)].kind != TokenKind::kString)
      return std::nullopt;
    return std::vector<KeySource>{{KeySource::Kind::kLiteralArray, static_cast<uint32_t>(token)}};
  }
  return std::nullopt;
}

bool is_null_literal(const Node* value) {
  if (const auto* cast = as_cast(value)) return is_null_literal(cast->arg);
  const auto* constant = as_constant(value);
  return constant != nullptr && constant->isnull;
}

}  // namespace mosaic::routing
