#include "routing/postgres/sql/statement_plan.h"

namespace mosaic::routing {

namespace {

size_t bytes_of(const std::string& text) { return text.capacity(); }

size_t bytes_of(const Error& error) {
  return error.sqlstate.capacity() + error.message.capacity() + error.detail.capacity() +
         error.hint.capacity();
}

size_t bytes_of(const std::vector<KeyTerm>& terms) {
  size_t bytes = terms.capacity() * sizeof(KeyTerm);
  for (const KeyTerm& term : terms) bytes += term.any_of.capacity() * sizeof(KeySource);
  return bytes;
}

size_t bytes_of(const StatementPart& part) {
  size_t bytes = bytes_of(part.name);
  bytes += part.uses.capacity() * sizeof(TableUse);
  for (const TableUse& use : part.uses) {
    bytes += bytes_of(use.terms) + bytes_of(use.checks);
    if (use.unbound) bytes += bytes_of(*use.unbound);
  }
  bytes += part.splices.capacity() * sizeof(Splice);
  for (const Splice& splice : part.splices) bytes += bytes_of(splice.name);
  bytes += part.bindable.capacity() * sizeof(uint32_t);
  if (part.setting) bytes += bytes_of(part.setting->name);
  if (part.copy) bytes += bytes_of(part.copy->null_text);
  if (part.execute) bytes += part.execute->arguments.capacity() * sizeof(ExecuteCall::Argument);
  if (part.refusal) bytes += bytes_of(*part.refusal);
  if (part.one_node_only) bytes += bytes_of(*part.one_node_only);
  return bytes;
}

}  // namespace

size_t StatementPlan::bytes() const {
  size_t bytes = sizeof(StatementPlan) + parts.capacity() * sizeof(StatementPart);
  for (const StatementPart& part : parts) bytes += bytes_of(part);
  return bytes;
}

}  // namespace mosaic::routing
