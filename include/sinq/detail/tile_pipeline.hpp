#pragma once

#include <sinq/config.hpp>
#include <sinq/detail/nth_smallest.hpp>
#include <sinq/detail/quantizer_ref.hpp>
#include <sinq/detail/tile_apply.hpp>
#include <sinq/detail/tile_balancer.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/detail/zero_point_range.hpp>
#include <sinq/packing/aux_encoder.hpp>
#include <sinq/packing/pack_rows.hpp>
#include <sinq/quantize_report.hpp>
#include <sinq/quantized_matrix.hpp>

#include <atomic>
#include <numeric>
#include <utility>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// Memory and findings of one thread.
struct TileWorker : BalanceWorker {
  Scratch tile, chunk, scales, params, quantizer;
  Vector<std::uint8_t> codes, held_back;
};

/// One matrix on its way to codes, tile by tile. A *band* is what is in scratch at a time: a strip, or for square
/// tiling as many squares above each other as end on a boundary of aux blocks, so that no two threads share one. Within
/// a band, the weights are normalized, fitted, rounded and packed in chunks of rows that stay in the first cache. A
/// *task* is one band, or as many side by side as fill a line of memory with their codes: written strip by strip, every
/// line would come from memory and go back several times.
class TilePipeline {
 public:
  TilePipeline(const MatrixView& w, const Method& method, const QuantizerRef& quantizer,
               const NormalizerRef& normalizer, const Layout& layout, std::span<std::byte> out,
               std::span<const float> col_importance, Isa limit)
      : balancer_(w, method, normalizer, layout, out, resolve(limit)),
        quantizer_(quantizer),
        col_importance_(col_importance),
        format_(quantizer_.format()),
        layout_(layout),
        isa_(resolve(limit)),
        codes_against_(method.codes_against),
        zero_range_(format_, layout.aux),
        tile_cols_(balancer_.tile_cols()),
        band_rows_(method.tiling == Tiling::kColumns
                       ? layout.rows
                       : std::min(std::lcm(layout.row_block, kAuxBlockRows), layout.rows)),
        streams_(layout),
        strip_bytes_(streams_.bytes_before(tile_cols_)) {
    // Small matrices keep enough tasks for every thread.
    constexpr Index kLineBytes = 64, kEnoughTasks = 16;
    task_strips_ = std::clamp<Index>(strips() * bands() / kEnoughTasks, 1, ceil_div(kLineBytes, strip_bytes_));
    for (int i = 0; i < kRegionCount; ++i) {
      regions_[i] = out.data() + region_offset(layout, static_cast<Region>(i));
    }
    store_levels();
  }

  /// With its matrix_scale.
  [[nodiscard]] const Layout& layout() const noexcept { return balancer_.layout(); }
  [[nodiscard]] Index task_count() const noexcept { return bands() * ceil_div(strips(), task_strips_); }

  void run(Index task, TileWorker& worker) {
    const Index first = task / bands() * task_strips_;
    const Index end = std::min(first + task_strips_, strips());
    for (Index strip = first; strip < end; ++strip) {
      const Index index = strip * bands() + task % bands();
      Band band = load_band(index, worker);
      if (band.tile.data == nullptr) return;
      band.held_bytes = (strip - first) * strip_bytes_;
      band.hold_back = strip + 1 < end;
      for (Index r = 0; r < band.rect.rows; r += kAuxBlockRows) {
        if (!band.hold_back) prefetch_codes(band, r);
        encode_chunk(band, r, worker);
      }
    }
  }

