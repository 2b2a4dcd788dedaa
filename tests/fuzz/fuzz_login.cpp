// Any bytes from a client that is not logged in yet. Nonce and salts are constant here, so that the corpus
// can hold logins that succeed and the fuzzer starts from them.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/postgres/login/login.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "tests/fuzz/require.h"

namespace {

using namespace mosaic::proxy;
using mosaic::routing::ByteBuffer;

std::shared_ptr<const LoginRules> make_rules(AuthType auth_type) {
  auto file = AuthFile::parse("\"app\" \"pencil\"\n\"root\" \"pencil\"\n", ScramKey{});
  require(static_cast<bool>(file));
  LoginRules rules;
  rules.auth_type = auth_type;
  rules.database = "photos";
  rules.admin_users = {"root"};
  rules.stats_users = {"stats"};
  rules.auth_file = std::make_shared<AuthFile>(std::move(*file));
  return std::make_shared<LoginRules>(std::move(rules));
}

struct Outcome {
  Login::State state = Login::State::kMore;
  std::string output;
  size_t left = 0;
  LoginRequest request;
};

Outcome feed(const std::shared_ptr<const LoginRules>& rules, std::string_view bytes, size_t step) {
  Login login(rules, "servernonce-24-characters");
  Outcome outcome;
  ByteBuffer input, output;
  while (!bytes.empty() && outcome.state == Login::State::kMore) {
    const size_t count = std::min(step, bytes.size());
    input.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
    outcome.state = login.on_bytes(input, output);
    require(outcome.state != Login::State::kMore || input.size() < mosaic::routing::kStartupBytesMax);
  }
  outcome.output = output.view();
  outcome.left = input.size() + bytes.size();
  outcome.request = login.request();
  if (outcome.state == Login::State::kRejected) require(login.error().sqlstate.size() == 5);
  return outcome;
}

// After at most two 'N' the server speaks in whole frames; a rejection ends in an ErrorResponse (or, of
// what is no start-up packet, in silence), a login in AuthenticationOk.
void check_output(const Outcome& outcome) {
  std::string_view rest = outcome.output;
  for (int i = 0; i < 2 && rest.starts_with('N'); ++i) rest.remove_prefix(1);
  std::string_view last;
  while (!rest.empty()) {
    const auto header = mosaic::routing::find_frame_header(rest);
    require(header && is_valid(*header) && header->frame_bytes() <= rest.size());
    require(header->type == 'R' || header->type == 'E' || header->type == 'v');
    last = rest.substr(0, header->frame_bytes());
    rest.remove_prefix(header->frame_bytes());
  }
  if (outcome.state == Login::State::kRejected) require(last.empty() || last.starts_with('E'));
  if (outcome.state == Login::State::kLeft) require(last.empty());
  if (outcome.state == Login::State::kAuthenticated) {
    require(last == std::string_view("R\0\0\0\x08\0\0\0\0", 9));
    require(outcome.request.is_console != (outcome.request.database == "photos"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto trust = make_rules(AuthType::kTrust);
  static const auto scram = make_rules(AuthType::kScramSha256);
  if (size == 0) return 0;
  const auto& rules = (data[0] & 1) != 0 ? scram : trust;
  const size_t step = (data[0] >> 1) + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);

  const Outcome whole = feed(rules, bytes, size);
  const Outcome pieces = feed(rules, bytes, step);
  check_output(whole);
  check_output(pieces);
  // How the bytes were cut must not matter, but for an encryption request, behind which nothing may be
  // buffered.
  if (!pieces.output.starts_with('N')) {
    require(whole.state == pieces.state && whole.output == pieces.output && whole.left == pieces.left);
  }
  // Nobody gets past SCRAM without the password of a user in the file.
  if (rules == scram && pieces.state == Login::State::kAuthenticated) {
    require(pieces.request.user == "app" || pieces.request.user == "root");
  }
  return 0;
}
