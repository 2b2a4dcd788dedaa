// The PostgreSQL wire codec: frames, what clients send, what we build and read back.

#include <gtest/gtest.h>

#include <string>

#include "routing/byte_buffer.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {
namespace {

using namespace std::string_literals;

// The body of the single frame that `out` holds; checks type and length.
std::string body_of(const ByteBuffer& out, char type) {
  const auto header = find_frame_header(out.view());
  EXPECT_TRUE(header && is_valid(*header));
  EXPECT_EQ(header->type, type);
  EXPECT_EQ(header->frame_bytes(), out.size());
  return std::string(out.view().substr(kFrameHeaderBytes));
}

// --- frames ---

TEST(FrameHeader, needs_five_bytes) {
  EXPECT_FALSE(find_frame_header(""));
  EXPECT_FALSE(find_frame_header("Q\0\0\0"s));
  const auto header = find_frame_header("Q\0\0\x01\x02"s);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->type, 'Q');
  EXPECT_EQ(header->body_bytes(), 254u);
  EXPECT_EQ(header->frame_bytes(), 259u);
}

TEST(FrameHeader, is_valid_from_4_bytes_to_2_gigabytes) {
  for (const uint32_t length : {4u, 5u, 0x7fffffffu})
    EXPECT_TRUE(is_valid(FrameHeader{'Q', length})) << length;
  for (const uint32_t length : {0u, 3u, 0x80000000u, 0xffffffffu}) {
    EXPECT_FALSE(is_valid(FrameHeader{'Q', length})) << length;
  }
}

TEST(BodyReader, reads_front_to_back) {
  const std::string body = "\x01\x02\x03\x00\x00\x00\x04name\0rest"s;
  BodyReader reader(body);
  EXPECT_EQ(reader.read_u8(), 1);
  EXPECT_EQ(reader.read_u16(), 0x203);
  EXPECT_EQ(reader.read_u32(), 4u);
  EXPECT_EQ(reader.read_c_string(), "name");
  EXPECT_EQ(reader.read_bytes(2), "re");
  EXPECT_EQ(reader.rest(), "st");
  EXPECT_TRUE(reader.is_ok());
}

TEST(BodyReader, fails_for_good_once_it_is_too_short) {
  BodyReader reader("ab");
  EXPECT_EQ(reader.read_u32(), 0u);
  EXPECT_FALSE(reader.is_ok());
  EXPECT_EQ(reader.read_u8(), 0);
  EXPECT_EQ(reader.read_c_string(), "");
  EXPECT_FALSE(reader.is_ok());

  BodyReader unterminated("ab");
  EXPECT_EQ(unterminated.read_c_string(), "");
  EXPECT_FALSE(unterminated.is_ok());
}

// --- what clients send ---

TEST(StartupMessage, is_read_with_its_parameters_in_order) {
  const std::string body = "\0\x03\0\x02user\0app\0options\0\0database\0photos\0\0"s;
  const auto message = parse_startup(body);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kind, StartupMessage::Kind::kStartup);
  EXPECT_EQ(message->major, 3);
  EXPECT_EQ(message->minor, 2);
  ASSERT_EQ(message->parameters.size(), 3u);
  EXPECT_EQ(message->parameters[1].first, "options");
  EXPECT_EQ(message->find("database"), "photos");
  EXPECT_EQ(message->find("options"), "");
  EXPECT_EQ(message->find("nosuch"), "");
}

TEST(StartupMessage, may_be_a_cancel_or_encryption_request) {
  const std::string cancel_body = "\x04\xd2\x16\x2e\0\0\0\x07\xde\xad\xbe\xef"s;
  const auto cancel = parse_startup(cancel_body);
  ASSERT_TRUE(cancel);
  EXPECT_EQ(cancel->kind, StartupMessage::Kind::kCancel);
  EXPECT_EQ(cancel->process_id, 7u);
  EXPECT_EQ(cancel->secret, 0xdeadbeefu);
  EXPECT_EQ(parse_startup("\x04\xd2\x16\x2f"s)->kind, StartupMessage::Kind::kSslRequest);
  EXPECT_EQ(parse_startup("\x04\xd2\x16\x30"s)->kind, StartupMessage::Kind::kGssRequest);
}

TEST(StartupMessage, must_fill_its_packet_exactly) {
  for (const std::string& body :
       {""s, "\0\x03\0"s, "\0\x03\0\0"s, "\0\x03\0\0user\0"s, "\0\x03\0\0user\0app\0"s,
        "\0\x03\0\0user\0app\0x"s, "\0\x03\0\0\0\0"s, "\0\x03\0\0\0value\0\0"s, "\0\x03\0\0user\0app\0\0\0"s,
        "\x04\xd2\x16\x2fx"s, "\x04\xd2\x16\x2e\0\0\0\x07\xde\xad\xbe"s,
        "\x04\xd2\x16\x2e\0\0\0\x07\xde\xad\xbe\xef\0"s}) {
    const auto message = parse_startup(body);
    ASSERT_FALSE(message) << testing::PrintToString(body);
    EXPECT_EQ(message.error().sqlstate, sqlstate::kProtocolViolation);
  }
}

