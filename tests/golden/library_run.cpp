#include "library_run.hpp"

#include <sinq/config.hpp>
#include <sinq/dequantize.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/quantize.hpp>

#include "support/layouts.hpp"
#include "support/with_quantizer.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace sinq::test {
namespace {

template <class Q, class N>
Config<Q, N> compatible_config(const GoldenCase& c, const Q& quantizer, const N& normalizer) {
  Config<Q, N> config;
  config.quantizer = quantizer;
  config.normalizer = normalizer;
  config.group_size = c.group_size;
  config.tiling = c.square ? Tiling::kSquare : Tiling::kColumns;
  config = reference_compatible(config);
  config.kurtosis_gate = c.sinkhorn ? c.kurtosis_threshold.value_or(0.0F) : 0.0F;
  if (c.half_meta) {
    config.input_rounding = InputRounding::kF16;
    config.aux = AuxFormat::kF16;
  }
  return config;
}

/// What the reference normalizes: the weights, rounded to float16 in a float16 case.
std::vector<float> weights(const GoldenCase& c) {
  std::vector<float> w = c.floats("W");
  if (c.half_meta) {
    for (float& x : w) x = half_to_float(float_to_half(x));
  }
  return w;
}

/// One tile of a case, row by row in padded memory as the library wants it.
struct Tile {
  std::ptrdiff_t row, col, rows, cols;
  std::ptrdiff_t stride = round_up(cols, kTileStride);
  std::vector<float> memory = std::vector<float>(static_cast<std::size_t>(rows * stride), 0.0F);

