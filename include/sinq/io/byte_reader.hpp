#pragma once

#include <sinq/error.hpp>
#include <sinq/io/memory_size.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace sinq::inline SINQ_ABI::io {

static_assert(std::endian::native == std::endian::little, "files are little-endian and mapped in place");

/// Reads values and ranges of bytes, one after another, from memory that is not trusted. Nothing is read beyond the
/// end, and no length is believed before it was compared with what remains.
class ByteReader {
 public:
  /// `what` names the source in errors, usually a path; it and `bytes` must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, std::string_view what) noexcept : bytes_(bytes), what_(what) {}

  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t remaining() const noexcept { return bytes_.size() - position_; }

  /// The next `count` bytes. Throws Errc::kBadFile if fewer remain; `field` says what they are.
  [[nodiscard]] std::span<const std::byte> take(std::uint64_t count, std::string_view field) {
    if (count > remaining()) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": ", field, " at byte ", position_, " needs ", count,
                                                    " bytes, but ", remaining(), " remain"));
    }
    const auto out = bytes_.subspan(position_, detail::memory_size(count));
    position_ += out.size();
    return out;
  }

  /// The next little-endian number. Throws Errc::kBadFile if it is cut off.
  template <class Number>
  requires std::is_arithmetic_v<Number>
  [[nodiscard]] Number read(std::string_view field) {
    const auto source = take(sizeof(Number), field);
    Number value;
    std::memcpy(&value, source.data(), sizeof value);
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
  std::string_view what_;
};

}  // namespace sinq::inline SINQ_ABI::io
