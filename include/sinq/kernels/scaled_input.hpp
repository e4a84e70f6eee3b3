#pragma once

#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/simd.hpp>
#include <sinq/error.hpp>
#include <sinq/isa.hpp>
#include <sinq/kernels/activations.hpp>
#include <sinq/kernels/dots.hpp>
#include <sinq/kernels/input_blocks.hpp>
#include <sinq/kernels/level_table.hpp>
#include <sinq/kernels/precision.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/quantized_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// The column scales of one row of blocks, as stored.
struct ColumnScales {
  const std::byte* values = nullptr;  ///< null: all 1
  AuxFormat format = AuxFormat::kF16;
};

/// Activations of one row block in the form that kernels read. All arrays are [blocks] outside; within a block,
/// digits are [block stride / 4][batch][4] and values [block stride][batch].
struct InputView {
  InputBlocks blocks;
  Index batch = 0;
  int digits = 0;  ///< of kInt15: x ~ (128 * high + low) * scale; of kInt8: x ~ high * scale; 0: `values`
  const std::int8_t* high = nullptr;
  const std::int8_t* low = nullptr;
  const float* values = nullptr;
  const float* scales = nullptr;  ///< [blocks][batch]
  const float* sums = nullptr;    ///< [blocks][batch]: of the block's activations as the kernel sees them

  [[nodiscard]] const std::int8_t* digit(int d, Index block) const noexcept {
    return (d == 0 ? high : low) + block * blocks.stride * batch;
  }
};

/// Where one plane of a ScaledInput is written to.
struct InputSink {
  InputBlocks blocks;
  Index batch = 0;
  int digits = 0;
  std::uint8_t* high = nullptr;
  std::uint8_t* low = nullptr;
  float* values = nullptr;
  float* scales = nullptr;
  float* sums = nullptr;
};

template <class Tag>
struct InputScaler;

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI

#define SINQ_KERNEL <sinq/kernels/scale_input_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI {

/// Activations prepared for one matrix: multiplied by its column scales (the second axis costs nothing after this),
/// quantized in the same pass if asked, with the sum of every block for the groups' zero points; and the levels of a
/// codebook as bytes. Reusable scratch: shapes and levels that stay the same cost nothing again. Reading from several
/// threads is safe.
class ScaledInput {
 public:
  /// Prepares `x` [batch, cols] for `matrix` (a QuantizedView or RepackedView). Vector codes in row-major order, and
  /// everything where only plain C++ runs, are always kFloat: faster there, and more precise.
  /// Inf or NaN in a block makes every result NaN that the block enters. Throws kBadShape if the columns differ.
  void assign(const QuantizedView& matrix, const Activations& x, Precision precision = Precision::kInt15,
              Isa limit = Isa::kBest) {
    const Layout& layout = matrix.layout();
    const Index first = matrix.row_range().begin / layout.row_block;
    const Index last = (matrix.row_range().end - 1) / layout.row_block;
    const Index size = aux_bytes(layout.col_scale_format(), 1);
    const std::byte* scales = matrix.region(Region::kColScale);
    if (scales != nullptr) scales += (first * layout.cols + matrix.col_range().begin) * size;
    if (layout.vector_dim != 1) precision = Precision::kFloat;
    prepare(layout, matrix.cols(), last - first + 1, x, precision, limit);
    fill(layout, scales, x, limit);
    prepare_levels(layout, matrix.levels(), limit);
  }
  void assign(const RepackedView& matrix, const Activations& x, Precision precision = Precision::kInt15,
              Isa limit = Isa::kBest) {
    const Layout& layout = matrix.layout();
    prepare(layout, layout.cols, layout.row_blocks(), x, precision, limit);
    fill(layout, matrix.region(PanelRegion::kColScale), x, limit);
    prepare_levels(layout, matrix.levels(), limit);
  }

  [[nodiscard]] Index batch() const noexcept { return batch_; }
  [[nodiscard]] Index cols() const noexcept { return blocks_->cols; }
  [[nodiscard]] Precision precision() const noexcept { return precision_; }
  /// For the kernels: the activations as row block `plane` sees them (counted from the window's first row block).
  [[nodiscard]] detail::InputView view(Index plane) const noexcept {
    const std::byte* base = data() + plane * plane_bytes_;
    detail::InputView v{blocks_, batch_, digits(), nullptr, nullptr, nullptr, nullptr, nullptr};
    v.high = reinterpret_cast<const std::int8_t*>(base);
    v.low = v.high + value_count();
    v.values = reinterpret_cast<const float*>(base);
    v.scales = reinterpret_cast<const float*>(base + value_bytes());
    v.sums = v.scales + blocks_->count * batch_;
    return v;
  }
  [[nodiscard]] Index planes() const noexcept { return planes_; }
  /// For the kernels: the matrix's levels as bytes.
  [[nodiscard]] const detail::LevelTable& level_table() const noexcept { return table_; }

