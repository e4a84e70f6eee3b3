#pragma once

#include <sinq/abi.hpp>

#include <array>
#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// How vectors take codes of one width out of a row's bit stream: sixteen codes are 2 * bits bytes, and a code lies in
/// two neighbouring bytes at most. Even and odd codes are brought into 16-bit lanes by byte shuffles, shifted to the
/// upper byte by a multiplication, and interleaved.
struct UnpackPlan {
  alignas(64) std::uint8_t even[16] = {};  ///< byte shuffle of codes 0, 2, .., 14 (128 = zero)
  std::uint8_t odd[16] = {};               ///< of codes 1, 3, .., 15
  std::uint16_t even_scale[8] = {};        ///< powers of two that move a code to bit 8 of its lane
  std::uint16_t odd_scale[8] = {};
  std::uint16_t words[32] = {};  ///< 16-bit words of a 64-byte vector: the bytes of 4 x 16 codes to 128-bit lanes
  int bits = 0;

  constexpr UnpackPlan() = default;
  constexpr explicit UnpackPlan(int code_bits) : bits(code_bits) {
    for (int k = 0; k < 8; ++k) {
      place(2 * k, even + 2 * k, even_scale[k]);
      place(2 * k + 1, odd + 2 * k, odd_scale[k]);
    }
    for (int lane = 0; lane < 4; ++lane) {
      for (int w = 0; w < 8; ++w) words[lane * 8 + w] = static_cast<std::uint16_t>((bits * lane + w) % 32);
    }
  }

 private:
  constexpr void place(int code, std::uint8_t* bytes, std::uint16_t& scale) const {
    const int first = code * bits / 8;
    const int shift = code * bits % 8;
    bytes[0] = static_cast<std::uint8_t>(first);
    bytes[1] = first + 1 < 2 * bits ? static_cast<std::uint8_t>(first + 1) : std::uint8_t{128};
    scale = static_cast<std::uint16_t>(1 << (8 - shift));
  }
};

/// Indexed by bits, 1..8.
inline constexpr std::array<UnpackPlan, 9> kUnpackPlans = {
    UnpackPlan{},  UnpackPlan{1}, UnpackPlan{2}, UnpackPlan{3}, UnpackPlan{4},
    UnpackPlan{5}, UnpackPlan{6}, UnpackPlan{7}, UnpackPlan{8},
};

}  // namespace sinq::inline SINQ_ABI::detail
