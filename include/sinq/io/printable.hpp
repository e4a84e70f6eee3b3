#pragma once

#include <sinq/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sinq::inline SINQ_ABI::io {

namespace detail {

/// How many bytes the character takes with which `text` begins: 0 if that is no UTF-8, or nothing to look at: control
/// characters, which a terminal obeys, and those that are invisible or turn the direction of what stands around them.
[[nodiscard]] constexpr std::size_t visible_bytes(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  std::uint32_t character = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = (character << 6) | (byte(i) & 0x3f);
  }
  const auto between = [&](std::uint32_t first, std::uint32_t last) { return character >= first && character <= last; };
  if (character < (size == 4 ? 0x10000U : size == 3 ? 0x800U : 0xa0U))
    return 0;  // too long a form; 80..9f are controls
  if (between(0xd800, 0xdfff) || character > 0x10ffff) return 0;
  if (between(0x200b, 0x200f) || between(0x2028, 0x202e) || between(0x2060, 0x206f) || character == 0xfeff) return 0;
  return size;
}

}  // namespace detail

/// Text that comes from a file, fit to be shown: what a terminal would obey instead of showing it is spelled \x1b, and
/// so are the bytes in `also`.
[[nodiscard]] inline std::string printable(std::string_view text, std::string_view also = {}) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    std::size_t size = detail::visible_bytes(text);
    if (size == 0 || also.find(text[0]) != std::string_view::npos) {
      const auto byte = static_cast<unsigned char>(text[0]);
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      size = 1;
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return out;
}

namespace detail {

/// A name from a file, fit for an error text: in quotes, what is not to be shown escaped, cut where it is absurdly
/// long.
[[nodiscard]] inline std::string name_text(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  std::string out = "'";  // g++ 12 warns of an overlap in `"'" + printable(...)` (its bug 105651)
  out += printable(name.substr(0, kLongest), "'\\");
  out += name.size() > kLongest ? "...'" : "'";
  return out;
}

}  // namespace detail

}  // namespace sinq::inline SINQ_ABI::io