  [[nodiscard]] TileView view() { return {memory.data(), rows, cols, stride, 1.0F}; }
};

template <class F>
void for_each_tile(const GoldenCase& c, F&& f) {
  const std::ptrdiff_t height = c.square ? c.tile : c.rows;
  for (std::ptrdiff_t r = 0; r < c.rows; r += height) {
    for (std::ptrdiff_t k = 0; k < c.cols; k += c.tile) f(Tile{r, k, height, c.tile});
  }
}

template <class Normalizer>
DualScale balance_tile(const GoldenCase& c, const std::vector<float>& w, const Tile& t, const Normalizer& normalizer,
                       Isa isa) {
  MatrixView view = MatrixView::row_major(w.data() + t.row * c.cols + t.col, t.rows, t.cols);
  view.row_stride = c.cols;
  return balance(view, normalizer, Thresholds::kAbsolute, isa);
}

/// The tile's weights under its dual scale.
void normalize(const GoldenCase& c, const std::vector<float>& w, const DualScale& scale, Tile& t) {
  for (std::ptrdiff_t r = 0; r < t.rows; ++r) {
    for (std::ptrdiff_t k = 0; k < t.cols; ++k) {
      t.view().row(r)[k] = w[static_cast<std::size_t>((t.row + r) * c.cols + t.col + k)] /
                           scale.col[static_cast<std::size_t>(k)] / scale.row[static_cast<std::size_t>(r)];
    }
  }
}

/// Scales, zero points and codes of one tile, from the pieces of the library.
struct TileCodes {
  std::vector<float> scale, zero;
  std::vector<std::uint8_t> codes;  ///< [rows][stride]
};

template <class Q>
void encode(Tile& t, const Q& quantizer, TileCodes& out, Isa isa) {
  // The library writes whole vectors: one beyond the last row's padding.
  out.codes.resize(static_cast<std::size_t>(t.rows * t.stride + kTileStride));
  quantizer.encode(t.view(), t.cols, {out.scale.data(), out.zero.data(), round_up(t.rows, kTileStride)},
                   out.codes.data(), t.stride, isa);
}

template <class Q>
TileCodes fit(Tile& t, const Q& quantizer, Isa isa) {
  TileCodes out;
  out.scale.resize(static_cast<std::size_t>(round_up(t.rows, kTileStride)));
  out.zero.resize(out.scale.size());
  Scratch scratch;
  quantizer.fit(t.view(), t.cols, {out.scale.data(), out.zero.data(), round_up(t.rows, kTileStride)}, scratch, isa);
  return out;
}

void copy_codes(const GoldenCase& c, const Tile& t, const TileCodes& from, LibraryRun& run) {
  for (std::ptrdiff_t r = 0; r < t.rows; ++r) {
    std::copy_n(from.codes.begin() + r * t.stride, t.cols, run.codes.begin() + (t.row + r) * c.cols + t.col);
  }
}

/// HQQ: codes rounded with the file's zero points (under the library's own scales).
template <class Q, class N>
void encode_with_zero_of_codes(const GoldenCase& c, const Config<Q, N>& config, Isa isa, LibraryRun& run) {
  const auto w = weights(c);
  const auto zero_of_codes = c.floats("hqq_zero_of_codes");
  for_each_tile(c, [&](Tile t) {
    normalize(c, w, balance_tile(c, w, t, config.normalizer, isa), t);
    TileCodes tile = fit(t, config.quantizer, isa);
    for (std::ptrdiff_t r = 0; r < t.rows; ++r) {
      tile.zero[static_cast<std::size_t>(r)] = zero_of_codes[c.group_index(t.row + r, t.col / c.tile)];
    }
    encode(t, config.quantizer, tile, isa);
    copy_codes(c, t, tile, run);
  });
}

/// AWQ: m *= a after normalizing, mu1 /= a.
template <class N>
void run_awq(const GoldenCase& c, const N& normalizer, Isa isa, LibraryRun& run) {
  const auto config = compatible_config(c, Uniform{.bits = c.bits}, normalizer);
  const auto w = weights(c);
  const auto factor = c.floats("awq_scale");
  for_each_tile(c, [&](Tile t) {
    const DualScale scale = balance_tile(c, w, t, normalizer, isa);
    normalize(c, w, scale, t);
    for (std::ptrdiff_t r = 0; r < t.rows; ++r) {
      for (std::ptrdiff_t k = 0; k < t.cols; ++k) t.view().row(r)[k] *= factor[static_cast<std::size_t>(t.col + k)];
    }
    TileCodes tile = fit(t, config.quantizer, isa);
    encode(t, config.quantizer, tile, isa);
    copy_codes(c, t, tile, run);
    for (std::ptrdiff_t r = 0; r < t.rows; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const std::size_t group = c.group_index(t.row + r, t.col / c.tile);
      run.scale[group] = tile.scale[i] * scale.row[i];
      run.zero[group] = tile.zero[i];
    }
    for (std::ptrdiff_t k = 0; k < t.cols; ++k) {
      run.col_scale[c.col_index(t.row, t.col + k)] =
          scale.col[static_cast<std::size_t>(k)] / factor[static_cast<std::size_t>(t.col + k)];
    }
  });
}

/// Codes, scales and zero points of a quantized matrix in the order of the files.
void read_back(const GoldenCase& c, const QuantizedView& q, LibraryRun& run) {
  std::vector<float> column(static_cast<std::size_t>(c.rows));
  std::vector<float> row(static_cast<std::size_t>(c.cols));
  for (std::ptrdiff_t g = 0; g < q.groups(); ++g) {
    q.group_scales(g, {0, c.rows}, column.data());
    for (std::ptrdiff_t r = 0; r < c.rows; ++r) {
      run.scale[c.group_index(r, g)] = column[static_cast<std::size_t>(r)] * q.layout().matrix_scale;
    }
    q.zero_points(g, {0, c.rows}, column.data());
    for (std::ptrdiff_t r = 0; r < c.rows; ++r) run.zero[c.group_index(r, g)] = column[static_cast<std::size_t>(r)];
  }
  for (std::ptrdiff_t r = 0; r < c.rows; ++r) {
    q.col_scales(r, {0, c.cols}, row.data());
    for (std::ptrdiff_t k = 0; k < c.cols; ++k) {
      run.col_scale[c.col_index(r, k)] = row[static_cast<std::size_t>(k)];
      run.codes[static_cast<std::size_t>(r * c.cols + k)] =
          static_cast<std::uint8_t>(code_at(q.codes(r), k, q.layout().bits));
    }
  }
}

template <class Q, class N>
void run_pipeline(const GoldenCase& c, const Q& quantizer, const N& normalizer, Isa isa, LibraryRun& run) {
  const auto config = compatible_config(c, quantizer, normalizer);
  const auto w = c.floats("W");
  QuantizeReport report;
  const MatrixView view = MatrixView::row_major(w.data(), c.rows, c.cols);
  const QuantizedMatrix q = quantize(view, config, QuantizeOptions{.isa = isa, .report = &report});
  run.gated = report.gate == GateOutcome::kFired;
  read_back(c, q, run);
  dequantize_into(q, run.decoded, isa);
  run.kurtosis = measure_error(view, q).kurtosis;
  if constexpr (std::is_same_v<Q, Hqq>) {
    if (!run.gated && c.has("hqq_zero_of_codes")) encode_with_zero_of_codes(c, config, isa, run);
  }
}

/// A matrix of the case's shape without contents; mu1 and mu2 as a file would hold them.
LibraryRun sized_run(const GoldenCase& c) {
  LibraryRun run;
  run.codes.resize(static_cast<std::size_t>(c.rows * c.cols));
  run.decoded.resize(run.codes.size());
  run.scale.resize(static_cast<std::size_t>(c.rows * c.groups()));
  run.zero.resize(run.scale.size());
  run.col_scale.resize(static_cast<std::size_t>((c.square ? c.rows / c.tile : 1) * c.cols));
  return run;
}

void run_normalizer(const GoldenCase& c, const Sinkhorn& sinkhorn, Isa isa, LibraryRun& run) {
  const auto w = weights(c);
  run.mu1.resize(run.col_scale.size());
  run.mu2.resize(run.scale.size());
  for_each_tile(c, [&](const Tile& t) {
    const DualScale scale = balance_tile(c, w, t, sinkhorn, isa);
    run.tiles.push_back(scale.report);
    for (std::ptrdiff_t r = 0; r < t.rows; ++r) {
      run.mu2[c.group_index(t.row + r, t.col / c.tile)] = scale.row[static_cast<std::size_t>(r)];
    }
    for (std::ptrdiff_t k = 0; k < t.cols; ++k) {
      run.mu1[c.col_index(t.row, t.col + k)] = scale.col[static_cast<std::size_t>(k)];
    }
  });
}

/// A container of the library around values that are laid out as a case's files.
struct Parts {
  const std::vector<std::uint8_t>& codes;
  const std::vector<float>& scale;
  const std::vector<float>& zero;
  const std::vector<float>& col_scale;
};

std::vector<float> decode(const GoldenCase& c, Rounding levels, Isa isa, const Parts& parts) {
  CodeFormat format;
  with_quantizer(levels, c.bits, [&](const auto& quantizer) { format.levels = quantizer.format().levels; });
  // Levels of constants: they outlive this call. A scalar zero point is shared by all groups.
  const bool shared = parts.zero.size() == 1;
  QuantizedMatrix q({.rows = c.rows,
                     .cols = c.cols,
                     .bits = c.bits,
                     .group_size = c.tile,
                     .row_block = c.square ? c.tile : c.rows,
                     .level_count = static_cast<std::ptrdiff_t>(format.levels.size()),
                     .offset = shared ? OffsetKind::kShared : OffsetKind::kZeroPoint,
                     .aux = AuxFormat::kF32,
                     .shared_zero_point = shared ? parts.zero[0] : 0.0F});
  for (std::size_t i = 0; i < format.levels.size(); ++i) {
    put(q, Region::kLevels, static_cast<Index>(i), format.levels[i]);
  }
  for (std::ptrdiff_t r = 0; r < c.rows; ++r) {
    for (std::ptrdiff_t g = 0; g < c.groups(); ++g) {
      put(q, Region::kGroupScale, g * c.rows + r, parts.scale[c.group_index(r, g)]);
      if (!shared) put(q, Region::kOffset, g * c.rows + r, parts.zero[c.group_index(r, g)]);
    }
    for (std::ptrdiff_t k = 0; k < c.cols; ++k) {
      put_code(q, r, k, parts.codes[static_cast<std::size_t>(r * c.cols + k)]);
      put(q, Region::kColScale, r / q.layout().row_block * c.cols + k, parts.col_scale[c.col_index(r, k)]);
    }
  }
  std::vector<float> out(parts.codes.size());
  dequantize_into(q, out, isa);
  return out;
}

}  // namespace

