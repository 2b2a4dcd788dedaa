#pragma once
// Rows of COPY data in text and csv format: finds the fields' ends without looking at more than the key's
// bytes. Agrees with PostgreSQL on where rows and fields end, or fails: a row that is read differently here
// would be checked for the wrong key. Called by CopyRows.

#include <cstring>
#include <string>

#include "routing/postgres/copy/row_reader.h"

namespace mosaic::routing {

class LineRows : public RowReader {
 public:
  LineRows(const CopyTarget& target, const KeyEncoding& encoding, size_t key_bytes_max);
  NextCopyKey next(std::string_view& chunk) override;
  NextCopyKey finish() override;

 private:
  // Where the next byte stands.
  enum class Place : uint8_t {
    kLineStart,
    kField,         // not behind a backslash, not in quotes
    kBackslash,     // text: behind a backslash. csv: behind one that begins a line, the only one that counts
    kMarker,        // behind the \. that begins a line
    kQuoted,        // csv, in quotes
    kQuotedEscape,  // csv, in quotes, behind an escape character that is not the quote
    kCarriageReturn,  // behind a \r that ended a line: a \n may belong to it
    kEnded,           // behind the line of the \. marker
    kFinished,        // finish() was called
  };
  // As PostgreSQL, the first line end decides what all must be.
  enum class LineEnd : uint8_t { kUnknown, kNewline, kCarriageReturn, kBoth };

  // The next place of one byte in the chunk, kept until it is passed: whatever the order of searches, each
  // byte of a chunk is searched once for each of them.
  struct NextByte {
    char byte;
    const char* at = nullptr;  // the chunk's end: there is none
    const char* find(const char* from, const char* end) {
      if (at == nullptr || at < from) {
        at = from == end ? nullptr
                         : static_cast<const char*>(std::memchr(from, byte, static_cast<size_t>(end - from)));
        if (at == nullptr) at = end;
      }
      return at;
    }
  };

  void begin_chunk(std::string_view chunk);
  // These return false, and leave the reason in failure_, when the data can not be read. No Status: it would
  // be the larger part of their work.
  bool step();
  bool on_field_byte();
  bool on_backslash();
  bool on_marker();
  bool on_quoted();
  bool on_data_behind_end();
  bool end_field(const char* field_end);
  bool end_last_field(const char* field_end);
  bool end_line(char c);
  bool end_data();
  bool keep_partial_key();
  bool is_reading_key() const { return !has_key_ && column_ == key_column_; }
  bool fail(std::string_view what) {
    failure_ = copy_error(row_, column_, what);
    return false;
  }

  // What the COPY statement says.
  const bool is_csv_;
  const char quote_, escape_;
  const std::string null_text_;
  const int key_column_;

  // Where we are.
  Place place_ = Place::kLineStart;
  LineEnd line_end_ = LineEnd::kUnknown;
  bool is_header_;    // the line being read is the header
  uint64_t row_ = 0;  // of the line being read; 0 in the header
  int column_ = 0;
  bool has_key_ = false;            // of the line being read, or there is none to be had
  bool has_quote_ = false;          // in the field so far
  bool has_backslash_ = false;      // in the field so far
  bool may_be_marker_ = false;      // kBackslash: it begins the line
  bool ends_in_backslash_ = false;  // text: the last byte of all data is a backslash that escapes nothing
  std::optional<CopyKey> found_;
  Error failure_;

  // The chunk.
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  const char* field_begin_ = nullptr;  // of the key's bytes in this chunk
  NextByte next_newline_{'\n'}, next_return_{'\r'}, next_delimiter_, next_special_, next_escape_;
  PartialBytes partial_key_;
  KeyEncoding encoding_;
  std::string decoded_;
};

}  // namespace mosaic::routing
