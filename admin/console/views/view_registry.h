#pragma once
// Every view of the console's SHOW, by name. To add one: write a builder in a file of this folder, declare it
// in view_builders.h, add a row to the table in view_registry.cpp.

#include <span>
#include <string>
#include <string_view>

#include "admin/console/console_state.h"
#include "admin/console/view_table.h"

namespace mosaic::admin {

struct ViewContext {
  const ConsoleBackend& backend;
  const ConsoleState& state;
};

struct View {
  std::string_view name;  // lower case
  std::string_view purpose;
  ViewTable (*build)(const ViewContext& context);
};

std::span<const View> views();
const View* find_view(std::string_view name);
std::string view_names();  // "ACTIVE, CLIENTS, ..."

}  // namespace mosaic::admin