  /// Lets a quantizer that has levels of its own learn them from a sample of the normalized matrix. Before the first
  /// `run`.
  void learn(TileWorker& worker) {
    if (quantizer_.do_learn == nullptr) return;
    // A quarter of a million weights place 16 levels within a thousandth. 16 tiles see the whole width of the matrix.
    constexpr Index kSampledWeights = Index{1} << 18;
    constexpr Index kSampledTiles = 16;
    const Index group_size = std::min(layout_.group_size, layout_.cols);
    const Index bands_in_all = bands() * strips();
    const Index tiles = std::min(kSampledTiles, bands_in_all);
    const Index stride = round_up(group_size, kTileStride);
    Vector<float> sample;
    for (Index i = 0; i < tiles; ++i) {
      Band band = load_band(i * bands_in_all / tiles, worker);
      if (band.tile.data == nullptr) return;  // not finite: the run itself will say where
      const Index whole_groups = std::max<Index>(band.rect.cols / group_size, 1);
      const Index rows = std::clamp<Index>(kSampledWeights / tiles / band.rect.cols, 1, band.rect.rows);
      for (Index k = 0; k < rows; ++k) {
        const Index r = k * band.rect.rows / rows;
        const float* inv_col = band.inv_col + r / layout_.row_block * band.tile.stride;
        for (Index g = 0; g < whole_groups; ++g) {
          const std::size_t at = sample.size();
          sample.resize(at + static_cast<std::size_t>(stride), 0.0F);
          for (Index c = 0; c < std::min(group_size, band.rect.cols); ++c) {
            const Index col = g * group_size + c;
            sample[at + static_cast<std::size_t>(c)] = band.tile.row(r)[col] * inv_col[col] * band.inv_row[r];
          }
        }
      }
    }
    quantizer_.learn(bounded_groups(sample, group_size, stride), worker.quantizer, isa_);
    format_ = quantizer_.format();
    store_levels();
  }

  /// To be asked when all tiles are done. Throws Errc::kBadData if a weight was not finite.
  [[nodiscard]] bool needs_another_round(std::vector<TileWorker>& workers) {
    return balancer_.needs_another_round(workers);
  }

  [[nodiscard]] QuantizeReport report() const { return balancer_.report(); }

 private:
  struct Band {
    TileRect rect;
    TileView tile;
    float* row;  ///< normalizer's row factors [rows]
    Index groups;
    float* inv_row = nullptr;
    float* inv_col = nullptr;  ///< [blocks][stride], then as much working memory
    float* weights = nullptr;  ///< [blocks][stride] importance of columns to a searched fit; null: all alike
    GroupParams params = {};   ///< of the whole band for FitScope::kTile, else of a chunk
    float* units = nullptr;    ///< [blocks]
    float* stored = nullptr;   ///< one group of a chunk as a reader will see it, twice
    Index held_bytes = 0;      ///< of every row, of the task's earlier strips, that wait for this one
    bool hold_back = false;    ///< this one's wait for the next
  };

  void store_levels() const noexcept {
    const auto levels =
        format_.byte_levels.empty() ? std::as_bytes(format_.levels) : std::as_bytes(format_.byte_levels);
    if (!levels.empty()) std::memcpy(region(Region::kLevels), levels.data(), levels.size());
  }

  [[nodiscard]] Index bands() const noexcept { return ceil_div(layout_.rows, band_rows_); }
  [[nodiscard]] Index strips() const noexcept { return ceil_div(layout_.cols, tile_cols_); }
  [[nodiscard]] std::byte* region(Region r) const noexcept { return regions_[static_cast<int>(r)]; }

  /// The sampled groups [n][stride], outliers made smaller: levels are fitted to groups by their squares, and one with
  /// an enormous weight would have more to say than all others. It keeps its shape and the say of an eighth of the
  /// sample, enough for levels of its own.
  [[nodiscard]] static TileView bounded_groups(Vector<float>& sample, Index group_size, Index stride) {
    const Index count = static_cast<Index>(sample.size()) / stride;
    Vector<double> squares(static_cast<std::size_t>(count), 0.0);
    for (Index i = 0; i < count * stride; ++i) {
      const auto x = static_cast<double>(sample[static_cast<std::size_t>(i)]);
      squares[static_cast<std::size_t>(i / stride)] += x * x;
    }
    Vector<double> sorted = squares;
    const double quartile = nth_smallest(sorted.data(), sorted.size(), static_cast<std::size_t>((count - 1) * 3 / 4));
    if (!(quartile > 0.0)) return {sample.data(), count, group_size, stride, 1.0F};
    const double most = quartile * std::clamp(static_cast<double>(count) / 8.0, 4.0, 1024.0);
    double sum = 0.0;
    for (Index g = 0; g < count; ++g) {
      const double square = squares[static_cast<std::size_t>(g)];
      sum += std::min(square, most);
      if (square <= most) continue;
      const auto factor = static_cast<float>(std::sqrt(most / square));
      for (Index i = g * stride; i < (g + 1) * stride; ++i) sample[static_cast<std::size_t>(i)] *= factor;
    }
    return {sample.data(), count, group_size, stride, power_of_two_near(sum / static_cast<double>(count * group_size))};
  }

