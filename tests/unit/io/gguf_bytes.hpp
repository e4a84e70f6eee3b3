#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sinq_test {

/// GGUF files by hand: bytes one after another, written from the format's description.
class GgufBytes {
 public:
  template <class Number>
  GgufBytes& number(Number value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    text_.append(bytes, sizeof bytes);
    return *this;
  }
  GgufBytes& u32(std::uint32_t value) { return number(value); }
  GgufBytes& u64(std::uint64_t value) { return number(value); }
  GgufBytes& raw(std::string_view bytes) {
    text_ += bytes;
    return *this;
  }
  GgufBytes& string(std::string_view text) { return u64(text.size()).raw(text); }
  GgufBytes& start(std::uint64_t tensors, std::uint64_t entries) {
    return raw("GGUF").u32(3).u64(tensors).u64(entries);
  }
  /// A matrix [rows, cols]: dimensions, fastest first, type, offset.
  GgufBytes& matrix(std::string_view name, std::uint64_t rows, std::uint64_t cols, std::uint32_t type,
                    std::uint64_t offset) {
    return string(name).u32(2).u64(cols).u64(rows).u32(type).u64(offset);
  }
  GgufBytes& pad(std::size_t alignment) {
    while (text_.size() % alignment != 0) text_ += '\0';
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return text_; }

 private:
  std::string text_;
};

}  // namespace sinq_test
