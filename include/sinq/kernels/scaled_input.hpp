#pragma once

#include <sinq/compiled.hpp>
#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/copy_strided.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/isa.hpp>
#include <sinq/kernels/activations.hpp>
#include <sinq/kernels/input_blocks.hpp>
#include <sinq/kernels/input_factors.hpp>
#include <sinq/kernels/level_table.hpp>
#include <sinq/kernels/precision.hpp>
#include <sinq/kernels/weights.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
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

}  // namespace detail

/// Activations prepared for one matrix: multiplied by its column scales (the second axis costs nothing after this),
/// quantized in the same pass if asked, with the sum of every block for the groups' zero points; and the levels of a
/// codebook as bytes. It belongs to that matrix, and to every other one with the same column scales, groups,
/// matrix_scale and levels: row slices of one strip-tiled matrix (q, k and v quantized as one, then sliced), repacked
/// or not. The kernels compare all of these, and refuse what does not agree. Reusable scratch: shapes
/// and levels that stay the same cost nothing again. Reading from several threads is safe.
class ScaledInput {
 public:
  /// Prepares `x` [batch, cols] for `matrix`, of which nothing is referred to later. A lane trellis as a
  /// plain view, and everything where only plain C++ runs, is always kFloat: faster there, and more precise.
  /// Inf or NaN in a block makes every result NaN that the block enters. Throws kBadShape if the columns differ.
  template <Weights W>
  void assign(const W& matrix, const Activations& x, Precision precision = Precision::kInt15, Isa limit = Isa::kBest) {
    const auto& view = detail::view_of(matrix);
    if (needs_floats(view) || resolve(limit) == Isa::kPortable) precision = Precision::kFloat;
    prepare(detail::InputFactors(view), x, precision, limit);
  }

