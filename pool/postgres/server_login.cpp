#include "pool/postgres/server_login.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "pool/postgres/saslprep.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::pool {

namespace {

using routing::ByteBuffer;
using routing::Error;
namespace sqlstate = routing::sqlstate;

constexpr uint32_t kProtocolVersion = 3u << 16;
constexpr std::string_view kMechanism = "SCRAM-SHA-256";
constexpr std::string_view kGs2Header = "n,,";  // no channel binding: the connection is not encrypted
constexpr std::string_view kChannelBinding = "c=biws,";  // base64 of it
// Messages of a login are small; libpq takes no longer error either.
constexpr uint32_t kFrameBytesMax = 64 << 10;
// The hash runs on the worker's thread: a million takes about a quarter of a second.
constexpr uint32_t kIterationsMax = 1'000'000;

// Codes of the Authentication messages (PostgreSQL manual, "Message Formats").
enum Authentication : uint32_t {
  kOk = 0,
  kCleartextPassword = 3,
  kMd5Password = 5,
  kSasl = 10,
  kSaslContinue = 11,
  kSaslFinal = 12,
};

void append_password(ByteBuffer& out, std::string_view password) {
  routing::FrameWriter frame(out, 'p');
  out.append_c_string(password);
}

// The value of "<name>=<value>" at the front of `rest`, taken off it with the comma behind it.
std::optional<std::string_view> take_attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
  const size_t end = std::min(rest.find(','), rest.size());
  const std::string_view value = rest.substr(2, end - 2);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return value;
}

}  // namespace

ServerLogin::ServerLogin(Credentials credentials, std::string nonce)
    : credentials_(std::move(credentials)), nonce_(std::move(nonce)) {}

ServerLogin::~ServerLogin() { wipe(credentials_.password); }

void ServerLogin::begin(ByteBuffer& to_server) {
  ByteBuffer body;
  body.append_u32(kProtocolVersion);
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"user", credentials_.user},
                                    {"database", credentials_.database},
                                    {"client_encoding", "UTF8"}}) {
    body.append_c_string(name);
    body.append_c_string(value);
  }
  body.append_u8(0);
  to_server.append_u32(static_cast<uint32_t>(body.size() + 4));
  to_server.append(body.view());
}

ServerLogin::State ServerLogin::on_bytes(ByteBuffer& input, ByteBuffer& to_server) {
  while (state_ == State::kMore) {
    const auto header = routing::find_frame_header(input.view());
    if (!header) break;
    if (!routing::is_valid(*header) || header->length > kFrameBytesMax) {
      // A postmaster that can not fork says so in the form of protocol 2.0: 'E' and a text
      // (report_fork_failure_to_client in postmaster.c).
      std::string_view text = input.view();
      if (header->type == 'E') {
        text = text.substr(1, text.find_first_of(std::string_view("\0\n", 2), 1) - 1);
        fail("the server has no session for us", std::string(text));
      } else {
        fail("the server does not speak PostgreSQL's protocol",
             fmt::format("message type 0x{:02X} with a length of {} bytes",
                         static_cast<unsigned char>(header->type), header->length),
             "check that host and port are a PostgreSQL server's");
      }
      break;
    }
    if (input.size() < header->frame_bytes()) break;
    on_frame(header->type, input.view().substr(routing::kFrameHeaderBytes, header->body_bytes()), to_server);
    input.consume(header->frame_bytes());
  }
  if (state_ == State::kMore && is_ready_ && input.is_empty()) state_ = State::kReady;
  return state_;
}

void ServerLogin::on_frame(char type, std::string_view body, ByteBuffer& to_server) {
  switch (type) {
    case 'R':
      return on_authentication(body, to_server);
    case 'E':
      error_ = routing::parse_error_fields(body);
      state_ = State::kFailed;
      return;
    case 'N':  // a notice: nobody is there to read it
    case 'v':  // NegotiateProtocolVersion: we ask for 3.0, which every server speaks
      return;
    case 'S':
      return on_parameter(body);
    case 'K': {
      routing::BodyReader reader(body);
      backend_key_.process_id = reader.read_u32();
      backend_key_.secret = reader.read_u32();
      if (!reader.is_ok()) fail("malformed BackendKeyData");
      return;
    }
    case 'Z':
      if (!is_authenticated_) return fail("the server was ready before it had let us in");
      is_ready_ = true;
      return;
    default:
      fail(fmt::format("message type 0x{:02X} came during the login", static_cast<unsigned char>(type)));
  }
}

void ServerLogin::on_parameter(std::string_view body) {
  const auto parameter = routing::parse_parameter_status(body);
  if (!parameter) return fail("malformed ParameterStatus");
  std::erase_if(parameters_, [&](const auto& known) { return known.first == parameter->first; });
  parameters_.emplace_back(parameter->first, parameter->second);
}

bool ServerLogin::has_password() {
  if (!credentials_.password.empty()) return true;
  fail("the server asks for a password, and none is known",
       fmt::format("user \"{}\" of the auth file has no plaintext password there", credentials_.user),
       "give the user's plaintext password in [auth] file, or let the node trust this host");
  return false;
}