 private:
  [[nodiscard]] int digits() const noexcept {
    return precision_ == Precision::kFloat ? 0 : precision_ == Precision::kInt8 ? 1 : 2;
  }
  [[nodiscard]] Index value_count() const noexcept { return blocks_->count * blocks_->stride * batch_; }
  [[nodiscard]] Index value_bytes() const noexcept {
    return value_count() * (precision_ == Precision::kFloat ? Index{sizeof(float)} : digits());
  }
  [[nodiscard]] const std::byte* data() const noexcept { return memory_.data(); }

  void prepare(const Layout& layout, Index cols, Index row_blocks, const Activations& x, Precision precision,
               Isa limit) {
    if (resolve(limit) == Isa::kPortable) precision = Precision::kFloat;
    if (x.cols() != cols) {
      SINQ_THROW(Errc::kBadShape,
                 detail::text("ScaledInput: activations have ", x.cols(), " columns, the matrix ", cols));
    }
    const Index planes = layout.col_scale == ColScaleKind::kNone ? 1 : row_blocks;
    const InputBlocks blocks(cols, layout.group_size);
    if (blocks == blocks_ && planes == planes_ && x.batch() == batch_ && precision == precision_) return;
    blocks_ = blocks;
    planes_ = planes;
    batch_ = x.batch();
    precision_ = precision;
    plane_bytes_ = round_up(value_bytes() + 2 * blocks.count * batch_ * Index{sizeof(float)}, kLineBytes);
    // Blocks end in zeros that are written here once: kernels read whole vectors.
    memory_.assign(static_cast<std::size_t>(planes * plane_bytes_ + kLineBytes), std::byte{0});
  }

  void prepare_levels(const Layout& layout, const float* levels, Isa limit) {
    // Vector codes have their levels as bytes already.
    const bool has_table = digits() != 0 && levels != nullptr;
    const auto count = static_cast<std::size_t>(has_table ? layout.level_count : 0);
    const int max_code = detail::dispatch_dot(limit, [](auto tag) { return detail::Dot<decltype(tag)>::kMaxCode; });
    const bool known = count == levels_.size() && digits() == table_digits_ && max_code == table_->max_code;
    if (known && (count == 0 || std::memcmp(levels, levels_.data(), count * sizeof(float)) == 0)) return;
    levels_.assign(levels, levels + count);
    table_digits_ = digits();
    table_ = detail::LevelTable(levels, static_cast<Index>(count), max_code, detail::level_tolerance(table_digits_));
  }

  void fill(const Layout& layout, const std::byte* col_scales, const Activations& x, Isa limit) noexcept {
    for (Index plane = 0; plane < planes_; ++plane) {
      detail::ColumnScales scales{col_scales, layout.col_scale_format()};
      if (col_scales != nullptr) scales.values += aux_bytes(scales.format, plane * layout.cols);
      std::byte* base = memory_.data() + plane * plane_bytes_;
      detail::InputSink sink{blocks_, batch_, digits(), nullptr, nullptr, nullptr, nullptr, nullptr};
      sink.high = reinterpret_cast<std::uint8_t*>(base);
      sink.low = sink.high + value_count();
      sink.values = reinterpret_cast<float*>(base);
      sink.scales = reinterpret_cast<float*>(base + value_bytes());
      sink.sums = sink.scales + blocks_->count * batch_;
      dispatch(limit, [&](auto tag) { detail::InputScaler<decltype(tag)>::run(x, scales, layout.matrix_scale, sink); });
    }
  }

  detail::ClearedOnMove<InputBlocks> blocks_;
  detail::ClearedOnMove<Index> planes_, batch_;
  Precision precision_ = Precision::kFloat;
  Index plane_bytes_ = 0;
  detail::Vector<std::byte> memory_;
  detail::Vector<float> levels_;             ///< that table_ was made from
  detail::ClearedOnMove<int> table_digits_;  ///< of the activations it was made for
  detail::ClearedOnMove<detail::LevelTable> table_;
};

}  // namespace sinq::inline SINQ_ABI