LibraryRun run_library(const GoldenCase& c, Isa isa) {
  LibraryRun run = c.kind == CaseKind::kQuantize ? sized_run(c) : LibraryRun{};
  if (c.kind == CaseKind::kSinkhorn) {
    run.col_scale.resize(static_cast<std::size_t>(c.cols));
    run.scale.resize(static_cast<std::size_t>(c.rows));
    const auto config = reference_compatible(Config<>{.normalizer = {.iterations = c.iterations}});
    run_normalizer(c, config.normalizer, isa, run);
    return run;
  }
  const Sinkhorn sinkhorn = reference_compatible(Config<>{}).normalizer;
  const auto with_normalizer = [&](auto&& f) { c.sinkhorn ? f(sinkhorn) : f(Identity{}); };
  with_quantizer(c.rounding, c.bits, [&](const auto& quantizer) {
    with_normalizer([&](const auto& normalizer) { run_pipeline(c, quantizer, normalizer, isa, run); });
  });
  if (c.awq && !run.gated) {
    with_normalizer([&](const auto& normalizer) { run_awq(c, normalizer, isa, run); });
    run.decoded = decode(c, Rounding::kUniform, isa, {run.codes, run.scale, run.zero, run.col_scale});
  }
  if (c.sinkhorn && !run.gated) run_normalizer(c, sinkhorn, isa, run);
  return run;
}

std::vector<float> dequantize_files(const GoldenCase& c, Isa isa) {
  return decode(c, c.effective_rounding, isa, {c.bytes("codes"), c.floats("s1"), c.floats("zero"), c.floats("s2")});
}

}  // namespace sinq::test
