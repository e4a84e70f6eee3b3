#pragma once

#include <sinq/executor.hpp>
#include <sinq/isa.hpp>
#include <sinq/packing/pack_rows.hpp>
#include <sinq/quantized_matrix.hpp>

#include <array>
#include <vector>

namespace sinq::detail {

/// Rows that are decoded together: one block of 8-bit aux values.
inline constexpr Index kDequantizeRows = kAuxBlockRows;

/// What one row is decoded with; group g's scale and offset are at [g * kDequantizeRows].
struct DequantizeRow {
  const float* scale;
  const float* offset;
  bool adds_offset;  ///< OffsetKind::kOffset
  float matrix_scale;
  const float* levels;  ///< null: a code is its own level; at least 16 entries
  int bits;
  Index group_size;
};

template <class Tag>
struct Dequantize;

}  // namespace sinq::detail

#define SINQ_KERNEL <sinq/detail/dequantize_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>

namespace sinq {
namespace detail {

/// Scalar codes, row by row, so that both sides are read and written in their order: unpacks a row, then scales it.
inline void dequantize_scalar_codes(const QuantizedView& q, RowRange rows, float* out, Index out_stride, Isa limit) {
  const Layout& layout = q.layout();
  std::array<float, 16> small_table{};  // lookup16 reads sixteen entries, whatever the table has
  const float* levels = q.levels();
  if (levels != nullptr && layout.bits < 4) {
    std::copy(levels, levels + layout.level_count, small_table.begin());
    levels = small_table.data();
  }
  std::vector<float> col_scale(static_cast<std::size_t>(q.cols()));
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(round_up(q.cols(), 8) + 64));
  std::vector<float> params(static_cast<std::size_t>(2 * q.groups() * kDequantizeRows));
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
      with_bits(layout.bits, [&](auto bits) {
        for (Index r = chunk.begin; r < chunk.end; ++r) {
          const Index block = (q.row_range().begin + r) / layout.row_block;
          if (block != scaled_block) {
            q.col_scales(r, {0, q.cols()}, col_scale.data());
            scaled_block = block;
          }
          PackRows<decltype(tag)>::template unpack<decltype(bits)::value>(q.codes(r), q.cols(), codes.data());
          const DequantizeRow row{scale + r - r0,      offset + r - r0, layout.offset == OffsetKind::kOffset,
                                  layout.matrix_scale, levels,          layout.bits,
                                  layout.group_size};
          Dequantize<decltype(tag)>::row(codes.data(), q.cols(), row, col_scale.data(),
                                         out + (r - rows.begin) * out_stride);
        }
      });
    });
  }
}

/// Vector codes: weight by weight, the definition in code.
inline void dequantize_vector_codes(const QuantizedView& q, RowRange rows, float* out, Index out_stride) {
  const Layout& layout = q.layout();
  const Index d = layout.vector_dim;
  std::vector<float> col_scale(static_cast<std::size_t>(q.cols()));
  const Index first_code = q.col_range().begin / d;  // of the stored row: windows may start inside a byte
  for (Index r = rows.begin; r < rows.end; ++r) {
    q.col_scales(r, {0, q.cols()}, col_scale.data());
    const auto* stored_codes = reinterpret_cast<const std::uint8_t*>(q.region(Region::kCodes)) +
                               (q.row_range().begin + r) * layout.code_row_bytes();
    const std::uint8_t* signs = q.signs(r);
    for (Index g = 0; g < q.groups(); ++g) {
      float scale = 0.0F, offset = 0.0F;
      q.group_scales(g, {r, r + 1}, &scale);
      const bool has_offset = layout.offset == OffsetKind::kOffset;
      if (has_offset) {
        q.stored_offsets(g, {r, r + 1}, &offset);
      } else {
        q.zero_points(g, {r, r + 1}, &offset);
      }
      const Index end = std::min((g + 1) * layout.group_size, q.cols());
      for (Index c = g * layout.group_size; c < end; ++c) {
        const std::uint32_t code = code_at(stored_codes, first_code + c / d, layout.bits);
        float level = q.vector_levels()[static_cast<Index>(code) * d + c % d];
        if (signs != nullptr && ((signs[c / 8] >> (c % 8)) & 1U) != 0) level = -level;
        const float normalized = has_offset ? level * scale + offset : (level - offset) * scale;
        out[(r - rows.begin) * out_stride + c] =
            normalized * col_scale[static_cast<std::size_t>(c)] * layout.matrix_scale;
      }
    }
  }
}

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
  if (q.layout().vector_dim == 1) {
    detail::dequantize_scalar_codes(q, range, out.data(), stride, limit);
  } else {
    detail::dequantize_vector_codes(q, range, out.data(), stride);
  }
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
  executor.run(ceil_div(q.rows(), kRowsPerTask), [&](Index task, Index) {
    const RowRange range{task * kRowsPerTask, std::min((task + 1) * kRowsPerTask, q.rows())};
    dequantize_rows(q, range, out.subspan(static_cast<std::size_t>(range.begin * q.cols())), 0, limit);
  });
}

}  // namespace sinq
