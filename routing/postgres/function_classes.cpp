#include "routing/postgres/function_classes.h"

#include <xxhash.h>

#include <algorithm>

#include "routing/postgres/sql/function_body.h"
#include "routing/postgres/sql/known_functions.h"

namespace mosaic::routing {

namespace {

constexpr Traces kAnything = {Trace::kUnknown, Trace::kSequences, Trace::kReadsSequences};

// Immutable or stable by pg_proc, yet they run what views and functions bring along
// (src/backend/utils/adt/xml.c).
bool runs_queries(std::string_view name) {
  return name.starts_with("table_to_xml") || name.starts_with("schema_to_xml") ||
         name.starts_with("database_to_xml");
}

}  // namespace

FunctionClasses::FunctionClasses(const std::vector<Definition>& definitions,
                                 const std::vector<std::string>& plain_builtins) {
  for (const std::string& name : plain_builtins) {
    if (!runs_queries(name) && find_function_trait(name) == FunctionTrait::kUnknown) builtins_[name];
  }
  resolve(definitions);
  std::erase_if(reads_, [](const auto& entry) { return entry.second.is_empty(); });
  std::erase_if(writes_, [](const auto& entry) { return entry.second.is_empty(); });
  make_fingerprint();
}

std::shared_ptr<const FunctionClasses> FunctionClasses::unread() {
  static const std::shared_ptr<const FunctionClasses> classes = [] {
    std::shared_ptr<FunctionClasses> made(new FunctionClasses());
    made->is_read_ = false;
    made->make_fingerprint();
    return made;
  }();
  return classes;
}

std::shared_ptr<const FunctionClasses> FunctionClasses::empty() {
  static const auto classes =
      std::make_shared<const FunctionClasses>(std::vector<Definition>(), std::vector<std::string>());
  return classes;
}

// What a name may do is what its definitions do, and what the names in them may do. Starts from what each
// does by itself and adds until nothing changes; the flags are few, so that it ends soon.
void FunctionClasses::resolve(const std::vector<Definition>& definitions) {
  struct Node {
    Traces* traces;
    std::vector<const Traces*> callees;
  };
  for (const Definition& definition : definitions) {
    switch (definition.kind) {
      case Definition::Kind::kFunction:
        functions_[definition.name];
        break;
      case Definition::Kind::kRelationRead:
        reads_[definition.name];
        break;
      case Definition::Kind::kRelationWrite:
        writes_[definition.name];
        break;
    }
  }
  std::vector<Node> nodes;
  for (const Definition& definition : definitions) {
    ByName& names = definition.kind == Definition::Kind::kFunction       ? functions_
                    : definition.kind == Definition::Kind::kRelationRead ? reads_
                                                                         : writes_;
    Node node{&names.find(definition.name)->second, {}};
    if (definition.is_opaque) {
      node.traces->add(kAnything);
      continue;
    }
    const auto use = [&](ByName& used, std::string_view name) {
      const auto at = used.find(name);
      if (at != used.end() && &at->second != node.traces) node.callees.push_back(&at->second);
      return at != used.end();
    };
    const auto call = [&](std::string_view name) {
      if (use(functions_, name)) return;
      if (builtins_.contains(name)) return;
      if (find_function_trait(name) == FunctionTrait::kUnknown) node.traces->add(kAnything);
    };
    const FunctionBody body = read_function_body(definition.source);
    node.traces->add(body.own);
    for (const std::string& name : body.calls) call(name);
    for (const std::string& name : body.words) {
      use(functions_, name);
      use(reads_, name);
      // A view's query only reads, unless it is written to.
      if (definition.kind != Definition::Kind::kRelationRead) use(writes_, name);
    }
    for (const std::string& name : definition.calls) {
      call(name);
      node.traces->add(traces_inside_of_function(find_function_trait(name)));
    }
    for (const std::string& name : definition.writes) use(writes_, name);
    if (!node.callees.empty()) nodes.push_back(std::move(node));
  }
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (Node& node : nodes) {
      const Traces before = *node.traces;
      for (const Traces* callee : node.callees) node.traces->add(*callee);
      has_changed |= !(*node.traces == before);
    }
  }
}

std::optional<Traces> FunctionClasses::find(const ByName& names, std::string_view name) {
  const auto at = names.find(name);
  return at == names.end() ? std::nullopt : std::optional(at->second);
}

Traces FunctionClasses::traces_of_call(std::string_view name, std::string_view schema) const {
  const auto defined = find(functions_, name);
  if (schema.empty() || schema == "pg_catalog") {
    const FunctionTrait trait = find_function_trait(name);
    if (trait != FunctionTrait::kUnknown || builtins_.contains(name)) {
      Traces traces = traces_of(trait);
      // A user's overload is taken where its arguments fit better.
      if (defined && schema.empty()) traces.add(*defined);
      return traces;
    }
  }
  return defined.value_or(kAnything);
}

Traces FunctionClasses::traces_of_read(std::string_view relation) const {
  return is_read_ ? find(reads_, relation).value_or(Traces()) : kAnything;
}

Traces FunctionClasses::traces_of_write(std::string_view relation) const {
  if (!is_read_) return kAnything;
  Traces traces = traces_of_read(relation);
  traces.add(find(writes_, relation).value_or(Traces()));
  return traces;
}

Traces FunctionClasses::traces_of_source(std::string_view source) const {
  const FunctionBody body = read_function_body(source);
  Traces traces = body.own;
  for (const std::string& name : body.calls) traces.add(traces_of_call(name, ""));
  for (const std::string& name : body.words) {
    traces.add(find(functions_, name).value_or(Traces()));
    // Any word may be a relation; most are none.
    traces.add(traces_of_write(name));
  }
  return traces;
}

void FunctionClasses::make_fingerprint() {
  std::vector<std::string> lines;
  const auto add = [&](char kind, const ByName& names) {
    for (const auto& [name, traces] : names)
      lines.push_back(kind + name + '\x1f' + std::to_string(traces.bits()));
  };
  add('f', functions_);
  add('b', builtins_);
  add('r', reads_);
  add('w', writes_);
  std::sort(lines.begin(), lines.end());
  std::string flat = is_read_ ? "read" : "unread";
  for (const std::string& line : lines) flat += '\x1e' + line;
  fingerprint_ = XXH3_64bits(flat.data(), flat.size());
}

}  // namespace mosaic::routing
