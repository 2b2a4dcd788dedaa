#include "bench/workload/operation_mix.h"

#include <charconv>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "admin/config/nearest_word.h"

namespace mosaic::workload {

namespace {

constexpr uint32_t kPartsMax = 1'000'000;  // of one operation

struct Weight {
  OperationKind kind;
  uint32_t parts;
};

// Parts of a hundred.
constexpr Weight kApplication[] = {
    {OperationKind::kReadProfile, 17}, {OperationKind::kReadHome, 6},    {OperationKind::kReadActivity, 6},
    {OperationKind::kReadFeed, 12},    {OperationKind::kReadPhoto, 25},  {OperationKind::kReadSetting, 2},
    {OperationKind::kUpload, 10},      {OperationKind::kEditCaption, 5}, {OperationKind::kAbandonEdit, 1},
    {OperationKind::kLike, 8},         {OperationKind::kComment, 4},     {OperationKind::kDeleteComment, 1},
    {OperationKind::kFollow, 3},
};

// Operations of the set-up are not for the mix: a user signs up once.
const std::vector<std::string>& known_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Weight& weight : kApplication) list.emplace_back(to_text(weight.kind));
    return list;
  }();
  return names;
}

std::runtime_error unknown_operation(const std::string& name) {
  std::string message = "--mix: there is no operation '" + name + "'";
  const std::string nearest = admin::find_nearest_word(name, known_names());
  if (!nearest.empty()) message += ", did you mean '" + nearest + "'?";
  message += " Known are:";
  for (const std::string& known : known_names()) message += " " + known;
  return std::runtime_error(message);
}

OperationKind parse_kind(const std::string& name) {
  for (const Weight& weight : kApplication) {
    if (to_text(weight.kind) == name) return weight.kind;
  }
  throw unknown_operation(name);
}

uint32_t parse_parts(const std::string& name, const std::string& text) {
  uint32_t parts = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parts);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || parts > kPartsMax) {
    throw std::runtime_error("--mix: expected a whole number up to " + std::to_string(kPartsMax) +
                             " after '" + name + "=', got '" + text + "'");
  }
  return parts;
}

}  // namespace

OperationMix::OperationMix() {
  for (const Weight& weight : kApplication) {
    parts_[static_cast<size_t>(weight.kind)] = weight.parts;
    sum_ += weight.parts;
  }
}

OperationMix OperationMix::parse(const std::string& text) {
  OperationMix mix;
  mix.parts_.fill(0);
  mix.sum_ = 0;
  std::array<bool, kOperationCount> is_given{};
  std::istringstream entries(text);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      throw std::runtime_error("--mix: expected operation=parts, got '" + entry + "'");
    }
    const std::string name = entry.substr(0, equals);
    const auto kind = static_cast<size_t>(parse_kind(name));
    if (std::exchange(is_given[kind], true)) throw std::runtime_error("--mix: '" + name + "' comes twice");
    mix.parts_[kind] = parse_parts(name, entry.substr(equals + 1));
    mix.sum_ += mix.parts_[kind];
  }
  if (mix.sum_ == 0) throw std::runtime_error("--mix: at least one operation needs a part of the traffic");
  return mix;
}

OperationKind OperationMix::draw(Random& random) const {
  auto left = static_cast<uint32_t>(random() % sum_);
  size_t kind = 0;
  for (; left >= parts_[kind]; ++kind) left -= parts_[kind];
  return static_cast<OperationKind>(kind);
}

}  // namespace mosaic::workload
