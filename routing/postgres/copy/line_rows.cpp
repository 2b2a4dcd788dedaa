#include "routing/postgres/copy/line_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "routing/postgres/copy/field_text.h"

namespace mosaic::routing {

namespace {

constexpr std::string_view kMisplacedMarker = "end-of-copy marker \\. is not alone on its line";
constexpr std::string_view kCarriageReturn = "carriage return in the data";
constexpr std::string_view kKeyTooLong = "the shard key's value is too long";
constexpr std::string_view kNoKey = "the row ends before the shard key's column";

}  // namespace

LineRows::LineRows(const CopyTarget& target, const KeyEncoding& encoding, size_t key_bytes_max)
    : is_csv_(target.format == CopyTarget::Format::kCsv),
      quote_(target.quote),
      escape_(target.escape),
      null_text_(target.null_text),
      key_column_(target.key_column),
      is_header_(target.has_header),
      next_delimiter_{target.delimiter},
      next_special_{is_csv_ ? target.quote : '\\'},
      next_escape_{target.escape},
      partial_key_(key_bytes_max),
      encoding_(encoding) {}

NextCopyKey LineRows::next(std::string_view& chunk) {
  if (is_csv_ && (next_delimiter_.byte == '\\' || quote_ == '\\')) {
    return copy_error(row_, column_, "a backslash as delimiter or quote can not be told from the marker \\.");
  }
  if (!encoding_.is_readable()) {
    Error error = copy_error(row_, column_, fmt::format("rows in the encoding {}", encoding_.name()));
    error.hint = "Its characters may contain bytes that end a field. Send the rows as UTF8: ENCODING 'UTF8'.";
    return error;
  }
  begin_chunk(chunk);
  found_.reset();
  while (at_ < end_ && !found_) {
    if (!step()) return failure_;
  }
  // A key still open goes on in the next chunk.
  if (!keep_partial_key()) return failure_;
  chunk = std::string_view(at_, static_cast<size_t>(end_ - at_));
  return found_;
}

NextCopyKey LineRows::finish() {
  found_.reset();
  if (!end_data()) return failure_;
  return found_;
}

bool LineRows::end_data() {
  const Place place = std::exchange(place_, Place::kFinished);
  switch (place) {
    case Place::kCarriageReturn:
      return line_end_ != LineEnd::kBoth || fail(kCarriageReturn);
    case Place::kLineStart:
    case Place::kEnded:
    case Place::kFinished:
      return true;
    case Place::kQuoted:
    case Place::kQuotedEscape:
      // PostgreSQL takes no field out of a header, and so does not mind.
      return is_header_ || fail("unterminated quoted field");
    case Place::kMarker:
      if (!is_csv_) return true;
      break;
    case Place::kField:
    case Place::kBackslash:
      break;
  }
  ends_in_backslash_ = !is_csv_ && place == Place::kBackslash;
  field_begin_ = at_ = end_ = nullptr;
  return has_key_ || end_last_field(end_);
}

void LineRows::begin_chunk(std::string_view chunk) {
  const char* begin = chunk.data();
  const char* end = begin + chunk.size();
  // What was found in the rest of a chunk still stands when the rest is handed in again.
  if (begin != at_ || end != end_ || begin == end) {
    for (NextByte* byte : {&next_newline_, &next_return_, &next_delimiter_, &next_special_, &next_escape_}) {
      byte->at = nullptr;
    }
  }
  at_ = field_begin_ = begin;
  end_ = end;
}

bool LineRows::step() {
  switch (place_) {
    case Place::kLineStart:
      if (!is_header_) ++row_;
      column_ = 0;
      has_key_ = is_header_;
      has_quote_ = has_backslash_ = false;
      partial_key_.clear();
      field_begin_ = at_;
      place_ = Place::kField;
      may_be_marker_ = *at_ == '\\';
      if (may_be_marker_) {
        has_backslash_ = true;
        place_ = Place::kBackslash;
        ++at_;
      }
      return true;
    case Place::kField:
      return on_field_byte();
    case Place::kBackslash:
      return on_backslash();
    case Place::kMarker:
      return on_marker();
    case Place::kQuoted:
      return on_quoted();
    case Place::kQuotedEscape:
      ++at_;
      place_ = Place::kQuoted;
      return true;
    case Place::kCarriageReturn:
      if (*at_ == '\n') {
        line_end_ = LineEnd::kBoth;
        ++at_;
      } else if (line_end_ == LineEnd::kBoth) {
        return fail(kCarriageReturn);
      } else {
        line_end_ = LineEnd::kCarriageReturn;
      }
      place_ = Place::kLineStart;
      return true;
    case Place::kEnded:
    case Place::kFinished:
      break;
  }
  return on_data_behind_end();
}

bool LineRows::on_field_byte() {
  const char* stop =
      std::min({next_newline_.find(at_, end_), next_return_.find(at_, end_), next_special_.find(at_, end_)});
  if (!has_key_) stop = std::min(stop, next_delimiter_.find(at_, end_));
  at_ = stop;
  if (stop == end_) return true;
  const char c = *at_++;
  if (c == '\n' || c == '\r') {
    return (has_key_ || end_last_field(stop)) && end_line(c);
  }
  if (c == next_special_.byte) {
    place_ = is_csv_ ? Place::kQuoted : Place::kBackslash;
    (is_csv_ ? has_quote_ : has_backslash_) = true;
    may_be_marker_ = false;
    return true;
  }
  return end_field(stop);
}

bool LineRows::on_backslash() {
  if (*at_ == '.') {
    // PostgreSQL before 18 takes a marker at the end of a row as the end of both, 18 refuses it.
    if (!may_be_marker_) return fail(kMisplacedMarker);
    place_ = Place::kMarker;
    ++at_;
    return true;
  }
  // In text whatever follows a backslash is data, even a line end; in csv the backslash was, and this is any
  // byte.
  if (!is_csv_) ++at_;
  place_ = Place::kField;
  return true;
}

bool LineRows::on_marker() {
  if (*at_ == '\n' || *at_ == '\r') {
    has_key_ = true;  // the line is no row
    place_ = Place::kEnded;
    return true;
  }
  if (!is_csv_) return fail(kMisplacedMarker);
  place_ = Place::kField;
  return true;
}

bool LineRows::on_quoted() {
  const char* stop = next_special_.find(at_, end_);
  if (escape_ != quote_) stop = std::min(stop, next_escape_.find(at_, end_));
  at_ = stop;
  if (at_ == end_) return true;
  // When quote and escape are the same byte, each one opens or closes: "" closes and opens at once.
  place_ = *at_ == quote_ ? Place::kField : Place::kQuotedEscape;
  ++at_;
  return true;
}

bool LineRows::on_data_behind_end() {
  // PostgreSQL ignores what stands behind the marker in text format; in csv 18 does not know the marker at
  // all, so that rows behind it would be stored without having been checked.
  const bool is_ignored = place_ == Place::kEnded && (!is_csv_ || *at_ == '\n' || *at_ == '\r');
  if (!is_ignored) return fail("data behind the end of the data");
  at_ = is_csv_ ? at_ + 1 : end_;
  return true;
}

// The field before `field_end` is complete.
bool LineRows::end_field(const char* field_end) {
  if (!is_reading_key()) {
    ++column_;
    has_quote_ = has_backslash_ = false;
    field_begin_ = at_;
    return true;
  }
  auto raw =
      partial_key_.complete(std::string_view(field_begin_, static_cast<size_t>(field_end - field_begin_)));
  if (!raw) return fail(kKeyTooLong);
  // PostgreSQL ends the field before a backslash behind which there is nothing.
  if (ends_in_backslash_) raw->remove_suffix(1);
  CopyKey key;
  key.row = row_;
  key.is_null = !has_quote_ && *raw == null_text_;
  // Before the escapes are read, as the server does: they stand for bytes of the database's encoding.
  const auto converted = encoding_.convert(*raw);
  if (!converted) {
    failure_ = converted.error();
    failure_.detail = fmt::format("COPY, row {}, column {}. {}", row_, column_ + 1, failure_.detail);
    return false;
  }
  raw = *converted;
  key.value = *raw;
  if (!key.is_null && (is_csv_ ? has_quote_ : has_backslash_)) {
    decoded_.clear();
    if (is_csv_) {
      append_unquoted(decoded_, *raw, quote_, escape_);
    } else {
      append_unescaped(decoded_, *raw);
    }
    key.value = decoded_;
  }
  found_ = key;
  has_key_ = true;
  return true;
}

// The field before `field_end` is the last one of a row whose key has not come yet.
bool LineRows::end_last_field(const char* field_end) {
  return end_field(field_end) && (has_key_ || fail(kNoKey));
}

bool LineRows::keep_partial_key() {
  if (!is_reading_key()) return true;
  const auto length = static_cast<size_t>(end_ - field_begin_);
  return partial_key_.keep({field_begin_, length}) || fail(kKeyTooLong);
}

// `c`, which ends the line, has been passed.
bool LineRows::end_line(char c) {
  is_header_ = false;
  if (c == '\n') {
    if (line_end_ == LineEnd::kCarriageReturn || line_end_ == LineEnd::kBoth)
      return fail("newline in the data");
    line_end_ = LineEnd::kNewline;
    place_ = Place::kLineStart;
    return true;
  }
  if (line_end_ == LineEnd::kNewline) return fail(kCarriageReturn);
  place_ = line_end_ == LineEnd::kCarriageReturn ? Place::kLineStart : Place::kCarriageReturn;
  return true;
}

}  // namespace mosaic::routing
