#pragma once

#include <sinq/finite.hpp>
#include <sinq/packing/bit_packing.hpp>
#include <sinq/packing/code_layout.hpp>

#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// The fast form of `pack` and `unpack` (pack_rows.hpp).
template <class Tag>
struct PackRows;

/// Codes of 1 to 8 bits, one for each weight: a level, or an entry of a table of floats. Rows are bit streams of their
/// own, each on whole bytes.
class ScalarCodes {
 public:
  static constexpr LevelType kLevelType = LevelType::kF32;

  explicit constexpr ScalarCodes(const Layout& layout) noexcept
      : rows_(layout.rows), cols_(layout.cols), bits_(layout.bits), level_count_(layout.level_count) {}

  [[nodiscard]] static constexpr bool holds(const Layout& layout) noexcept { return layout.quarter_bits == 0; }

  [[nodiscard]] static std::optional<LayoutFlaw> find_flaw(const Layout& layout) {
    if (layout.bits < 1 || layout.bits > 8)
      return LayoutFlaw{Errc::kBadConfig, "bits ", layout.bits, " is not in 1..8"};
    if (layout.level_count != 0 && layout.level_count != Index{1} << layout.bits) {
      return LayoutFlaw{Errc::kBadConfig, "level_count ", layout.level_count,
                        " is neither 0 nor 2^bits, bits = ", layout.bits};
    }
    return std::nullopt;
  }

  [[nodiscard]] constexpr Index row_bytes() const noexcept { return packed_bytes(cols_, bits_); }
  /// Bytes of codes from the start of a row to column `col`, the first of a group or a multiple of 8.
  [[nodiscard]] constexpr Index bytes_before(Index col) const noexcept { return col * bits_ / 8; }
  /// Where the codes of `row` from column `col` on are in their region.
  [[nodiscard]] constexpr Index code_offset(Index row, Index col) const noexcept {
    return row * row_bytes() + bytes_before(col);
  }

  [[nodiscard]] constexpr RegionShape code_shape() const noexcept { return {rows_, row_bytes()}; }
  [[nodiscard]] constexpr RegionShape level_shape() const noexcept { return {level_count_, 1}; }
  [[nodiscard]] constexpr Index row_step() const noexcept { return 1; }
  /// Rows lie far apart, and columns of one are neighbours.
  [[nodiscard]] constexpr UnpackShape unpack_shape() const noexcept { return {1, cols_}; }

  /// Tables are looked up and sorted: a NaN in them would do more harm than a wrong weight.
  [[nodiscard]] std::optional<std::string> find_level_flaw(const std::byte* levels) const {
    for (Index i = 0; i < level_count_; ++i) {
      float level = 0.0F;
      std::memcpy(&level, levels + i * Index{sizeof level}, sizeof level);
      if (!is_finite(level)) return text("level ", i, " is not finite");
    }
    return std::nullopt;
  }

  /// What packs a row: void(codes, count, out), as `PackRows::pack` of this width.
  template <class Tag>
  [[nodiscard]] auto packer() const noexcept {
    return with_bits(bits_, [](auto bits) { return &PackRows<Tag>::template pack<decltype(bits)::value>; });
  }

  template <class Tag>
  void unpack(const CodeRegions& from, RowRange rows, ColRange cols, std::uint8_t* out, Index stride) const noexcept {
    with_bits(bits_, [&](auto bits) {
      for (Index r = rows.begin; r < rows.end; ++r, out += stride) {
        PackRows<Tag>::template unpack<decltype(bits)::value>(from.codes + code_offset(r, cols.begin), cols.size(),
                                                              out);
      }
    });
  }

 private:
  Index rows_;
  Index cols_;
  int bits_;
  Index level_count_;
};

static_assert(CodeLayout<ScalarCodes>);

}  // namespace sinq::inline SINQ_ABI::detail
