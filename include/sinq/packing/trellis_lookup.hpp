#pragma once

#include <sinq/packing/lane_trellis.hpp>

#include <array>
#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// The tables of a trellis for a decoder: sums of three of its bytes are levels plus `zero`, modulo 256 (0: signed
/// bytes; 128: unsigned ones).
class TrellisLookup {
 public:
  explicit TrellisLookup(const TrellisTables& tables, int zero = 0) noexcept : tables_(tables), zero_(zero) {
    for (std::size_t i = 0; i < TrellisTables::kEntries; ++i) {
      bytes_[i] = static_cast<std::uint8_t>(tables.a[i] + zero);
      bytes_[i + TrellisTables::kEntries] = static_cast<std::uint8_t>(tables.b[i]);
      bytes_[i + 2 * TrellisTables::kEntries] = static_cast<std::uint8_t>(tables.c[i]);
    }
  }
  /// [3][16]: A, B, C.
  [[nodiscard]] const std::uint8_t* bytes() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::uint8_t level(std::uint32_t window) const noexcept {
    return static_cast<std::uint8_t>(tables_.level(window) + zero_);
  }

 private:
  std::array<std::uint8_t, TrellisTables::kBytes> bytes_;
  TrellisTables tables_;
  int zero_;
};

}  // namespace sinq::inline SINQ_ABI::detail
