#include "routing/postgres/copy_rows.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "routing/sqlstate.h"

namespace mosaic::routing {
namespace {

using namespace std::string_literals;
using Format = CopyTarget::Format;

CopyTarget text_target(int key_column = 0) {
  CopyTarget target;
  target.key_column = key_column;
  return target;
}

CopyTarget csv_target(int key_column = 0) {
  CopyTarget target;
  target.format = Format::kCsv;
  target.delimiter = ',';
  target.null_text = "";
  target.key_column = key_column;
  return target;
}

CopyTarget binary_target(int key_column = 0) {
  CopyTarget target;
  target.format = Format::kBinary;
  target.key_column = key_column;
  return target;
}

// What came out of some data: "row=value" for each key (NULL as such), and the error that ended it.
struct Keys {
  std::vector<std::string> keys;
  std::string error;
  bool operator==(const Keys&) const = default;
};

void PrintTo(const Keys& keys, std::ostream* out) {
  *out << testing::PrintToString(keys.keys) << " error: " << keys.error;
}

// Feeds `data` in chunks of `step` bytes, each in memory of its own, so that a view kept too long is a use
// after free.
Keys read_in_steps(const CopyTarget& target, std::string_view data, size_t step,
                   size_t key_bytes_max = 4096) {
  CopyRows rows(target, ClientEncoding::kUtf8, key_bytes_max);
  Keys result;
  const auto add = [&](const Result<std::optional<CopyKey>>& key) {
    if (!key) {
      EXPECT_EQ(key.error().sqlstate, sqlstate::kUnusableKey);
      result.error = key.error().message;
    } else if (*key) {
      EXPECT_EQ((*key)->is_binary, target.format == Format::kBinary);
      result.keys.push_back(std::to_string((*key)->row) + "=" +
                            ((*key)->is_null ? "NULL" : std::string((*key)->value)));
    }
    return key && *key;
  };
  while (!data.empty() && result.error.empty()) {
    const size_t count = std::min(step, data.size());
    const std::unique_ptr<char[]> copy(new char[count]);
    data.copy(copy.get(), count);
    data.remove_prefix(count);
    std::string_view chunk(copy.get(), count);
    while (add(rows.next(chunk))) {
    }
    EXPECT_TRUE(chunk.empty() || !result.error.empty());
  }
  if (result.error.empty()) {
    while (add(rows.finish())) {
    }
  }
  return result;
}

// The same whatever the chunks are.
Keys read(const CopyTarget& target, const std::string& data) {
  const Keys whole = read_in_steps(target, data, data.size());
  for (const size_t step : {1, 2, 3, 5, 7, 16}) EXPECT_EQ(read_in_steps(target, data, step), whole) << step;
  return whole;
}

std::vector<std::string> keys_of(const CopyTarget& target, const std::string& data) {
  const Keys keys = read(target, data);
  EXPECT_EQ(keys.error, "") << testing::PrintToString(data);
  return keys.keys;
}
std::string error_of(const CopyTarget& target, const std::string& data) { return read(target, data).error; }

using List = std::vector<std::string>;

// --- text ---

TEST(CopyText, gives_the_key_of_each_row) {
  const std::string data = "1\ta\tx\n22\tb\ty\n333\tc\tz\n";
  EXPECT_EQ(keys_of(text_target(0), data), (List{"1=1", "2=22", "3=333"}));
  EXPECT_EQ(keys_of(text_target(1), data), (List{"1=a", "2=b", "3=c"}));
  EXPECT_EQ(keys_of(text_target(2), data), (List{"1=x", "2=y", "3=z"}));
}

TEST(CopyText, needs_no_line_end_behind_the_last_row) {
  EXPECT_EQ(keys_of(text_target(0), "1\ta\n2\tb"), (List{"1=1", "2=2"}));
  EXPECT_EQ(keys_of(text_target(1), "1\ta\n2\tb"), (List{"1=a", "2=b"}));
  EXPECT_EQ(keys_of(text_target(0), ""), List{});
}

TEST(CopyText, undoes_backslash_sequences_in_the_key) {
  EXPECT_EQ(keys_of(text_target(1), "x\ta\\tb\\n\\\\\\q\\101\\x4a\\x\tz\n"), (List{"1=a\tb\n\\qAJx"}));
  EXPECT_EQ(keys_of(text_target(0), "\\0601\\8\\x414\tz\n"), (List{"1=018A4"}));
  EXPECT_EQ(keys_of(text_target(0), "\\b\\f\\r\\v\n"), (List{"1=\b\f\r\v"}));
}

TEST(CopyText, takes_escaped_delimiters_and_line_ends_as_data) {
  EXPECT_EQ(keys_of(text_target(1), "a\\\tb\\\nc\\\\\t1\n\\\r\t2\n"), (List{"1=1", "2=2"}));
  EXPECT_EQ(keys_of(text_target(0), "a\\\tb\\\nc\t1\nd\t2\n"), (List{"1=a\tb\nc", "2=d"}));
  EXPECT_EQ(keys_of(text_target(0), "1\ta\\\n2\tb\n"), (List{"1=1"})) << "the first row goes on";
}

TEST(CopyText, compares_null_before_backslashes_are_undone) {
  EXPECT_EQ(keys_of(text_target(0), "\\N\ta\n\\\\N\tb\nN\tc\n"), (List{"1=NULL", "2=\\N", "3=N"}));
  CopyTarget target = text_target(0);
  target.null_text = "null";
  EXPECT_EQ(keys_of(target, "null\nnul\\l\n\\N\n"), (List{"1=NULL", "2=null", "3=N"}));
}

TEST(CopyText, knows_all_three_line_ends) {
  EXPECT_EQ(keys_of(text_target(1), "1\ta\r\n2\tb\r\n"), (List{"1=a", "2=b"}));
  EXPECT_EQ(keys_of(text_target(1), "1\ta\r2\tb\r3\tc"), (List{"1=a", "2=b", "3=c"}));
}

TEST(CopyText, refuses_mixed_line_ends_as_postgresql_does) {
  for (const std::string& data : {"1\n2\r\n"s, "1\r\n2\n"s, "1\r2\n"s, "1\r\n2\r3\n"s, "1\n2\r3\n"s}) {
    EXPECT_NE(error_of(text_target(), data), "") << testing::PrintToString(data);
  }
}

TEST(CopyText, ends_at_the_marker_and_ignores_the_rest) {
  EXPECT_EQ(keys_of(text_target(0), "1\ta\n\\.\nrubbish\r\n"), (List{"1=1"}));
  EXPECT_EQ(keys_of(text_target(1), "1\ta\r\n\\.\r\nrubbish\n"), (List{"1=a"}));
  EXPECT_EQ(keys_of(text_target(0), "1\ta\n\\."), (List{"1=1"}));
  EXPECT_EQ(keys_of(text_target(0), "\\\\.\n"), (List{"1=\\."})) << "an escaped backslash is none";
}

TEST(CopyText, refuses_a_marker_that_is_not_alone) {
  EXPECT_EQ(error_of(text_target(0), "1\n\\.x\n"),
            "COPY: end-of-copy marker \\. is not alone on its line in row 2, "
            "column 1");
  EXPECT_NE(error_of(text_target(0), "1\ta\\.\n2\n"), "");
  EXPECT_NE(error_of(text_target(1), "1\\.\t2\n"), "");
}

TEST(CopyText, skips_the_header) {
  CopyTarget target = text_target(1);
  target.has_header = true;
  EXPECT_EQ(keys_of(target, "id\tkey\\\nname\n1\ta\n2\tb\n"), (List{"1=a", "2=b"}));
  EXPECT_EQ(keys_of(target, "short\n1\ta\n"), (List{"1=a"}));
  EXPECT_EQ(keys_of(target, "id\tkey\n"), List{});
}

TEST(CopyText, says_which_row_has_no_key) {
  EXPECT_EQ(error_of(text_target(2), "1\t2\t3\n4\t5\n"),
            "COPY: the row ends before the shard key's column in row 2, column 3");
  EXPECT_EQ(error_of(text_target(1), "1\t2\n3"),
            "COPY: the row ends before the shard key's column in row 2, column 2");
  EXPECT_EQ(error_of(text_target(1), "\n"),
            "COPY: the row ends before the shard key's column in row 1, column 2");
}

TEST(CopyText, ends_the_last_field_before_a_backslash_that_escapes_nothing) {
  CopyTarget target = text_target(1);
  target.null_text = "1";
  EXPECT_EQ(read(target, "a\t1\\").keys, (List{"1=NULL"}));
  EXPECT_EQ(read(target, "a\t1\\\\\\").keys, (List{"1=1\\"}));
  EXPECT_EQ(read(target, "a\t\\").keys, (List{"1="}));
}

TEST(CopyText, keeps_the_keys_before_an_error) {
  const Keys keys = read(text_target(1), "1\ta\n2\tb\n3\n");
  EXPECT_EQ(keys.keys, (List{"1=a", "2=b"}));
  EXPECT_NE(keys.error, "");
}

TEST(CopyText, gives_a_key_before_its_row_is_complete) {
  CopyRows rows(text_target(0));
  std::string_view chunk = "12\tabc";
  const auto key = rows.next(chunk);
  ASSERT_TRUE(key && *key);
  EXPECT_EQ((*key)->value, "12");
  EXPECT_EQ(chunk, "abc") << "only what was read is taken off";
}

TEST(CopyText, refuses_a_key_beyond_its_limit_however_it_is_cut) {
  for (const CopyTarget& target : {text_target(0), csv_target(0)}) {
    for (const size_t step : {1, 3, 100}) {
      EXPECT_EQ(read_in_steps(target, "123456789\n", step, 9).keys, (List{"1=123456789"}));
      EXPECT_EQ(read_in_steps(target, "1234567890\n", step, 9).error,
                "COPY: the shard key's value is too long in row 1, column 1");
    }
  }
  const std::string other_column = "1\t" + std::string(100'000, 'x') + "\n2\ty\n";
  EXPECT_EQ(read_in_steps(text_target(0), other_column, 1000, 9).keys, (List{"1=1", "2=2"}));
}

TEST(CopyText, refuses_data_after_finish) {
  CopyRows rows(text_target(0));
  std::string_view chunk = "1\n";
  ASSERT_TRUE(rows.next(chunk));
  ASSERT_TRUE(rows.finish());
  chunk = "2\n";
  EXPECT_FALSE(rows.next(chunk)) << "a row behind the end would go unchecked";
}

// --- csv ---

TEST(CopyCsv, gives_the_key_of_each_row) {
  const std::string data = "1,a,x\n22,b,y\n";
  EXPECT_EQ(keys_of(csv_target(0), data), (List{"1=1", "2=22"}));
  EXPECT_EQ(keys_of(csv_target(1), data), (List{"1=a", "2=b"}));
  EXPECT_EQ(keys_of(csv_target(2), data), (List{"1=x", "2=y"}));
}

TEST(CopyCsv, takes_quoted_delimiters_quotes_and_line_ends_as_data) {
  EXPECT_EQ(keys_of(csv_target(1), "\"a,b\r\nc\"\"d\",1\n\"\",2\n"), (List{"1=1", "2=2"}));
  EXPECT_EQ(keys_of(csv_target(0), "\"a,b\r\nc\"\"d\",1\n"), (List{"1=a,b\r\nc\"d"}));
  EXPECT_EQ(keys_of(csv_target(0), "a\"b,c\"d,1\n"), (List{"1=ab,cd"})) << "quotes open and close anywhere";
}

TEST(CopyCsv, knows_an_escape_that_is_not_the_quote) {
  CopyTarget target = csv_target(0);
  target.escape = '\\';
  EXPECT_EQ(keys_of(target, "\"a\\\"b\\\\\",1\n\"c\\d\",2\n\\e,3\n"), (List{"1=a\"b\\", "2=c\\d", "3=\\e"}));
  EXPECT_EQ(keys_of(target, "\"a\\\\\",1\n\"b\\\",\n\",2\n"), (List{"1=a\\", "2=b\",\n"}));
}

TEST(CopyCsv, tells_null_from_a_quoted_empty_string) {
  EXPECT_EQ(keys_of(csv_target(1), "1,\n2,\"\"\n3,\"\"x\n,4\n"), (List{"1=NULL", "2=", "3=x", "4=4"}));
  EXPECT_EQ(keys_of(csv_target(1), "\"q\",\n"), (List{"1=NULL"})) << "another column's quotes do not count";
}

TEST(CopyCsv, has_no_backslash_sequences) {
  EXPECT_EQ(keys_of(csv_target(0), "\\N,1\na\\,2\n\\t,3\nb\\.,4\n\\.c,5\n\\.,6\n"),
            (List{"1=\\N", "2=a\\", "3=\\t", "4=b\\.", "5=\\.c", "6=\\."}));
}

TEST(CopyCsv, knows_all_three_line_ends_and_refuses_mixed_ones) {
  EXPECT_EQ(keys_of(csv_target(1), "1,a\r\n2,b\r\n"), (List{"1=a", "2=b"}));
  EXPECT_EQ(keys_of(csv_target(1), "1,a\r2,b\r"), (List{"1=a", "2=b"}));
  EXPECT_EQ(keys_of(csv_target(1), "\"\n\",a\r\n2,b\r\n"), (List{"1=a", "2=b"}))
      << "quoted ones do not count";
  EXPECT_NE(error_of(csv_target(), "1\r\n2\n"), "");
  EXPECT_NE(error_of(csv_target(), "1\n2\r\n"), "");
}

TEST(CopyCsv, skips_a_header_with_quoted_line_ends) {
  CopyTarget target = csv_target(1);
  target.has_header = true;
  EXPECT_EQ(keys_of(target, "id,\"the\nkey\"\n1,a\n"), (List{"1=a"}));
}

TEST(CopyCsv, ends_at_the_marker_and_refuses_rows_behind_it) {
  EXPECT_EQ(keys_of(csv_target(), "1\n\\.\n"), (List{"1=1"}));
  EXPECT_EQ(keys_of(csv_target(), "1\r\n\\.\r\n"), (List{"1=1"}));
  EXPECT_EQ(keys_of(csv_target(), "\"\n\\.\n\"\n2\n"), (List{"1=\n\\.\n", "2=2"})) << "not within quotes";
  EXPECT_EQ(error_of(csv_target(), "1\n\\.\n2\n"),
            "COPY: data behind the end of the data in row 2, column 1");
}

TEST(CopyCsv, refuses_an_open_quote_at_the_end) {
  EXPECT_EQ(error_of(csv_target(), "1\n\"2\n"), "COPY: unterminated quoted field in row 2, column 1");
}

TEST(CopyCsv, refuses_a_backslash_as_delimiter_or_quote) {
  CopyTarget target = csv_target();
  target.delimiter = '\\';
  EXPECT_NE(error_of(target, "1\n"), "");
}

// --- binary ---

std::string i16(int value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
std::string i32(int64_t value) { return i16(static_cast<int>(value >> 16)) + i16(static_cast<int>(value)); }
std::string header(uint32_t flags = 0, const std::string& extension = "") {
  return "PGCOPY\n\xff\r\n\0"s + i32(flags) + i32(static_cast<int64_t>(extension.size())) + extension;
}
std::string field(const std::string& bytes) { return i32(static_cast<int64_t>(bytes.size())) + bytes; }

TEST(CopyBinary, gives_the_key_of_each_row) {
  const std::string data =
      header() + i16(2) + field("abcd") + field("1") + i16(2) + i32(-1) + field("") + i16(-1);
  EXPECT_EQ(keys_of(binary_target(0), data), (List{"1=abcd", "2=NULL"}));
  EXPECT_EQ(keys_of(binary_target(1), data), (List{"1=1", "2="}));
}

TEST(CopyBinary, skips_the_headers_extension_and_uncritical_flags) {
  EXPECT_EQ(keys_of(binary_target(), header(0xffff, "extension") + i16(1) + field("k") + i16(-1)),
            (List{"1=k"}));
  EXPECT_EQ(keys_of(binary_target(), header()), List{});
  EXPECT_EQ(keys_of(binary_target(), ""), List{});
}

TEST(CopyBinary, refuses_what_it_does_not_know) {
  const CopyTarget target = binary_target(1);
  const std::string row = i16(2) + field("a") + field("b");
  EXPECT_EQ(error_of(target, "1\ta\n2\tb\n3\tc\n4\td\n5\te\n"),
            "COPY: the data does not begin with the signature of binary COPY in the header");
  EXPECT_NE(error_of(target, header(1 << 16) + row), "") << "OIDs of old";
  EXPECT_NE(error_of(target, "PGCOPY\n\xff\r\n\0"s + i32(0) + i32(-1)), "");
  EXPECT_EQ(error_of(target, header() + row + i16(1) + field("a")),
            "COPY: the row ends before the shard key's column in row 2, column 1");
  EXPECT_NE(error_of(target, header() + i16(-2)), "");
  EXPECT_EQ(error_of(target, header() + i16(2) + i32(-2)),
            "COPY: a field has a negative length in row 1, column 1");
  EXPECT_NE(error_of(target, header() + row + i16(-1) + "x"), "") << "data behind the trailer";
}

TEST(CopyBinary, refuses_data_that_ends_within_a_row) {
  const std::string whole = header() + i16(2) + field("a") + field("b");
  EXPECT_EQ(error_of(binary_target(0), whole), "");
  for (size_t size = 1; size < whole.size(); ++size) {
    if (size == header().size()) continue;
    EXPECT_NE(error_of(binary_target(0), whole.substr(0, size)), "") << size;
  }
}

TEST(CopyBinary, refuses_a_key_beyond_its_limit_and_skips_long_fields) {
  const std::string data = header() + i16(2) + field(std::string(1000, 'x')) + field("123456789");
  for (const size_t step : {1, 7, 10'000}) {
    EXPECT_EQ(read_in_steps(binary_target(1), data, step, 9).keys, (List{"1=123456789"}));
    EXPECT_NE(read_in_steps(binary_target(0), data, step, 9).error, "");
  }
}

}  // namespace
}  // namespace mosaic::routing
