#include "routing/copy/line_rows.h"

#include <algorithm>
#include <utility>

#include "routing/copy/field_text.h"

namespace mosaic::routing {

namespace {

constexpr std::string_view kMisplacedMarker = "end-of-copy marker \\. is not alone on its line";
constexpr std::string_view kKeyTooLong = "the shard key's value is too long";
constexpr std::string_view kNoKey = "the row ends before the shard key's column";

}  // namespace

LineRows::LineRows(const CopyTarget& target, size_t key_bytes_max)
    : is_csv_(target.format == CopyTarget::Format::kCsv),
      quote_(target.quote),
      escape_(target.escape),
      null_text_(target.null_text),
      key_column_(target.key_column),
      is_header_(target.has_header),
      next_delimiter_{target.delimiter},
      next_special_{is_csv_ ? target.quote : '\\'},
      next_escape_{target.escape},
      partial_key_(key_bytes_max) {}

NextCopyKey LineRows::next(std::string_view& chunk) {
  if (is_csv_ && (next_delimiter_.byte == '\\' || quote_ == '\\')) {
    return error("a backslash as delimiter or quote can not be told from the marker \\.");
  }
  begin_chunk(chunk);
  found_.reset();
  while (at_ < end_ && !found_) {
    if (const Status status = step(); !status) return status.error();
  }
  // A key still open goes on in the next chunk.
  if (const Status status = keep_partial_key(); !status) return status.error();
  chunk = std::string_view(at_, static_cast<size_t>(end_ - at_));
  return found_;
}

NextCopyKey LineRows::finish() {
  found_.reset();
  const Place last = std::exchange(place_, Place::kFinished);
  switch (last) {
    case Place::kLineStart:
    case Place::kCarriageReturn:
    case Place::kEnded:
    case Place::kFinished:
      return found_;
    case Place::kQuoted:
    case Place::kQuotedEscape:
      return error("unterminated quoted field");
    case Place::kMarker:
      if (!is_csv_) return found_;
      break;
    case Place::kField:
    case Place::kBackslash:
      break;
  }
  if (has_key_) return found_;
  field_begin_ = at_ = end_ = nullptr;
  if (const Status status = end_field(end_); !status) return status.error();
  if (!has_key_) return error(kNoKey);
  return found_;
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

Status LineRows::step() {
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
      return {};
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
      return {};
    case Place::kCarriageReturn:
      if (*at_ == '\n') {
        line_end_ = LineEnd::kBoth;
        ++at_;
      } else if (line_end_ == LineEnd::kBoth) {
        return error("carriage return in the data");
      } else {
        line_end_ = LineEnd::kCarriageReturn;
      }
      place_ = Place::kLineStart;
      return {};
    case Place::kEnded:
    case Place::kFinished:
      break;
  }
  return on_data_behind_end();
}

Status LineRows::on_field_byte() {
  const char* stop =
      std::min({next_newline_.find(at_, end_), next_return_.find(at_, end_), next_special_.find(at_, end_)});
  if (!has_key_) stop = std::min(stop, next_delimiter_.find(at_, end_));
  at_ = stop;
  if (stop == end_) return {};
  const char c = *at_++;
  if (c == '\n' || c == '\r') {
    if (!has_key_) {
      if (const Status status = end_field(stop); !status) return status;
      if (!has_key_) return error(kNoKey);
    }
    return end_line(c);
  }
  if (c == next_special_.byte) {
    place_ = is_csv_ ? Place::kQuoted : Place::kBackslash;
    (is_csv_ ? has_quote_ : has_backslash_) = true;
    may_be_marker_ = false;
    return {};
  }
  return end_field(stop);
}

Status LineRows::on_backslash() {
  if (*at_ == '.') {
    // PostgreSQL before 18 takes a marker at the end of a row as the end of both, 18 refuses it.
    if (!may_be_marker_) return error(kMisplacedMarker);
    place_ = Place::kMarker;
    ++at_;
    return {};
  }
  // In text whatever follows a backslash is data, even a line end; in csv the backslash was, and this is any
  // byte.
  if (!is_csv_) ++at_;
  place_ = Place::kField;
  return {};
}

Status LineRows::on_marker() {
  if (*at_ == '\n' || *at_ == '\r') {
    has_key_ = true;  // the line is no row
    place_ = Place::kEnded;
    return {};
  }
  if (!is_csv_) return error(kMisplacedMarker);
  place_ = Place::kField;
  return {};
}

Status LineRows::on_quoted() {
  const char* stop = next_special_.find(at_, end_);
  if (escape_ != quote_) stop = std::min(stop, next_escape_.find(at_, end_));
  at_ = stop;
  if (at_ == end_) return {};
  // When quote and escape are the same byte, each one opens or closes: "" closes and opens at once.
  place_ = *at_ == quote_ ? Place::kField : Place::kQuotedEscape;
  ++at_;
  return {};
}

Status LineRows::on_data_behind_end() {
  // PostgreSQL ignores what stands behind the marker in text format; in csv 18 does not know the marker at
  // all, so that rows behind it would be stored without having been checked.
  const bool is_ignored = place_ == Place::kEnded && (!is_csv_ || *at_ == '\n' || *at_ == '\r');
  if (!is_ignored) return error("data behind the end of the data");
  at_ = is_csv_ ? at_ + 1 : end_;
  return {};
}

// The field before `field_end` is complete.
Status LineRows::end_field(const char* field_end) {
  if (!is_reading_key()) {
    ++column_;
    has_quote_ = has_backslash_ = false;
    field_begin_ = at_;
    return {};
  }
  const auto raw =
      partial_key_.complete(std::string_view(field_begin_, static_cast<size_t>(field_end - field_begin_)));
  if (!raw) return error(kKeyTooLong);
  CopyKey key;
  key.row = row_;
  key.is_null = !has_quote_ && *raw == null_text_;
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
  return {};
}

Status LineRows::keep_partial_key() {
  if (!is_reading_key()) return {};
  const auto length = static_cast<size_t>(end_ - field_begin_);
  return partial_key_.keep({field_begin_, length}) ? Status() : error(kKeyTooLong);
}

// `c`, which ends the line, has been passed.
Status LineRows::end_line(char c) {
  is_header_ = false;
  if (c == '\n') {
    if (line_end_ == LineEnd::kCarriageReturn || line_end_ == LineEnd::kBoth)
      return error("newline in the data");
    line_end_ = LineEnd::kNewline;
    place_ = Place::kLineStart;
    return {};
  }
  if (line_end_ == LineEnd::kNewline) return error("carriage return in the data");
  place_ = line_end_ == LineEnd::kCarriageReturn ? Place::kLineStart : Place::kCarriageReturn;
  return {};
}

}  // namespace mosaic::routing
