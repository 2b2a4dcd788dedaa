#pragma once
// Values that a client may not give to settings, because Mosaic could not read its statements any more.
// Asked when the value is known: from the statement's text, or when a parameter is bound.

#include <optional>
#include <string_view>

#include "routing/result.h"

namespace mosaic::routing {

// `setting`: in lower case. Its value must be looked at before the server gets it.
bool has_value_rule(std::string_view setting);
// Why it may not have this value; nothing when it may. Errors: kFeatureNotSupported.
std::optional<Error> find_value_error(std::string_view setting, std::string_view value);

// What a server parses next depends on this setting, `name` in lower case: whoever changes it must know the
// new value before the next statement is read.
bool is_reading_setting(std::string_view setting);

// It ends with its transaction, however it was set (PostgreSQL, src/backend/commands/variable.c).
bool is_transaction_setting(std::string_view setting);

// What a setting of type boolean makes of a value: the words true, false, yes, no, on, off or a beginning of
// theirs that is no other's, 1, 0, in any case (PostgreSQL 15 manual, "Setting Parameters"). Nothing: no such
// value.
std::optional<bool> find_boolean(std::string_view value);

}  // namespace mosaic::routing