TEST(StartupMessage, of_another_major_version_is_refused_by_name) {
  const auto message = parse_startup("\0\x02\0\0"s);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().sqlstate, sqlstate::kFeatureNotSupported);
  EXPECT_NE(message.error().message.find("2.0"), std::string::npos);
}

TEST(ParseMessage, comes_back_as_it_was_built) {
  const uint32_t types[] = {20, 0, 25};
  ByteBuffer out;
  append_parse(out, "stmt", "SELECT $1", types);
  const std::string body = body_of(out, 'P');
  const auto message = parse_parse(body);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->name, "stmt");
  EXPECT_EQ(message->text, "SELECT $1");
  EXPECT_EQ(message->type_oids(), std::vector<uint32_t>(std::begin(types), std::end(types)));
}

TEST(ParseMessage, must_fill_its_frame_exactly) {
  for (const std::string& body :
       {""s, "a"s, "a\0"s, "a\0b"s, "a\0b\0"s, "a\0b\0\0"s, "a\0b\0\0\x01"s, "a\0b\0\0\x01\0\0\0"s,
        "a\0b\0\0\x01\0\0\0\x14x"s, "a\0b\0\xff\xff\0\0\0\x14"s}) {
    EXPECT_FALSE(parse_parse(body)) << testing::PrintToString(body);
  }
}

TEST(BindMessage, gives_parameters_of_mixed_formats) {
  const std::string body =
      "portal\0stmt\0"
      "\0\x03\0\0\0\x01\0\0"
      "\0\x03"
      "\0\0\0\x02"
      "42"
      "\0\0\0\x04\0\0\0\x07"
      "\xff\xff\xff\xff"
      "\0\x01\0\x01"s;
  const auto message = parse_bind(body);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->portal, "portal");
  EXPECT_EQ(message->statement, "stmt");
  EXPECT_EQ(message->after_names, std::string_view(body).substr(12));

  const uint32_t types[] = {25, 23};
  const Parameters parameters = message->parameters(types);
  EXPECT_EQ(parameters.count(), 3);
  const auto text = parameters.find(0), binary = parameters.find(1), null = parameters.find(2);
  ASSERT_TRUE(text && binary && null);
  EXPECT_EQ(text->bytes, "42");
  EXPECT_FALSE(text->is_binary);
  EXPECT_EQ(text->type_oid, 25u);
  EXPECT_EQ(binary->bytes, "\0\0\0\x07"s);
  EXPECT_TRUE(binary->is_binary);
  EXPECT_EQ(binary->type_oid, 23u);
  EXPECT_TRUE(null->is_null);
  EXPECT_EQ(null->type_oid, 0u);
  EXPECT_FALSE(parameters.find(3));
}

TEST(BindMessage, applies_one_format_code_to_all_and_none_means_text) {
  const std::string one = "\0\0\0\x01\0\x01\0\x02\0\0\0\x01x\0\0\0\x01y\0\0"s;
  ASSERT_TRUE(parse_bind(one));
  EXPECT_TRUE(parse_bind(one)->parameters({}).find(1)->is_binary);
  const std::string without = "\0\0\0\0\0\x01\0\0\0\x01x\0\0"s;
  ASSERT_TRUE(parse_bind(without));
  EXPECT_FALSE(parse_bind(without)->parameters({}).find(0)->is_binary);
}

TEST(BindMessage, must_fill_its_frame_exactly) {
  const std::string valid = "p\0s\0\0\x01\0\x01\0\x01\0\0\0\x02xy\0\x01\0\0"s;
  ASSERT_TRUE(parse_bind(valid));
  for (size_t size = 0; size < valid.size(); ++size) EXPECT_FALSE(parse_bind(valid.substr(0, size))) << size;
  EXPECT_FALSE(parse_bind(valid + "x"));
  EXPECT_FALSE(parse_bind("\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"s)) << "a length of -2";
  EXPECT_FALSE(parse_bind("\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"s)) << "a length of 2 GB";
  EXPECT_FALSE(parse_bind("\0\0\0\x02\0\0\0\0\0\x01\0\0\0\0\0\0"s)) << "two formats for one parameter";
}

TEST(TargetMessage, names_a_statement_or_a_portal) {
  for (const char kind : {'S', 'P'}) {
    ByteBuffer describe, close;
    append_describe(describe, kind, "name");
    append_close(close, kind, "name");
    EXPECT_EQ(body_of(describe, 'D'), body_of(close, 'C'));
    const std::string body = body_of(describe, 'D');
    const auto message = parse_target(body);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->kind, kind);
    EXPECT_EQ(message->name, "name");
  }
  for (const std::string& body : {""s, "S"s, "Sname"s, "Sname\0x"s, "Xname\0"s, "\0\0"s}) {
    EXPECT_FALSE(parse_target(body)) << testing::PrintToString(body);
  }
}

