#include "admin/catalog/catalog_state.h"

namespace mosaic::admin {

using routing::KeyType;
using routing::TableKind;

std::string_view to_text(TableKind kind) {
  switch (kind) {
    case TableKind::kSharded:
      return "sharded";
    case TableKind::kReference:
      return "reference";
    case TableKind::kPinned:
      return "pinned";
  }
  return "";
}

std::string_view to_text(KeyType type) {
  switch (type) {
    case KeyType::kInt8:
      return "int8";
    case KeyType::kText:
      return "text";
    case KeyType::kUuid:
      return "uuid";
    case KeyType::kPaddedText:
      return "char";
  }
  return "";
}

std::string_view to_text(routing::ShardFunction function) {
  return function == routing::ShardFunction::kModulo ? "modulo" : "xxh3";
}

bool parse_table_kind(std::string_view text, TableKind& kind) {
  for (const TableKind known : {TableKind::kSharded, TableKind::kReference, TableKind::kPinned}) {
    if (to_text(known) != text) continue;
    kind = known;
    return true;
  }
  return false;
}

bool parse_key_type(std::string_view text, KeyType& type) {
  for (const KeyType known : {KeyType::kInt8, KeyType::kText, KeyType::kUuid, KeyType::kPaddedText}) {
    if (to_text(known) != text) continue;
    type = known;
    return true;
  }
  return false;
}

}  // namespace mosaic::admin
