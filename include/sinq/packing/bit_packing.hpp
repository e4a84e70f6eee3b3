#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI {

/// Bytes that `count` codes of `bits` bits take: tight, 3 bits mean 3 bits.
[[nodiscard]] constexpr Index packed_bytes(Index count, int bits) noexcept { return ceil_div(count * bits, 8); }

/// Packs codes into a little-endian bit stream: code i takes bits [i * Bits, (i + 1) * Bits), least significant first.
/// Eight codes are Bits bytes. Unused bits of the last byte are zero. Codes must be below 2^Bits (1..8 bits).
template <int Bits>
constexpr void pack(const std::uint8_t* codes, Index count, std::uint8_t* out) noexcept {
  static_assert(Bits >= 1 && Bits <= 8);
  Index i = 0;
  for (; i < count; i += 8) {
    const Index n = count - i < 8 ? count - i : 8;
    std::uint64_t word = 0;
    for (Index k = 0; k < n; ++k) word |= static_cast<std::uint64_t>(codes[i + k]) << (k * Bits);
    const Index bytes = packed_bytes(n, Bits);
    for (Index b = 0; b < bytes; ++b) *out++ = static_cast<std::uint8_t>(word >> (8 * b));
  }
}

/// The inverse of `pack`. Reads exactly packed_bytes(count, Bits) bytes.
template <int Bits>
constexpr void unpack(const std::uint8_t* packed, Index count, std::uint8_t* codes) noexcept {
  static_assert(Bits >= 1 && Bits <= 8);
  constexpr std::uint64_t kMask = (std::uint64_t{1} << Bits) - 1;
  for (Index i = 0; i < count; i += 8) {
    const Index n = count - i < 8 ? count - i : 8;
    const Index bytes = packed_bytes(n, Bits);
    std::uint64_t word = 0;
    for (Index b = 0; b < bytes; ++b) word |= static_cast<std::uint64_t>(*packed++) << (8 * b);
    for (Index k = 0; k < n; ++k) codes[i + k] = static_cast<std::uint8_t>((word >> (k * Bits)) & kMask);
  }
}

/// Code number `i` of a bit stream of codes of 1..8 bits. Reads only the bytes it needs.
[[nodiscard]] constexpr std::uint32_t code_at(const std::uint8_t* packed, Index i, int bits) noexcept {
  const Index first = i * bits / 8;
  const Index last = (i * bits + bits - 1) / 8;
  std::uint32_t word = 0;
  for (Index b = first; b <= last; ++b) word |= static_cast<std::uint32_t>(packed[b]) << (8 * (b - first));
  return (word >> (i * bits % 8)) & ((1U << bits) - 1U);
}

/// Writes code number `i` of a bit stream whose bits there are still zero.
constexpr void put_code(std::uint8_t* packed, Index i, int bits, std::uint32_t code) noexcept {
  const Index first = i * bits / 8;
  const Index last = (i * bits + bits - 1) / 8;
  const std::uint32_t word = code << (i * bits % 8);
  for (Index b = first; b <= last; ++b) packed[b] = static_cast<std::uint8_t>(packed[b] | (word >> (8 * (b - first))));
}

/// Calls f with `bits` (1..8) as a constant: `f(std::integral_constant<int, 4>{})`.
template <class F>
decltype(auto) with_bits(int bits, F&& f) {
  switch (bits) {
    case 1:
      return f(std::integral_constant<int, 1>{});
    case 2:
      return f(std::integral_constant<int, 2>{});
    case 3:
      return f(std::integral_constant<int, 3>{});
    case 4:
      return f(std::integral_constant<int, 4>{});
    case 5:
      return f(std::integral_constant<int, 5>{});
    case 6:
      return f(std::integral_constant<int, 6>{});
    case 7:
      return f(std::integral_constant<int, 7>{});
    default:
      SINQ_ASSERT(bits == 8);
      return f(std::integral_constant<int, 8>{});
  }
}

}  // namespace sinq::inline SINQ_ABI
