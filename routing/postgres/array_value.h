#pragma once
// The elements of a PostgreSQL array in its text and binary forms, one after the other and without a copy
// where none is needed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mosaic::routing {

// {1,2,NULL,"a b"}. Arrays of several dimensions are read flat, as = ANY() sees them.
class TextArrayReader {
 public:
  explicit TextArrayReader(std::string_view text);

  struct Element {
    bool is_null = false;
    std::string_view text;  // valid until the next call
  };
  // Nothing at the end and for malformed text: ask is_valid().
  std::optional<Element> next();
  bool is_valid() const { return is_valid_; }

 private:
  void skip_spaces();
  std::optional<Element> fail();
  std::optional<Element> read_element();

  std::string_view rest_;
  std::string scratch_;
  int depth_ = 0;
  bool is_valid_ = true;
  bool is_done_ = false;
};

// What array_send writes: dimensions, flags, element type, bounds, then each element behind its length.
class BinaryArrayReader {
 public:
  explicit BinaryArrayReader(std::string_view bytes);

  struct Element {
    bool is_null = false;
    std::string_view bytes;
  };
  std::optional<Element> next();
  bool is_valid() const { return is_valid_; }
  uint32_t element_oid() const { return element_oid_; }

 private:
  std::optional<uint32_t> read_u32();

  std::string_view rest_;
  uint32_t element_oid_ = 0;
  bool is_valid_ = true;
};

}  // namespace mosaic::routing
