#pragma once
// The parameter values of one Bind message, read in place (PostgreSQL manual, Message Formats, Bind), or of
// an EXECUTE command, read before.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mosaic::routing {

struct Parameter {
  bool is_null = false;
  bool is_binary = false;
  bool is_computed = false;  // an argument of EXECUTE that is an expression: its value is not known
  bool is_utf8 = false;      // converted already, whatever the client's encoding
  uint32_t type_oid = 0;     // 0: unknown
  std::string_view bytes;    // points into the message
};

// A view: the message and the type list must outlive it. Default-constructed: no parameters.
class Parameters {
 public:
  Parameters() = default;
  // `formats`: the format-code section's codes (2 bytes each, big endian); `values`: the bytes behind the
  // value count.
  Parameters(std::string_view formats, uint16_t count, std::string_view values,
             std::span<const uint32_t> type_oids)
      : formats_(formats), values_(values), type_oids_(type_oids), count_(count) {}

  // Values that were read before, for EXECUTE.
  explicit Parameters(std::span<const Parameter> values)
      : read_(values), count_(static_cast<uint16_t>(values.size())) {}

  uint16_t count() const { return count_; }
  // Parameter `index` (0 is $1); nothing when there are fewer. O(index) for those of a message.
  std::optional<Parameter> find(uint32_t index) const;

 private:
  std::span<const Parameter> read_;  // empty: those of a message
  std::string_view formats_;
  std::string_view values_;
  std::span<const uint32_t> type_oids_;
  uint16_t count_ = 0;
};

}  // namespace mosaic::routing
