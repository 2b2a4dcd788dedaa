#pragma once
// One field of COPY data in text or csv format, as it stands between its delimiters, to the value that it
// means (PostgreSQL manual, COPY, "File Formats").

#include <string>
#include <string_view>

namespace mosaic::routing {

// Undoes backslash sequences: \b \f \n \r \t \v, octal, hexadecimal; any other character stands for itself.
void append_unescaped(std::string& value, std::string_view raw);

// Undoes csv quoting; quotes may open and close anywhere in the field.
void append_unquoted(std::string& value, std::string_view raw, char quote, char escape);

}  // namespace mosaic::routing
