#include "admin/move/move_command.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;
using routing::Status;

namespace {

Error wrong_list(std::string_view text, std::string_view what) {
  return Error{routing::sqlstate::kSyntaxError, fmt::format("\"{}\" is no list of {}", text, what), "",
               "expected numbers and ranges, such as 1-20,40"};
}

std::optional<uint32_t> number_of(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

// "50MB/s", "10 min": a number and what follows it.
struct Quantity {
  double value = 0;
  std::string unit;  // in lower case, without spaces
};

std::optional<Quantity> quantity_of(std::string_view text) {
  Quantity quantity;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quantity.value);
  if (error != std::errc() || quantity.value < 0 || !std::isfinite(quantity.value)) return std::nullopt;
  for (const char* at = end; at != text.data() + text.size(); ++at) {
    if (*at != ' ') quantity.unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*at)));
  }
  return quantity;
}

std::optional<uint64_t> bytes_per_second(std::string_view text) {
  const auto quantity = quantity_of(text);
  if (!quantity) return std::nullopt;
  std::string unit = quantity->unit;
  if (unit.ends_with("/s")) unit.resize(unit.size() - 2);
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},     {"b", 1},      {"kb", 1e3},        {"mb", 1e6},
      {"gb", 1e9}, {"kib", 1024}, {"mib", 1048576.0}, {"gib", 1073741824.0}};
  for (const auto& [name, factor] : kUnits) {
    if (unit == name) return static_cast<uint64_t>(quantity->value * factor);
  }
  return std::nullopt;
}

std::optional<uint64_t> milliseconds_of(std::string_view text) {
  const auto quantity = quantity_of(text);
  if (!quantity) return std::nullopt;
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1e3}, {"s", 1e3}, {"sec", 1e3}, {"ms", 1}, {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
  for (const auto& [name, factor] : kUnits) {
    if (quantity->unit == name && quantity->value * factor < 1e12)
      return static_cast<uint64_t>(quantity->value * factor);
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<uint32_t>> parse_numbers(std::string_view text, std::string_view what) {
  constexpr size_t kNumbersMax = 100'000;
  std::vector<uint32_t> numbers;
  std::string_view rest = text;
  while (true) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    const size_t dash = entry.find('-');
    const auto first = number_of(entry.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number_of(entry.substr(dash + 1));
    if (!first || !last) return wrong_list(text, what);
    if (*last < *first)
      return Error{routing::sqlstate::kSyntaxError, fmt::format("the range \"{}\" is empty", entry), "",
                   fmt::format("{}-{} is not", *last, *first)};
    for (uint64_t number = *first; number <= *last; ++number) {
      if (numbers.size() >= kNumbersMax) return wrong_list(text, what);
      numbers.push_back(static_cast<uint32_t>(number));
    }
    if (entry.size() == rest.size()) return numbers;
    rest.remove_prefix(entry.size() + 1);
  }
}

Status set_option(std::string_view name, std::string_view value, MoveOptions& options) {
  const auto wrong = [&](std::string_view expected) {
    return Error{routing::sqlstate::kInvalidParameter, fmt::format("{} = '{}'", name, value), "",
                 fmt::format("expected {}", expected)};
  };
  if (name == "parallel") {
    const auto count = number_of(value);
    if (!count || *count < 1 || *count > 64) return wrong("connections that copy, 1 to 64");
    options.parallel = *count;
  } else if (name == "rate") {
    const auto rate = bytes_per_second(value);
    if (!rate) return wrong("bytes per second, such as '50MB/s'; 0: no limit");
    options.rate_bytes = *rate;
  } else if (name == "soak") {
    const auto soak = milliseconds_of(value);
    if (!soak) return wrong("a time, such as '10 min'; 0: the way back is not kept");
    options.soak_ms = *soak;
  } else if (name == "verify") {
    if (value != "full" && value != "sample" && value != "off") return wrong("full, sample or off");
    options.verify = value == "full"     ? MoveOptions::Verify::kFull
                     : value == "sample" ? MoveOptions::Verify::kSample
                                         : MoveOptions::Verify::kOff;
  } else {
    return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no option \"{}\"", name), "",
                 "options are parallel, rate, soak and verify"};
  }
  return {};
}

std::string_view to_text(MoveCommand::Kind kind) {
  using Kind = MoveCommand::Kind;
  switch (kind) {
    case Kind::kMove:
      return "MOVE";
    case Kind::kCheck:
      return "CHECK MOVE";
    case Kind::kRehearse:
      return "REHEARSE MOVE";
    case Kind::kDrain:
      return "DRAIN NODE";
    case Kind::kRebalance:
      return "REBALANCE";
    case Kind::kPause:
      return "PAUSE MOVE";
    case Kind::kResume:
      return "RESUME MOVE";
    case Kind::kCancel:
      return "CANCEL MOVE";
    case Kind::kUndo:
      return "UNDO MOVE";
    case Kind::kFinish:
      return "FINISH MOVE";
    case Kind::kWait:
      break;
  }
  return "WAIT MOVE";
}

}  // namespace mosaic::admin
