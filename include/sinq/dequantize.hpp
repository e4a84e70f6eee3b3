#pragma once

#include <sinq/compiled.hpp>
#include <sinq/executor.hpp>
#include <sinq/isa.hpp>
#include <sinq/quantized_matrix.hpp>

#include <array>
#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// Rows that are decoded together: one block of 8-bit aux values.
inline constexpr Index kDequantizeRows = kAuxBlockRows;

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
  constexpr Index kRowsPerTask = 4 * detail::kDequantizeRows;
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
#include <sinq/packing/pack_rows.hpp>
#include <sinq/packing/vector_levels.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// What one row is decoded with; group g's scale and offset are at [g * kDequantizeRows].
struct DequantizeRow {
  const float* scale;
  const float* offset;
  bool adds_offset;  ///< OffsetKind::kOffset
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

/// What a row is decoded through: room for its codes, one byte for each column at last.
struct CodeBuffers {
  Vector<std::uint8_t> codes, vectors;
  explicit CodeBuffers(const QuantizedView& q)
      : codes(room(q.cols())), vectors(q.layout().vector_dim == 1 ? 0 : room(q.layout().codes_per_row())) {}

 private:
  /// Eight codes at a time are written, whole vectors read.
  static std::size_t room(Index count) { return static_cast<std::size_t>(round_up(count, 8) + 64); }
};

/// One row of vector codes to its levels as bytes, level + kLevelZero.
template <class Tag>
void unpack_vector_levels(const QuantizedView& q, Index row, CodeBuffers& buffers) {
  const Layout& layout = q.layout();
  const Index count = ceil_div(q.cols(), Index{layout.vector_dim});
  const std::uint8_t* const packed = q.codes(row);
  const auto copy = [&](auto code) {
    copy_entries(q.byte_levels(), layout.vector_dim, count, code, buffers.codes.data());
  };
  if (layout.bits <= 8) {
    std::uint8_t* const codes = buffers.vectors.data();
    with_bits(layout.bits,
              [&](auto bits) { PackRows<Tag>::template unpack<decltype(bits)::value>(packed, count, codes); });
    copy([codes](Index i) { return codes[i]; });
  } else {
    copy(CodeReader(packed, packed_bytes(count, layout.bits), layout.bits));
  }
  bias_levels(q.signs(row), q.cols(), buffers.codes.data());
}

/// Row by row, so that both sides are read and written in their order: unpacks a row, then scales it.
SINQ_DECL void dequantize_codes(const QuantizedView& q, RowRange rows, float* out, Index out_stride, Isa limit) {
  const Layout& layout = q.layout();
  const bool is_vector = layout.vector_dim != 1;
  std::array<float, 16> small_table{};  // lookup16 reads sixteen entries, whatever the table has
  const float* levels = q.levels();
  if (levels != nullptr && layout.bits < 4) {
    std::copy(levels, levels + layout.level_count, small_table.begin());
    levels = small_table.data();
  }
  Vector<float> col_scale(static_cast<std::size_t>(q.cols()));
  CodeBuffers buffers(q);
  Vector<float> params(static_cast<std::size_t>(2 * q.groups() * kDequantizeRows));
  float* const scale = params.data();
  float* const offset = scale + q.groups() * kDequantizeRows;
  Index scaled_block = -1;
  for (Index r0 = rows.begin; r0 < rows.end; r0 += kDequantizeRows) {
    const RowRange chunk{r0, std::min(r0 + kDequantizeRows, rows.end)};
    for (Index g = 0; g < q.groups(); ++g) {
      q.group_scales(g, chunk, scale + g * kDequantizeRows);
      if (layout.offset == OffsetKind::kOffset) {
        q.stored_offsets(g, chunk, offset + g * kDequantizeRows);
      } else {
        q.zero_points(g, chunk, offset + g * kDequantizeRows);
      }
    }
    dispatch(limit, [&](auto tag) {
      using Tag = decltype(tag);
      for (Index r = chunk.begin; r < chunk.end; ++r) {
        const Index block = (q.row_range().begin + r) / layout.row_block;
        if (block != scaled_block) {
          q.col_scales(r, {0, q.cols()}, col_scale.data());
          scaled_block = block;
        }
        if (is_vector) {
          unpack_vector_levels<Tag>(q, r, buffers);
        } else {
          with_bits(layout.bits, [&](auto bits) {
            PackRows<Tag>::template unpack<decltype(bits)::value>(q.codes(r), q.cols(), buffers.codes.data());
          });
        }
        const DequantizeRow row{
            scale + r - r0,      offset + r - r0,  layout.offset == OffsetKind::kOffset,
            layout.matrix_scale, levels,           is_vector ? static_cast<float>(-kLevelZero) : 0.0F,
            layout.bits,         layout.group_size};
        Dequantize<Tag>::row(buffers.codes.data(), q.cols(), row, col_scale.data(),
                             out + (r - rows.begin) * out_stride);
      }
    });
  }
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
#endif