void ServerLogin::on_authentication(std::string_view body, ByteBuffer& to_server) {
  routing::BodyReader reader(body);
  const uint32_t code = reader.read_u32();
  if (!reader.is_ok() || is_authenticated_) return fail("malformed Authentication message");
  switch (code) {
    case kOk:
      // A server that skips its own proof may be somebody else's.
      if (scram_ != Scram::kNone && scram_ != Scram::kProven)
        return fail("the server ended SCRAM authentication without its proof");
      is_authenticated_ = true;
      return;
    case kCleartextPassword:
      if (has_password()) append_password(to_server, credentials_.password);
      return;
    case kMd5Password: {
      const std::string_view salt = reader.read_bytes(4);
      if (!reader.is_ok()) return fail("malformed Authentication message");
      if (!has_password()) return;
      const auto answer = md5_answer(credentials_.user, credentials_.password, salt);
      if (!answer) return fail("the server asks for an md5 password, and md5 is not to be had here");
      append_password(to_server, *answer);
      return;
    }
    case kSasl:
      return begin_scram(reader.rest(), to_server);
    case kSaslContinue:
      if (scram_ != Scram::kFirstSent) return fail("AuthenticationSASLContinue came unasked");
      return answer_scram(reader.rest(), to_server);
    case kSaslFinal:
      if (scram_ != Scram::kFinalSent) return fail("AuthenticationSASLFinal came unasked");
      return check_scram(reader.rest());
    default:
      fail(fmt::format("the server asks for authentication method {}", code),
           "Mosaic knows trust, password, md5 and scram-sha-256", "change the node's pg_hba.conf");
  }
}

void ServerLogin::begin_scram(std::string_view mechanisms, ByteBuffer& to_server) {
  if (scram_ != Scram::kNone) return fail("AuthenticationSASL came twice");
  bool is_offered = false;
  for (routing::BodyReader reader(mechanisms); reader.is_ok() && !reader.is_at_end();)
    is_offered = reader.read_c_string() == kMechanism || is_offered;
  if (!is_offered) return fail("the server offers no SASL mechanism that Mosaic knows (SCRAM-SHA-256)");
  if (!has_password()) return;
  const std::string first = fmt::format("{}n=,r={}", kGs2Header, nonce_);
  routing::FrameWriter frame(to_server, 'p');
  to_server.append_c_string(kMechanism);
  to_server.append_u32(static_cast<uint32_t>(first.size()));
  to_server.append(first);
  scram_ = Scram::kFirstSent;
}

void ServerLogin::answer_scram(std::string_view server_first, ByteBuffer& to_server) {
  std::string_view rest = server_first;
  const auto nonce = take_attribute(rest, 'r');
  const auto salt_text = take_attribute(rest, 's');
  const auto iterations_text = take_attribute(rest, 'i');
  const auto salt = salt_text ? decode_base64(*salt_text) : std::nullopt;
  uint32_t iterations = 0;
  bool is_number = false;
  if (iterations_text) {
    const char* const end = iterations_text->data() + iterations_text->size();
    const auto read = std::from_chars(iterations_text->data(), end, iterations);
    is_number = read.ec == std::errc() && read.ptr == end && iterations > 0;
  }
  if (!nonce || !salt || salt->empty() || !is_number) return fail("malformed SCRAM message from the server");
  if (!nonce->starts_with(nonce_) || nonce->size() == nonce_.size())
    return fail("the server's SCRAM nonce does not begin with ours");
  if (iterations > kIterationsMax) {
    return fail(fmt::format("the password's secret has {} SCRAM iterations", iterations),
                fmt::format("at most {} are accepted: they would stop this worker", kIterationsMax),
                "set the role's password again with fewer");
  }
  const std::string without_proof = fmt::format("{}r={}", kChannelBinding, *nonce);
  const std::string message = fmt::format("n=,r={},{},{}", nonce_, server_first, without_proof);
  ScramKey salted = salt_password(saslprep(credentials_.password), *salt, iterations);
  ScramKey client_key = scram_hmac(view_of(salted), "Client Key");
  const ScramKey signature = scram_hmac(view_of(scram_hash(view_of(client_key))), message);
  server_signature_ = scram_hmac(view_of(scram_hmac(view_of(salted), "Server Key")), message);
  for (size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= signature[i];
  wipe(salted);
  routing::FrameWriter frame(to_server, 'p');
  to_server.append(without_proof);
  to_server.append(",p=");
  to_server.append(encode_base64(view_of(client_key)));
  scram_ = Scram::kFinalSent;
}

void ServerLogin::check_scram(std::string_view server_final) {
  std::string_view rest = server_final;
  const auto signature_text = take_attribute(rest, 'v');
  const auto signature = signature_text ? decode_scram_key(*signature_text) : std::nullopt;
  if (!signature || !is_equal(*signature, server_signature_)) {
    return fail("the server's SCRAM proof is wrong", "it does not know the password that it asks for",
                "check that host and port are the node's");
  }
  scram_ = Scram::kProven;
}

void ServerLogin::fail(std::string message, std::string detail, std::string hint) {
  error_ = Error{sqlstate::kProtocolViolation, std::move(message), std::move(detail), std::move(hint)};
  state_ = State::kFailed;
}

}  // namespace mosaic::pool