  /// Loads and balances all blocks of a band. `tile.data` is null if a weight is not finite.
  [[nodiscard]] Band load_band(Index index, TileWorker& worker) {
    const Index strip = index / bands();
    const Index row = index % bands() * band_rows_;
    const Index col = strip * tile_cols_;
    const TileRect rect{row, col, std::min(band_rows_, layout_.rows - row), std::min(tile_cols_, layout_.cols - col)};
    const Index stride = round_up(rect.cols, kTileStride);
    const Index padded_rows = round_up(rect.rows, kAuxBlockRows);
    const Index blocks = ceil_div(rect.rows, layout_.row_block);
    const Index groups = ceil_div(rect.cols, layout_.group_size);

    Band band{.rect = rect,
              .tile = {worker.tile.floats(rect.rows * stride), rect.rows, rect.cols, stride},
              .row = worker.scales.floats(2 * padded_rows + 3 * blocks * stride + blocks),
              .groups = groups};
    band.inv_row = band.row + padded_rows;
    band.inv_col = band.inv_row + padded_rows;
    band.units = band.inv_col + 2 * blocks * stride;
    if (!col_importance_.empty()) band.weights = band.units + blocks;
    const Index params_rows = quantizer_.scope == FitScope::kTile ? padded_rows : kAuxBlockRows;
    float* params = worker.params.floats(2 * groups * params_rows + 2 * kAuxBlockRows);
    band.params = {params, params + groups * params_rows, params_rows};
    band.stored = params + 2 * groups * params_rows;
    for (Index block = 0; block < blocks; ++block) {
      if (!balance_block(band, block, worker)) band.tile.data = nullptr;
      if (band.tile.data == nullptr) break;
    }
    return band;
  }

  /// Loads and balances the rows under one column scale vector. False if a weight is not finite.
  bool balance_block(Band& band, Index block, TileWorker& worker) {
    const Index row = block * layout_.row_block;
    const Index rows = std::min(layout_.row_block, band.rect.rows - row);
    float* inv_col = band.inv_col + block * band.tile.stride;
    float* col = band.inv_col + (ceil_div(band.rect.rows, layout_.row_block) + block) * band.tile.stride;
    LoadedTile loaded(band.tile.row_slice({row, row + rows}), worker.moments);
    const TileView tile = balancer_.balance(loaded, (band.rect.row + row) / layout_.row_block,
                                            band.rect.col / tile_cols_, {band.row + row, col}, worker);
    if (tile.data == nullptr) return false;
    for (Index c = 0; c < tile.stride; ++c) inv_col[c] = c < tile.cols ? 1.0F / col[c] : 0.0F;
    for (Index r = row; r < row + rows; ++r) band.inv_row[r] = 1.0F / band.row[r];
    weigh_columns(band, block, inv_col);
    if (quantizer_.scope == FitScope::kTile) {
      normalize(tile, band.inv_row + row, inv_col, tile);
      quantizer_.fit(tile, layout_.group_size,
                     {band.params.scale + row, band.params.zero_point + row, band.params.stride}, worker.quantizer,
                     isa_);
    } else {
      band.units[block] = tile.unit;
    }
    return true;
  }

  /// How much an error of a normalized weight matters, column by column: what the caller says of the columns of the
  /// matrix. Otherwise all alike, which is 1 / col_scale^2 in the matrix itself: a factor that moves from what makes
  /// the layer's inputs into its columns multiplies the inputs' squares by what it divides those by.
  void weigh_columns(const Band& band, Index block, const float* inv_col) const noexcept {
    if (band.weights == nullptr) return;
    float* weights = band.weights + block * band.tile.stride;
    // Group by group, since only the ratios within one matter: divided by the greatest, and again by the power of two
    // of the greatest product, so that neither units nor outliers of importance leave float's range.
    const float* importance = col_importance_.data() + band.rect.col;
    for (Index first = 0; first < band.rect.cols; first += layout_.group_size) {
      const Index end = std::min(first + layout_.group_size, band.rect.cols);
      const auto greatest = static_cast<double>(*std::max_element(importance + first, importance + end));
      const auto weight = [&](Index c) {
        const auto inverse = static_cast<double>(inv_col[c]);
        return static_cast<double>(importance[c]) / greatest / (inverse * inverse);
      };
      double most = 0.0;
      for (Index c = first; c < end; ++c) most = std::max(most, weight(c));
      const double unit = std::ldexp(1.0, std::ilogb(most));
      for (Index c = first; c < end; ++c) weights[c] = static_cast<float>(weight(c) / unit);
    }
  }

