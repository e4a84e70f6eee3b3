#pragma once

#include <sinq/packing/bit_packing.hpp>

#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Levels of vector codes, whole numbers in -127..127, become unsigned bytes with this added.
inline constexpr int kLevelZero = 128;

/// Codes of 1..16 bits from any place of a row's bit stream: by whole words where the row has them.
class CodeReader {
 public:
  CodeReader(const std::uint8_t* row, Index row_bytes, int bits) noexcept
      : row_(row), row_bytes_(row_bytes), bits_(bits), mask_((1U << bits) - 1U) {}

  /// Code number `i` of the row.
  [[nodiscard]] std::uint32_t operator()(Index i) const noexcept {
    const Index bit = i * bits_;
    if (bit / 8 + Index{sizeof(std::uint32_t)} > row_bytes_) return code_at(row_, i, bits_);
    std::uint32_t word;
    std::memcpy(&word, row_ + bit / 8, sizeof word);
    return word >> (bit % 8) & mask_;
  }

 private:
  const std::uint8_t* row_;
  Index row_bytes_;
  int bits_;
  std::uint32_t mask_;
};

/// Entries code(0) .. code(count - 1) of `table` [][dim], one behind the other; dim is 2, 4 or 8.
template <class CodeAt>
void copy_entries(const std::int8_t* table, int dim, Index count, CodeAt code, std::uint8_t* out) noexcept {
  const auto copy = [&]<int kDim>() {
    for (Index i = 0; i < count; ++i) std::memcpy(out + i * kDim, table + static_cast<Index>(code(i)) * kDim, kDim);
  };
  if (dim == 2) return copy.template operator()<2>();
  if (dim == 4) return copy.template operator()<4>();
  copy.template operator()<8>();
}

/// Adds kLevelZero to `cols` levels, and negates those whose bit of `signs` is set (null: none is): eight bytes at a
/// time.
inline void bias_levels(const std::uint8_t* signs, Index cols, std::uint8_t* levels) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101U;
  for (Index c = 0; c < cols; c += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, levels + c, 8);
    eight ^= kOnes * 0x80U;
    if (signs != nullptr) {
      // Of byte k, bit k; then 1 where it is set.
      const std::uint64_t bits = (kOnes * signs[c / 8]) & 0x8040201008040201U;
      const std::uint64_t ones = ((bits + kOnes * 0x7fU) >> 7) & kOnes;
      // Levels are at least -127, so that no byte is 0 and none carries.
      eight = (eight ^ (ones * 0xffU)) + ones;
    }
    std::memcpy(levels + c, &eight, 8);
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
