#pragma once
// What a statement may leave behind in the server session that ran it. What Mosaic knows exactly (settings by
// SET, prepared statements) is elsewhere in a plan; here stands what ties a client to its server, and what
// must be cleared away before the server serves another client.

#include <cstdint>
#include <initializer_list>

namespace mosaic::routing {

// A set of the flags of an enum class whose values are bits.
template <typename Flag>
class FlagSet {
 public:
  constexpr FlagSet() = default;
  constexpr FlagSet(std::initializer_list<Flag> flags) {
    for (const Flag flag : flags) add(flag);
  }
  constexpr void add(Flag flag) { bits_ = static_cast<uint8_t>(bits_ | static_cast<uint8_t>(flag)); }
  constexpr void remove(Flag flag) { bits_ = static_cast<uint8_t>(bits_ & ~static_cast<uint8_t>(flag)); }
  constexpr void add(FlagSet other) { bits_ = static_cast<uint8_t>(bits_ | other.bits_); }
  constexpr bool has(Flag flag) const { return (bits_ & static_cast<uint8_t>(flag)) != 0; }
  constexpr bool is_empty() const { return bits_ == 0; }
  constexpr uint8_t bits() const { return bits_; }
  constexpr bool operator==(const FlagSet&) const = default;

 private:
  uint8_t bits_ = 0;
};

// A reason for the client to keep its server beyond the transaction: state that the client counts on and that
// can not be given to another server. Each ends with the statements that `may_release_pins` tells.
enum class Pin : uint8_t {
  kListen = 1,       // LISTEN
  kTemporary = 2,    // a temporary table, view, sequence, function ...
  kHoldCursor = 4,   // DECLARE ... WITH HOLD
  kSessionLock = 8,  // pg_advisory_lock() and its family, called by the statement itself
  kLibrary = 16,     // LOAD; nothing takes a library out again
  kSetting = 32,  // a setting changed by other means than SET: set_config() amid a larger statement, UPDATE
                  // pg_settings; ends with RESET ALL and DISCARD ALL
};
using Pins = FlagSet<Pin>;

// What code that the server runs may do, as far as the next client could notice. From Bind on, not only from
// Execute: planning evaluates functions that are said to be immutable or stable.
enum class Trace : uint8_t {
  kUnknown = 1,    // anything: settings, role, channels, locks, temporary objects, prepared statements, and
                   // it may read what an earlier client left in the same way
  kSequences = 2,  // nextval(), setval(): what currval() and lastval() tell from then on
  kReadsSequences =
      4,  // currval(), lastval(): tells what an earlier client's nextval() left (no trace itself)
};
using Traces = FlagSet<Trace>;

}  // namespace mosaic::routing