  /// Throws kBadShape, in the name of `call`, unless kernels may multiply rows `rows` of `matrix` with this.
  template <class View>
  void require_fit(std::string_view call, const View& matrix, RowRange rows) const {
    if (!is_assigned_) SINQ_THROW(Errc::kBadShape, detail::text(call, ": x was never assigned"));
    if (rows.begin < 0 || rows.begin > rows.end || rows.end > matrix.rows()) {
      SINQ_THROW(Errc::kBadShape, detail::text(call, ": rows [", rows.begin, ", ", rows.end,
                                               ") are not a range within the matrix's ", matrix.rows(), " rows"));
    }
    if (precision_ != Precision::kFloat && needs_floats(matrix)) {
      SINQ_THROW(Errc::kBadShape, detail::text(call,
                                               ": x was assigned for another matrix, and holds integers: a lane "
                                               "trellis as a plain view runs in Precision::kFloat; see TrellisView"));
    }
    if (rows.size() == 0) return;
    detail::InputFactors wanted(matrix);
    if (digits() == 0) wanted.level_count = 0;
    detail::require_same(call, factors(), wanted, rows);
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

  [[nodiscard]] static bool needs_floats(const QuantizedView& matrix) noexcept {
    return !detail::ScalarCodes::holds(matrix.layout());
  }
  [[nodiscard]] static bool needs_floats(const RepackedView&) noexcept { return false; }
  [[nodiscard]] static bool needs_floats(const TrellisView&) noexcept { return false; }

  void prepare(const detail::InputFactors& factors, const Activations& x, Precision precision, Isa limit);

  void reserve(const detail::InputFactors& factors, Index batch, Precision precision) {
    const InputBlocks blocks(factors.cols, factors.group_size);
    if (blocks == blocks_ && factors.planes == planes_ && batch == batch_ && precision == precision_) return;
    planes_ = 0;
    blocks_ = blocks;
    batch_ = batch;
    precision_ = precision;
    plane_bytes_ = round_up(value_bytes() + 2 * blocks.count * batch_ * Index{sizeof(float)}, kLineBytes);
    // Blocks end in zeros that are written here once: kernels read whole vectors.
    memory_.assign(static_cast<std::size_t>(factors.planes * plane_bytes_ + kLineBytes), std::byte{0});
    planes_ = factors.planes;
  }

  void copy_scales(const detail::InputFactors& factors) {
    const Index size = factors.plane_bytes();
    col_scales_.resize(static_cast<std::size_t>(planes_ * size));
    detail::copy_strided(factors.col_scales, factors.plane_stride, col_scales_.data(), size, size == 0 ? 0 : *planes_,
                         size);
    factors_ = factors;
    factors_.plane_stride = size;
  }

  void prepare_levels(const float* levels, Index level_count, Isa limit);

  /// What x was prepared with, in memory of this object.
  [[nodiscard]] detail::InputFactors factors() const noexcept {
    detail::InputFactors own = factors_;
    own.col_scales = col_scales_.empty() ? nullptr : col_scales_.data();
    own.levels = levels_.data();
    return own;
  }

  void fill(const Activations& x, Isa limit) noexcept;

  detail::ClearedOnMove<InputBlocks> blocks_;
  detail::ClearedOnMove<Index> planes_, batch_;
  Precision precision_ = Precision::kFloat;
  Index plane_bytes_ = 0;
  detail::Vector<std::byte> memory_;
  detail::ClearedOnMove<bool> is_assigned_;
  detail::InputFactors factors_;             ///< its pointers are stale, see factors()
  detail::Vector<std::byte> col_scales_;     ///< [planes][plane_stride]
  detail::Vector<float> levels_;             ///< that table_ was made from
  detail::ClearedOnMove<int> table_digits_;  ///< of the activations it was made for
  detail::ClearedOnMove<detail::LevelTable> table_;
};

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(RUN)
#include <sinq/kernels/dots.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct InputScaler;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/scale_input_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>

namespace sinq::inline SINQ_ABI {

SINQ_DECL void ScaledInput::prepare(const detail::InputFactors& factors, const Activations& x, Precision precision,
                                    Isa limit) {
  if (x.cols() != factors.cols) {
    SINQ_THROW(Errc::kBadShape,
               detail::text("ScaledInput: activations have ", x.cols(), " columns, the matrix ", factors.cols));
  }
  is_assigned_ = false;
  reserve(factors, x.batch(), precision);
  copy_scales(factors);
  fill(x, limit);
  prepare_levels(factors.levels, factors.level_count, limit);
  is_assigned_ = true;
}

SINQ_DECL void ScaledInput::prepare_levels(const float* levels, Index level_count, Isa limit) {
  // Floats look levels up in the matrix.
  const auto count = static_cast<std::size_t>(digits() == 0 ? 0 : level_count);
  factors_.level_count = static_cast<Index>(count);
  const int max_code =
      detail::dispatch_dot(detail::best_dot(limit), [](auto tag) { return detail::Dot<decltype(tag)>::kMaxCode; });
  const bool known = count == levels_.size() && digits() == table_digits_ && max_code == table_->max_code;
  if (known && (count == 0 || std::memcmp(levels, levels_.data(), count * sizeof(float)) == 0)) return;
  levels_.assign(levels, levels + count);
  table_digits_ = digits();
  table_ = detail::LevelTable(levels, static_cast<Index>(count), max_code, detail::level_tolerance(table_digits_));
}

SINQ_DECL void ScaledInput::fill(const Activations& x, Isa limit) noexcept {
  const detail::InputFactors own = factors();
  for (Index plane = 0; plane < planes_; ++plane) {
    const detail::ColumnScales scales{own.plane_scales(plane), own.format};
    std::byte* base = memory_.data() + plane * plane_bytes_;
    detail::InputSink sink{blocks_, batch_, digits(), nullptr, nullptr, nullptr, nullptr, nullptr};
    sink.high = reinterpret_cast<std::uint8_t*>(base);
    sink.low = sink.high + value_count();
    sink.values = reinterpret_cast<float*>(base);
    sink.scales = reinterpret_cast<float*>(base + value_bytes());
    sink.sums = sink.scales + blocks_->count * batch_;
    dispatch(limit, [&](auto tag) { detail::InputScaler<decltype(tag)>::run(x, scales, own.matrix_scale, sink); });
  }
}

}  // namespace sinq::inline SINQ_ABI
#endif