TEST(ExecuteMessage, carries_a_portal_and_a_row_limit) {
  const std::string body = "portal\0\0\0\x01\0"s;
  const auto message = parse_execute(body);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->portal, "portal");
  EXPECT_EQ(message->row_limit, 256u);
  for (const std::string& bad : {""s, "portal"s, "portal\0"s, "portal\0\0\0\0"s, "portal\0\0\0\0\0\0"s}) {
    EXPECT_FALSE(parse_execute(bad)) << testing::PrintToString(bad);
  }
}

TEST(QueryMessage, is_one_string_that_fills_its_frame) {
  ByteBuffer out;
  append_query(out, "SELECT 1");
  const std::string body = body_of(out, 'Q');
  ASSERT_TRUE(parse_query(body));
  EXPECT_EQ(*parse_query(body), "SELECT 1");
  for (const std::string& bad : {""s, "SELECT 1"s, "SELECT 1\0x"s, "\0\0"s}) {
    EXPECT_FALSE(parse_query(bad)) << testing::PrintToString(bad);
  }
}

// --- what we build and read back ---

TEST(ErrorResponse, keeps_its_fields_and_leaves_empty_ones_out) {
  const Error error{"28P01", "no", "", "say please"};
  ByteBuffer out;
  append_error(out, error, "FATAL");
  EXPECT_EQ(body_of(out, 'E'), "SFATAL\0VFATAL\0C28P01\0Mno\0Hsay please\0\0"s);
  const Error read = parse_error_fields(body_of(out, 'E'));
  EXPECT_EQ(read.sqlstate, "28P01");
  EXPECT_EQ(read.message, "no");
  EXPECT_EQ(read.detail, "");
  EXPECT_EQ(read.hint, "say please");
}

TEST(ErrorResponse, is_read_as_far_as_it_goes_when_it_is_cut) {
  EXPECT_EQ(parse_error_fields("C28P01\0Mno"s).sqlstate, "28P01");
  EXPECT_EQ(parse_error_fields("C28P01\0Mno"s).message, "");
  EXPECT_EQ(parse_error_fields("").message, "");
}

TEST(Messages, have_the_manuals_layout) {
  const auto built = [](auto build) {
    ByteBuffer out;
    build(out);
    return std::string(out.view());
  };
  EXPECT_EQ(built([](ByteBuffer& out) { append_ready(out, 'T'); }), "Z\0\0\0\x05T"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_command_complete(out, "BEGIN"); }),
            "C\0\0\0\x0a"
            "BEGIN\0"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_parameter_status(out, "a", "b"); }),
            "S\0\0\0\x08"
            "a\0b\0"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_backend_key(out, 1, 2); }),
            "K\0\0\0\x0c\0\0\0\x01\0\0\0\x02"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_authentication(out, 11, "xy"); }), "R\0\0\0\x0a\0\0\0\x0bxy"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_empty(out, '1'); }), "1\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_sync(out); }), "S\0\0\0\x04"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_copy_fail(out, "no"); }), "f\0\0\0\x07no\0"s);
  EXPECT_EQ(built([](ByteBuffer& out) { append_copy_in_response(out, true, 2); }),
            "G\0\0\0\x0b\x01\0\x02\0\x01\0\x01"s);
  EXPECT_EQ(built([](ByteBuffer& out) {
              append_notice(out, Error{"01000", "m", "", ""});
            }),
            "N\0\0\0\x1fSNOTICE\0VNOTICE\0"
            "C01000\0Mm\0\0"s);
  EXPECT_EQ(built([](ByteBuffer& out) {
              const ColumnDescription columns[] = {{"n", 20, 8}};
              append_row_description(out, columns);
            }),
            "T\0\0\0\x1a\0\x01n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0"s);
  EXPECT_EQ(built([](ByteBuffer& out) {
              const std::optional<std::string> values[] = {"ab", std::nullopt, ""};
              append_data_row(out, values);
            }),
            "D\0\0\0\x14\0\x03\0\0\0\x02"
            "ab\xff\xff\xff\xff\0\0\0\0"s);
}

TEST(ServerMessages, are_read_only_when_whole) {
  const auto status = parse_parameter_status("TimeZone\0UTC\0"s);
  ASSERT_TRUE(status);
  EXPECT_FALSE(parse_parameter_status("TimeZone\0UTC"s));
  const std::string types = "\0\x02\0\0\0\x14\0\0\0\x19"s;
  EXPECT_EQ(parse_parameter_description(types), (std::vector<uint32_t>{20, 25}));
  EXPECT_FALSE(parse_parameter_description(types.substr(0, types.size() - 1)));
  EXPECT_FALSE(parse_parameter_description(""));
}

TEST(Quotes, double_what_would_end_them) {
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal(""), "''");
  EXPECT_EQ(quote_literal("a\\'b"), "E'a\\\\''b'");
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
}

}  // namespace
}  // namespace mosaic::routing