  /// Calls f(rows [r, end) of a chunk, block) for the rows under one column scale vector: a chunk may end one square
  /// and begin the next.
  template <class F>
  void for_each_part(Index first, Index rows, F f) const {
    for (Index r = 0; r < rows;) {
      const Index block = (first + r) / layout_.row_block;
      const Index end = std::min(rows, (block + 1) * layout_.row_block - first);
      f(RowRange{r, end}, block);
      r = end;
    }
  }

  /// Fits (unless that is done), stores aux, rounds and packs up to 64 rows from `first` on.
  void encode_chunk(Band& band, Index first, TileWorker& worker) {
    const Index rows = std::min(kAuxBlockRows, band.rect.rows - first);
    TileView x = band.tile.row_slice({first, first + rows});
    GroupParams params = band.params;
    if (quantizer_.scope == FitScope::kTile) {
      params.scale += first;
      params.zero_point += first;
    } else {
      const TileView chunk{worker.chunk.floats(kAuxBlockRows * x.stride), rows, x.cols, x.stride, x.unit};
      for_each_part(first, rows, [&](RowRange r, Index block) {
        const TileView part = weighed(chunk, band, r, block);
        normalize(x.row_slice(r), band.inv_row + first + r.begin, band.inv_col + block * x.stride, part);
        quantizer_.fit(part, layout_.group_size, from_row(params, r.begin), worker.quantizer, isa_);
      });
      x = chunk;
    }
    for (Index g = 0; g < band.groups; ++g) store_group(band, g, first, rows, params, worker);
    const Index code_stride = x.stride;
    worker.codes.resize(static_cast<std::size_t>(kAuxBlockRows * code_stride + kTileStride));
    quantizer_.encode(x, layout_.group_size, params, worker.codes.data(), code_stride, isa_);
    pack_chunk(band, first, rows, worker.codes.data(), code_stride, worker);
  }

  [[nodiscard]] TileView weighed(const TileView& chunk, const Band& band, RowRange r, Index block) const noexcept {
    TileView part = chunk.row_slice(r);
    part.unit = band.units[block];
    if (band.weights != nullptr) part.col_weights = band.weights + block * chunk.stride;
    return part;
  }
  [[nodiscard]] static GroupParams from_row(const GroupParams& params, Index r) noexcept {
    return {params.scale + r, params.zero_point + r, params.stride};
  }

  /// Stores scale and zero point of one group of a chunk; `params` becomes what codes are rounded with.
  void store_group(const Band& band, Index g, Index first, Index rows, const GroupParams& params, TileWorker& worker) {
    float* scale = params.scale + g * params.stride;
    float* zero = params.zero_point + g * params.stride;
    float* folded = band.stored;
    float* stored_zero = band.stored + kAuxBlockRows;
    const bool against_stored = codes_against_ == CodesAgainst::kStored;
    const float* row = band.row + first;
    const float most = dispatch(isa_, [&](auto tag) {
      return ZeroPointSteps<decltype(tag)>::fold(zero_range_, scale, zero, row, rows, folded);
    });
    if (layout_.aux == AuxFormat::kF16 && most > OversizedScales::kMost) {
      clip_scales(band.inv_row + first, rows, scale, folded, worker.oversized);
    }
    const Index group = band.rect.col / layout_.group_size + g;
    const RowRange range{band.rect.row + first, band.rect.row + first + rows};
    encode_aux(layout_.aux, AuxCurve::kLogarithmic, target(Region::kGroupScale, Region::kGroupScaleBlocks, group),
               range, folded, folded, isa_);
    const float* inv_row = band.inv_row + first;
    for (Index r = 0; r < rows; ++r) folded[r] *= inv_row[r];  // the group's own scale again, as a reader has it
    if (layout_.offset == OffsetKind::kZeroPoint) {
      if (against_stored && format_.zero_point == ZeroPoint::kReal) {
        dispatch(isa_, [&](auto tag) {
          ZeroPointSteps<decltype(tag)>::follow(zero_range_, scale, folded, zero, rows, stored_zero);
        });
      } else {
        std::copy(zero, zero + rows, stored_zero);
      }
      encode_aux(layout_.aux, AuxCurve::kLinear, target(Region::kOffset, Region::kOffsetBlocks, group), range,
                 stored_zero, stored_zero, isa_);
    }
    if (!against_stored) return;
    if (layout_.offset == OffsetKind::kZeroPoint) std::copy(stored_zero, stored_zero + rows, zero);
    std::copy(folded, folded + rows, scale);
  }

