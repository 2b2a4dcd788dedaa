// Any bytes as COPY data. How the data is cut into chunks must not matter, and in text and csv format the
// keys must be those that a reader in two passes over the whole data finds: first lines, then fields, as
// PostgreSQL does it. Bytes 0 to 2 of the input choose format, columns and chunks.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/postgres/copy_rows.h"
#include "tests/fuzz/require.h"

namespace {

using namespace mosaic::routing;
using Format = CopyTarget::Format;

constexpr size_t kKeyBytesMax = 64;

struct Outcome {
  std::vector<std::optional<std::string>> keys;
  bool has_error = false;
  bool operator==(const Outcome&) const = default;
};

CopyTarget make_target(uint8_t options, uint8_t columns) {
  CopyTarget target;
  target.format = options % 3 == 0 ? Format::kText : options % 3 == 1 ? Format::kCsv : Format::kBinary;
  const bool is_csv = target.format == Format::kCsv;
  if (is_csv) {
    target.delimiter = ',';
    target.null_text = "";
  }
  if ((options & 0x10) != 0) target.delimiter = '|';
  if ((options & 0x20) != 0) target.null_text = "N";
  if ((options & 0x40) != 0 && is_csv) target.escape = '\\';
  if ((options & 0x80) != 0 && is_csv) target.quote = '\'';
  if (target.quote == '\'' && target.escape == '"') target.escape = '\'';
  target.has_header = target.format != Format::kBinary && (columns & 0x10) != 0;
  target.key_column = columns % 4;
  return target;
}

Outcome stream(const CopyTarget& target, std::string_view data, size_t step) {
  CopyRows rows(target, ClientEncoding::kUtf8, kKeyBytesMax);
  Outcome outcome;
  const auto add = [&outcome](const Result<std::optional<CopyKey>>& key) {
    if (!key) {
      outcome.has_error = true;
      return false;
    }
    if (!*key) return false;
    require((*key)->row == outcome.keys.size() + 1 && (*key)->value.size() <= kKeyBytesMax);
    outcome.keys.push_back((*key)->is_null ? std::nullopt : std::optional<std::string>((*key)->value));
    return true;
  };
  while (!data.empty() && !outcome.has_error) {
    const size_t count = std::min(step, data.size());
    // Memory of its own for each chunk: a view kept over chunks is a use after free.
    const std::unique_ptr<char[]> copy(new char[count]);
    data.copy(copy.get(), count);
    data.remove_prefix(count);
    std::string_view chunk(copy.get(), count);
    while (add(rows.next(chunk))) require(chunk.data() + chunk.size() == copy.get() + count);
    require(outcome.has_error || chunk.empty());
  }
  if (!outcome.has_error) {
    while (add(rows.finish())) {
    }
  }
  return outcome;
}

// --- the reader in two passes ---

// Takes a line off `data`; nothing when the streaming reader must fail there or the marker ends the data.
struct Line {
  std::string_view text;
  std::string end;  // "" for the last one
  bool is_marker = false;
  bool is_refused = false;
  bool is_unterminated = false;  // a quote is open at the end of the data
};

Line take_line(std::string_view& data, const CopyTarget& target) {
  const bool is_csv = target.format == Format::kCsv;
  bool is_quoted = false;
  size_t at = 0;
  Line line;
  for (; at < data.size(); ++at) {
    const char c = data[at];
    if (is_csv) {
      if (is_quoted && c == target.escape && target.escape != target.quote) {
        ++at;
        continue;
      }
      if (c == target.quote) is_quoted = !is_quoted;
    } else if (c == '\\') {
      // A marker within a line is refused; one that begins a line and has company is refused too.
      if (data.substr(at + 1, 1) == "." && at > 0) line.is_refused = true;
      ++at;
      continue;
    }
    if (!is_quoted && (c == '\n' || c == '\r')) break;
  }
  at = std::min(at, data.size());
  if (is_quoted) line.is_unterminated = true;
  line.text = data.substr(0, at);
  data.remove_prefix(at);
  if (!data.empty()) {
    line.end = data.starts_with("\r\n") ? "\r\n" : std::string(1, data[0]);
    data.remove_prefix(line.end.size());
  }
  if (is_csv) {
    line.is_marker = line.text == "\\." && !line.end.empty();
  } else if (line.text.starts_with("\\.")) {
    (line.text.size() == 2 ? line.is_marker : line.is_refused) = true;
  }
  return line;
}

std::vector<std::string_view> raw_fields(std::string_view line, const CopyTarget& target) {
  std::vector<std::string_view> fields;
  bool is_quoted = false;
  size_t begin = 0;
  for (size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (target.format == Format::kText) {
      if (c == '\\') {
        ++at;
        continue;
      }
    } else if (is_quoted && target.escape != target.quote && c == target.escape) {
      ++at;
      continue;
    } else if (c == target.quote) {
      is_quoted = !is_quoted;
    }
    if (c != target.delimiter || is_quoted) continue;
    fields.push_back(line.substr(begin, at - begin));
    begin = at + 1;
  }
  fields.push_back(line.substr(begin));
  return fields;
}

bool ends_in_lone_backslash(std::string_view raw) {
  size_t count = 0;
  while (count < raw.size() && raw[raw.size() - 1 - count] == '\\') ++count;
  return count % 2 == 1;
}

Outcome read_in_two_passes(const CopyTarget& target, std::string_view data) {
  Outcome outcome;
  std::string first_end;
  bool is_header = target.has_header;
  while (!data.empty()) {
    Line line = take_line(data, target);
    if (line.is_unterminated && !is_header) line.is_refused = true;
    if (line.is_marker) {
      if (target.format == Format::kCsv && data.find_first_not_of("\r\n") != std::string_view::npos)
        outcome.has_error = true;
      return outcome;
    }
    const bool is_other_end = !line.end.empty() && !first_end.empty() && line.end != first_end;
    if (first_end.empty()) first_end = line.end;
    const auto fields = raw_fields(line.text, target);
    const auto key_column = static_cast<size_t>(target.key_column);
    if (!is_header && fields.size() > key_column && !line.is_refused && !is_other_end) {
      std::string_view raw = fields[key_column];
      if (raw.size() > kKeyBytesMax) {
        outcome.has_error = true;
        return outcome;
      }
      // A last backslash, with nothing behind it, is no part of the field (PostgreSQL,
      // CopyReadAttributesText() in copyfromparse.c).
      if (target.format == Format::kText && ends_in_lone_backslash(raw)) raw.remove_suffix(1);
      const bool is_quoted =
          target.format == Format::kCsv && raw.find(target.quote) != std::string_view::npos;
      // What a value means is the unit tests' business; here only where it begins and ends.
      outcome.keys.push_back(!is_quoted && raw == target.null_text ? std::nullopt
                                                                   : std::optional<std::string>(raw));
    } else if (!is_header || line.is_refused || is_other_end) {
      outcome.has_error = true;
      return outcome;
    }
    is_header = false;
  }
  return outcome;
}

bool needs_decoding(const CopyTarget& target, std::string_view raw) {
  return raw.find(target.format == Format::kText ? '\\' : target.quote) != std::string_view::npos;
}

// Errors may come later in the stream than in the passes (a key is given before its row is complete), never
// earlier.
void require_agreement(const CopyTarget& target, const Outcome& streamed, const Outcome& passed) {
  require(streamed.has_error == passed.has_error);
  require(passed.has_error ? streamed.keys.size() >= passed.keys.size()
                           : streamed.keys.size() == passed.keys.size());
  for (size_t i = 0; i < passed.keys.size(); ++i) {
    if (passed.keys[i] && needs_decoding(target, *passed.keys[i])) {
      require(streamed.keys[i].has_value() && streamed.keys[i]->size() <= passed.keys[i]->size());
    } else {
      require(streamed.keys[i] == passed.keys[i]);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const CopyTarget target = make_target(data[0], data[1]);
  const size_t step = size_t{data[2]} + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 3), size - 3);

  const Outcome whole = stream(target, bytes, size);
  require(stream(target, bytes, step) == whole);
  require(stream(target, bytes, 1) == whole);
  if (target.format != Format::kBinary) require_agreement(target, whole, read_in_two_passes(target, bytes));
  return 0;
}
