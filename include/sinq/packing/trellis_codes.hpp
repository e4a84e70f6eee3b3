#pragma once

#include <sinq/isa.hpp>
#include <sinq/packing/code_layout.hpp>
#include <sinq/packing/lane_trellis.hpp>
#include <sinq/packing/trellis_lines.hpp>
#include <sinq/packing/trellis_lookup.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Levels of blocks of lines (trellis_decoder.hpp).
template <class Tag>
struct TrellisDecoder;

/// The lane trellis: panels of 128 rows, whose weights are windows of the bit streams of 64 lanes.
class TrellisCodes {
  using Geometry = TrellisGeometry;

 public:
  static constexpr LevelType kLevelType = LevelType::kI8;

  explicit constexpr TrellisCodes(const Layout& layout) noexcept
      : geometry_{layout.rows, layout.cols, layout.quarter_bits} {}

  [[nodiscard]] static constexpr bool holds(const Layout& layout) noexcept { return layout.quarter_bits != 0; }

  [[nodiscard]] static std::optional<LayoutFlaw> find_flaw(const Layout& layout) {
    const auto flaw = [](const auto&... parts) { return LayoutFlaw(Errc::kBadConfig, parts...); };
    const int q = layout.quarter_bits;
    if (q < Geometry::kMinQuarterBits || q > Geometry::kMaxQuarterBits) {
      return flaw("quarter_bits ", q, " is not in ", Geometry::kMinQuarterBits, "..", Geometry::kMaxQuarterBits);
    }
    if (layout.bits != 0) return flaw("bits ", layout.bits, " is not 0 beside quarter_bits ", q);
    if (layout.level_count != TrellisTables::kBytes) {
      return flaw("level_count ", layout.level_count, " is not the ", TrellisTables::kBytes, " of the lane trellis");
    }
    if (layout.group_size % Geometry::kBlockCols != 0) {
      return flaw("group_size ", layout.group_size, " is not a multiple of ", Geometry::kBlockCols,
                  ", which the lane trellis needs");
    }
    if (layout.offset != OffsetKind::kShared || layout.shared_zero_point != 0.0F) {
      return flaw("the lane trellis stores no offsets, and its zero point is 0");
    }
    const TrellisCodes codes(layout);
    if (codes.geometry_.panels() * Geometry::kPanelRows >
        kMaxWeights / Geometry::kBlockCols / std::max(codes.geometry_.blocks(), Index{1})) {
      return LayoutFlaw(Errc::kBadShape, "rows ", layout.rows, " x cols ", layout.cols, ", padded to multiples of ",
                        Geometry::kPanelRows, " and ", Geometry::kBlockCols, ", is more than 2^", kMaxWeightsLog2,
                        " weights");
    }
    return std::nullopt;
  }

  [[nodiscard]] constexpr const TrellisGeometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] static TrellisTables tables(const std::byte* levels) noexcept {
    TrellisTables tables;
    std::memcpy(tables.a.data(), levels, TrellisTables::kEntries);
    std::memcpy(tables.b.data(), levels + TrellisTables::kEntries, TrellisTables::kEntries);
    std::memcpy(tables.c.data(), levels + 2 * TrellisTables::kEntries, TrellisTables::kEntries);
    return tables;
  }

  [[nodiscard]] constexpr RegionShape code_shape() const noexcept {
    return {geometry_.panels(), geometry_.panel_bytes()};
  }
  [[nodiscard]] constexpr RegionShape level_shape() const noexcept { return {3, TrellisTables::kEntries}; }

  /// Sums of three are kept in signed bytes.
  [[nodiscard]] std::optional<std::string> find_level_flaw(const std::byte* levels) const {
    const auto* const entries = reinterpret_cast<const std::int8_t*>(levels);
    int sum = 0;
    for (int t = 0; t < 3; ++t) {
      int most = 0;
      for (int i = 0; i < TrellisTables::kEntries; ++i) most = std::max(most, std::abs(int{entries[16 * t + i]}));
      sum += most;
    }
    if (sum <= 127) return std::nullopt;
    return text("sums of its three tables reach ", sum, ", more than 127");
  }

  [[nodiscard]] constexpr Index row_step() const noexcept { return Geometry::kPanelRows; }
  /// A panel, as far as half of the first cache holds its bytes.
  [[nodiscard]] constexpr UnpackShape unpack_shape() const noexcept { return {Geometry::kPanelRows, 2 * kPieceCols}; }

  /// Reads the lines of these columns, and the two before them.
  template <class Tag>
  void unpack(const CodeRegions& from, RowRange rows, ColRange cols, std::uint8_t* out, Index stride) const noexcept {
    alignas(64) std::uint8_t levels[kPieceCols * Geometry::kPanelRows];
    const TrellisLookup lookup(tables(from.levels), kLevelZero);
    while (rows.begin < rows.end) {
      const Index panel = rows.begin / Geometry::kPanelRows, first_row = panel * Geometry::kPanelRows;
      const RowRange part{rows.begin - first_row, std::min(rows.end - first_row, Geometry::kPanelRows)};
      const std::uint8_t* const lines = from.codes + panel * geometry_.panel_bytes();
      for (Index c = cols.begin; c < cols.end; c += kPieceCols) {
        const Index blocks = ceil_div(std::min(cols.end - c, kPieceCols), Geometry::kBlockCols);
        TrellisDecoder<Tag>::run(TrellisLines(geometry_, lines, c / Geometry::kBlockCols, blocks), lookup, levels);
        copy_rows(levels, part, blocks, out + c - cols.begin, stride);
      }
      out += part.size() * stride;
      rows.begin += part.size();
    }
  }

 private:
  /// Columns that are unpacked at once: four blocks of lines, 8 KB of levels.
  static constexpr Index kPieceCols = 4 * Geometry::kBlockCols;

  /// Rows of a panel out of the levels of its steps, quad by quad.
  static void copy_rows(const std::uint8_t* levels, RowRange rows, Index blocks, std::uint8_t* out,
                        Index stride) noexcept {
    constexpr Index kQuad = Geometry::kLaneCols, kQuadLevels = kQuad * Geometry::kPanelRows;
    for (Index r = rows.begin; r < rows.end; ++r, out += stride) {
      const std::uint8_t* from = levels + Geometry::step_of(r, 0) * Geometry::kLineBytes + Geometry::lane_of(r, 0);
      std::uint8_t* to = out;
      for (Index b = 0; b < blocks; ++b) {
        SINQ_UNROLL
        for (Index c = 0; c < Geometry::kBlockCols; c += kQuad, from += kQuadLevels) std::memcpy(to + c, from, kQuad);
        to += Geometry::kBlockCols;
      }
    }
  }

  TrellisGeometry geometry_;
};

static_assert(CodeLayout<TrellisCodes>);

}  // namespace sinq::inline SINQ_ABI::detail
