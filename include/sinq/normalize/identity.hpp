#pragma once

#include <sinq/normalize/normalizer.hpp>

namespace sinq::inline SINQ_ABI {

/// No second axis: plain group quantization, the round-to-nearest baseline.
struct Identity {
  static constexpr ColScaleUse kColScale = ColScaleUse::kUnused;

  void validate() const noexcept {}

  [[nodiscard]] BalanceReport balance(const TileView& tile, DualScaleSpan scales, Scratch&, Isa) const noexcept {
    std::fill(scales.row, scales.row + tile.rows, 1.0F);
    std::fill(scales.col, scales.col + tile.cols, 1.0F);
    return {};
  }

  friend bool operator==(const Identity&, const Identity&) = default;
};

}  // namespace sinq::inline SINQ_ABI
