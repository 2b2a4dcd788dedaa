#pragma once
// What the type and range of a single key can not tell: keys that must fit each other. Adds to the errors,
// never stops at the first.

#include "admin/config/config.h"
#include "admin/config/config_error.h"

namespace mosaic::admin {

// Fills what one key takes from another: catalog.node, database.default_node, nodes.NAME.dbname, proxy.nodes.
void complete_config(Config& config);

// Pure: names that must exist, rules that exclude each other, bits that must fit.
void check_config(const Config& config, ConfigErrors& errors);

// Reads the files that the config names. `warnings`: users of the auth file who can not log in.
void check_files(const Config& config, ConfigErrors& errors, ConfigErrors& warnings);

// Where a running proxy writes: state_dir, the folder of pid_file. Makes nothing.
void check_folders(const Config& config, ConfigErrors& errors, ConfigErrors& warnings);

// A lower-case SQL name that needs no quotes, short enough to be a part of a schema's name.
bool is_plain_identifier(std::string_view name);

}  // namespace mosaic::admin