  /// Brings scales that f16 cannot hold to its end. Zero points stay, in units of them, so that zero keeps its code.
  static void clip_scales(const float* inv_row, Index rows, float* scale, float* folded, OversizedScales& oversized) {
    for (Index r = 0; r < rows; ++r) {
      if (!(folded[r] > OversizedScales::kMost)) continue;
      oversized.add(folded[r]);
      folded[r] = OversizedScales::kMost;
      scale[r] = OversizedScales::kMost * inv_row[r];
    }
  }

  /// Where the packed codes of a chunk go: behind those held back so far, or with those to the matrix.
  struct PackTarget {
    std::uint8_t* out;
    Index stride;
    const std::uint8_t* held;
    Index held_stride;
    Index held_bytes;  ///< to be written in front of each row

    [[nodiscard]] std::uint8_t* row(Index r) const noexcept { return out + r * stride; }
    void write_held(Index r) const noexcept {
      if (held_bytes == 0) return;
      std::memcpy(row(r) - held_bytes, held + r * held_stride, static_cast<std::size_t>(held_bytes));
    }
  };

  [[nodiscard]] PackTarget pack_target(const Band& band, Index first, TileWorker& worker) const {
    const Index held_stride = (task_strips_ - 1) * strip_bytes_;
    worker.held_back.resize(static_cast<std::size_t>(band.rect.rows * held_stride));
    std::uint8_t* held = worker.held_back.data() + first * held_stride;
    if (band.hold_back) return {held + band.held_bytes, held_stride, held, held_stride, 0};
    return {code_address(band, first), streams_.row_bytes(), held, held_stride, band.held_bytes};
  }

  /// Packs up to 64 rows from `first` on.
  void pack_chunk(const Band& band, Index first, Index rows, std::uint8_t* codes, Index code_stride,
                  TileWorker& worker) const {
    const PackTarget to = pack_target(band, first, worker);
    dispatch(isa_, [&](auto tag) {
      const auto pack = streams_.packer<decltype(tag)>();
      for (Index r = 0; r < rows; ++r, codes += code_stride) {
        std::fill(codes + band.rect.cols, codes + round_up(band.rect.cols, 8), std::uint8_t{0});
        to.write_held(r);
        pack(codes, band.rect.cols, to.row(r));
      }
    });
  }

  [[nodiscard]] std::uint8_t* code_address(const Band& band, Index row) const noexcept {
    return reinterpret_cast<std::uint8_t*>(region(Region::kCodes)) +
           streams_.code_offset(band.rect.row + row, band.rect.col);
  }

  /// Packed rows lie a matrix row apart: asking for them before the chunk is computed hides the wait.
  void prefetch_codes(const Band& band, Index first) const noexcept {
    const std::uint8_t* out = code_address(band, first) - band.held_bytes;
    const Index rows = std::min(kAuxBlockRows, band.rect.rows - first);
    dispatch(isa_, [&](auto tag) { PackRows<decltype(tag)>::prefetch(out, rows, streams_.row_bytes()); });
  }

  void normalize(const TileView& from, const float* inv_row, const float* inv_col, const TileView& to) const noexcept {
    dispatch(isa_, [&](auto tag) { TileApply<decltype(tag)>::normalize(from, inv_row, inv_col, to); });
  }

  [[nodiscard]] AuxTarget target(Region values, Region blocks, Index group) const noexcept {
    return {region(values) + group * aux_bytes(layout_.aux, layout_.rows),
            region(blocks) + group * aux_blocks(layout_.rows) * Index{sizeof(AuxBlock)}};
  }

  TileBalancer balancer_;
  QuantizerRef quantizer_;
  std::span<const float> col_importance_;
  CodeFormat format_;
  Layout layout_;
  Isa isa_;
  CodesAgainst codes_against_;
  ZeroPointRange zero_range_;
  Index tile_cols_;
  Index band_rows_;
  ScalarCodes streams_;
  Index strip_bytes_;  ///< of a row's codes
  Index task_strips_ = 1;
  std::byte* regions_[kRegionCount];
};

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
