#pragma once
// How the folders report what the world can do wrong: bad bytes, lost peers, wrong config.
// `assert` is for our own bugs, exceptions for start-up only.

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace mosaic::routing {

// An error that a client or an operator will read. Messages say what was expected, what came, what to do.
struct Error {
  std::string sqlstate;  // five characters; see routing/sqlstate.h
  std::string message;
  std::string detail;
  std::string hint;

  // One line for logs and the command line: "message (detail). Hint: hint".
  std::string to_line() const {
    std::string line = message;
    if (!detail.empty()) line += " (" + detail + ")";
    if (!hint.empty()) line += ". Hint: " + hint;
    return line;
  }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& value() {
    assert(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    assert(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  const Error& error() const {
    assert(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

// A Result without a value: converts from Error, default-constructed it is success.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}
  explicit operator bool() const { return !error_.has_value(); }
  const Error& error() const {
    assert(error_.has_value());
    return *error_;
  }

 private:
  std::optional<Error> error_;  // success costs no strings
};

}  // namespace mosaic::routing
