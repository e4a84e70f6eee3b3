#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <cstdint>
#include <string>

namespace sinq::inline SINQ_ABI {

/// What a group stores beside its scale.
enum class OffsetKind : std::uint8_t {
  kShared,     ///< nothing: every group has `Layout::shared_zero_point`
  kZeroPoint,  ///< zero_point, in level units: w ~ (level - zero_point) * group_scale
};

/// Whether the second axis is stored at all; without it every column scale is 1.
enum class ColScaleKind : std::uint8_t { kNone, kStored };

/// Shape and format of a quantized matrix: everything but the bytes. Decodes as
///
///   w[r,c] = ((level(code[r,c]) - zero_point[r,g]) * group_scale[r,g]) * col_scale[r / row_block, c] * matrix_scale
///
/// with g = c / group_size. How the codes lie and what level each stands for is the business of a layout of codes
/// (packing/code_layouts.hpp), which `bits` and `quarter_bits` choose. The byte layout of each region is
/// in include/sinq/README.md.
struct Layout {
  Index rows = 0;
  Index cols = 0;
  int bits = 4;           ///< bits per code, 1..8 (0 for the lane trellis)
  int quarter_bits = 0;   ///< rate of the lane trellis in quarters of a bit, 6..18; 0: codes of whole bits
  Index group_size = 64;  ///< columns sharing scale and zero point; a multiple of 8, may exceed cols
  Index row_block = 0;    ///< rows sharing one column scale vector: rows for strips, tile height for squares
  Index level_count = 0;  ///< 0: a code is its own level; else 2^bits, or the 48 of a lane trellis
  OffsetKind offset = OffsetKind::kZeroPoint;
  AuxFormat aux = AuxFormat::kF16;
  ColScaleKind col_scale = ColScaleKind::kStored;
  float shared_zero_point = 0.0F;  ///< of OffsetKind::kShared
  float matrix_scale = 1.0F;       ///< a power of two, so that f16 and 8-bit aux fit whatever the weights' units

  friend bool operator==(const Layout&, const Layout&) = default;

  [[nodiscard]] Index groups() const noexcept { return ceil_div(cols, group_size); }
  [[nodiscard]] Index row_blocks() const noexcept { return ceil_div(rows, row_block); }
  [[nodiscard]] AuxFormat col_scale_format() const noexcept {
    return aux == AuxFormat::kF32 ? AuxFormat::kF32 : AuxFormat::kF16;
  }
};

namespace detail {

/// A rule that a layout breaks; the text names field, value and rule.
struct LayoutFlaw {
  Errc code = Errc::kBadConfig;
  std::string text;

  template <class... Parts>
  explicit LayoutFlaw(Errc error, const Parts&... parts) : code(error), text(detail::text(parts...)) {}
};

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
