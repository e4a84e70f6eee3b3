#pragma once

#include <sinq/compiled.hpp>
#include <sinq/executor.hpp>
#include <sinq/isa.hpp>
#include <sinq/quantized_matrix.hpp>

#include <array>
#include <cstdint>
#include <utility>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// Decodes the rows to `out`, `out_stride` apart.
SINQ_DECL void dequantize_codes(const QuantizedView& q, RowRange rows, float* out, Index out_stride, Isa limit);

}  // namespace detail

/// Decodes rows [begin, end) of `q` to `out` [range.size(), out_stride], float32, row-major; out_stride 0 means cols.
/// Throws Errc::kBadShape if the range or the buffer does not fit.
inline void dequantize_rows(const QuantizedView& q, RowRange range, std::span<float> out, Index out_stride = 0,
                            Isa limit = Isa::kBest) {
  const Index stride = out_stride == 0 ? q.cols() : out_stride;
  if (range.begin < 0 || range.begin > range.end || range.end > q.rows()) {
    SINQ_THROW(Errc::kBadShape, detail::text("dequantize_rows: [", range.begin, ", ", range.end,
                                             ") is not a range within ", q.rows(), " rows"));
  }
  if (range.size() == 0) return;
  if (stride < q.cols()) {
    SINQ_THROW(Errc::kBadShape, detail::text("dequantize_rows: out_stride ", stride, " is less than cols ", q.cols()));
  }
  const Index needed = (range.size() - 1) * stride + q.cols();
  if (static_cast<Index>(out.size()) < needed) {
    SINQ_THROW(Errc::kBadShape,
               detail::text("dequantize_rows: the buffer has ", out.size(), " floats, needed are ", needed));
  }
  detail::dequantize_codes(q, range, out.data(), stride, limit);
}

/// Decodes all of `q` to `out` [rows, cols], float32, row-major. Throws Errc::kBadShape if the buffer does not fit.
template <Executor E = Serial>
void dequantize_into(const QuantizedView& q, std::span<float> out, Isa limit = Isa::kBest, const E& executor = {}) {
  const Index size = q.rows() * q.cols();
  if (static_cast<Index>(out.size()) < size) {
    SINQ_THROW(Errc::kBadShape,
               detail::text("dequantize_into: the buffer has ", out.size(), " floats, needed are ", size));
  }
  constexpr Index kRowsPerTask = 256;  // whole blocks of aux values, and panels of a lane trellis
  detail::run_tasks(executor, ceil_div(q.rows(), kRowsPerTask), [&](Index task, Index) {
    const RowRange range{task * kRowsPerTask, std::min((task + 1) * kRowsPerTask, q.rows())};
    dequantize_rows(q, range, out.subspan(static_cast<std::size_t>(range.begin * q.cols())), 0, limit);
  });
}

/// Of a matrix that may be a temporary, as `dequantize_rows(quantize(w), ...)`.
inline void dequantize_rows(const QuantizedMatrix& q, RowRange range, std::span<float> out, Index out_stride = 0,
                            Isa limit = Isa::kBest) {
  dequantize_rows(q.view(), range, out, out_stride, limit);
}
template <Executor E = Serial>
void dequantize_into(const QuantizedMatrix& q, std::span<float> out, Isa limit = Isa::kBest, const E& executor = {}) {
  dequantize_into(q.view(), out, limit, executor);
}

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(RUN)
#include <sinq/packing/unpack_codes.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// What one row is decoded with; group g's scale and zero point are at [g * stride].
struct DequantizeRow {
  const float* scale;
  const float* zero_point;
  Index stride;
  float matrix_scale;
  const float* levels;  ///< null: a code is its own level, plus `level_zero`; at least 16 entries
  float level_zero;
  int bits;
  Index group_size;
};

template <class Tag>
struct Dequantize;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/detail/dequantize_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI {
namespace detail {

/// Where rows that are decoded together end: at multiples of `rows` of the stored matrix, and with their row block.
[[nodiscard]] inline Index chunk_end(const QuantizedView& q, Index row, Index rows, Index end) noexcept {
  const Index shift = q.row_range().begin, stored = shift + row, block = q.layout().row_block;
  return std::min(end, std::min((stored / rows + 1) * rows, (stored / block + 1) * block) - shift);
}

/// As many rows and columns at a time as the layout of codes likes: unpacks them to bytes, then scales row by row.
SINQ_DECL void dequantize_codes(const QuantizedView& q, RowRange rows, float* out, Index out_stride, Isa limit) {
  const Layout& layout = q.layout();
  std::array<float, 16> small_table{};  // lookup16 reads sixteen entries, whatever the table has
  const float* levels = q.levels();
  if (levels != nullptr && layout.bits < 4) {
    std::copy(levels, levels + layout.level_count, small_table.begin());
    levels = small_table.data();
  }
  const float level_zero = level_type(layout) == LevelType::kI8 ? static_cast<float>(-kLevelZero) : 0.0F;
  UnpackShape shape = with_codes(layout, [](const auto& codes) { return codes.unpack_shape(); });
  shape.cols = std::min(shape.cols, q.cols());
  const Index code_stride = round_up(shape.cols, 16);
  Vector<std::uint8_t> codes(static_cast<std::size_t>(shape.rows * code_stride + 64));  // whole vectors are read
  Vector<float> col_scale(static_cast<std::size_t>(q.cols()));
  const Index chunk_rows = std::max(shape.rows, kAuxBlockRows);
  Vector<float> params(static_cast<std::size_t>(2 * q.groups() * chunk_rows));
  float* const scale = params.data();
  float* const zero_point = scale + q.groups() * chunk_rows;
  Index scaled_block = -1;
  for (RowRange chunk{rows.begin, 0}; chunk.begin < rows.end; chunk.begin = chunk.end) {
    chunk.end = chunk_end(q, chunk.begin, chunk_rows, rows.end);
    for (Index g = 0; g < q.groups(); ++g) {
      q.group_scales(g, chunk, scale + g * chunk_rows);
      q.zero_points(g, chunk, zero_point + g * chunk_rows);
    }
    const Index block = (q.row_range().begin + chunk.begin) / layout.row_block;
    if (std::exchange(scaled_block, block) != block) q.col_scales(chunk.begin, {0, q.cols()}, col_scale.data());
    dispatch(limit, [&](auto tag) {
      using Tag = decltype(tag);
      for (Index c = 0; c < q.cols(); c += shape.cols) {
        const ColRange cols{c, std::min(c + shape.cols, q.cols())};
        for (Index first = chunk.begin; first < chunk.end; first += shape.rows) {
          const RowRange part{first, std::min(first + shape.rows, chunk.end)};
          unpack_codes<Tag>(layout, q.code_regions(), q.stored(part), q.stored(cols), codes.data(), code_stride);
          for (Index r = part.begin; r < part.end; ++r) {
            const DequantizeRow row{scale + r - chunk.begin,
                                    zero_point + r - chunk.begin,
                                    chunk_rows,
                                    layout.matrix_scale,
                                    levels,
                                    level_zero,
                                    layout.bits,
                                    layout.group_size};
            Dequantize<Tag>::row(codes.data() + (r - part.begin) * code_stride, cols, row, col_scale.data(),
                                 out + (r - rows.begin) * out_stride);
          }
        }
      }
    });
  }
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
#endif
