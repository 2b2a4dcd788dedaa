#pragma once
// What besides its bytes decides how a statement's text is cut into tokens, and which values its literals
// have. A server reports it to its client: sessions follow that (PostgreSQL manual, "ParameterStatus").

namespace mosaic::routing {

struct Reading {
  // Off: a backslash in '...' escapes the next character, as in E'...', and U&'...' is an error. Bit strings,
  // E'...', $$...$$ and identifiers are read alike either way (src/backend/parser/scan.l, xqstart and
  // xusstart).
  bool standard_conforming_strings = true;
  bool operator==(const Reading&) const = default;
};

}  // namespace mosaic::routing
