#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/half.hpp>
#include <sinq/io/json.hpp>
#include <sinq/io/memory_size.hpp>
#include <sinq/io/reference_aux.hpp>
#include <sinq/io/reference_packing.hpp>
#include <sinq/io/reference_sidecar.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/packing/bit_packing.hpp>
#include <sinq/quantized_matrix.hpp>
#include <sinq/quantizers/nf_levels.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// How a layer's scales and zero points are written in the reference's layout.
enum class ReferenceAux : std::uint8_t {
  kF16,    ///< rounded to float16, as its layers without "quantAux"
  kF32,    ///< unchanged; the reference computes with them as they are
  kCoded,  ///< float16, then 8 bits: its "quantAux", and its default
};

/// A tensor with its bytes.
struct OwnedTensor {
  TensorInfo info;
  std::vector<std::byte> bytes;
};

/// A layer in the reference's layout.
struct ReferenceLayerData {
  std::vector<OwnedTensor> tensors;  ///< as reference_tensor_infos lists them
  ReferenceMeta meta;
};

namespace detail {

/// How a layout looks in the reference's terms.
struct ReferenceShape {
  Index rows, cols, tile;
  bool is_square;
  bool shared_zero;
  int bits;                  ///< "nbits"
  ReferencePacking packing;  ///< 8bit_u8 where the codes cannot be packed

  [[nodiscard]] Index groups() const noexcept { return cols / tile; }
  [[nodiscard]] Index count() const noexcept { return rows * groups(); }
  [[nodiscard]] bool is_packed() const noexcept { return packing != ReferencePacking::k8BitU8; }
  [[nodiscard]] std::vector<Index> aux_shape() const {
    return is_square ? std::vector<Index>{count() / tile, tile, 1} : std::vector<Index>{count(), 1};
  }
  [[nodiscard]] std::vector<Index> zero_shape() const { return shared_zero ? std::vector<Index>{} : aux_shape(); }
  [[nodiscard]] std::vector<Index> col_scale_shape() const {
    return is_square ? std::vector<Index>{count() / tile, 1, tile} : std::vector<Index>{1, cols};
  }
  /// Position of the scale of (row, group).
  [[nodiscard]] Index scale_index(Index row, Index group) const noexcept {
    return is_square ? ((row / tile) * groups() + group) * tile + row % tile : row * groups() + group;
  }
};

[[nodiscard]] inline ReferenceShape reference_shape(std::string_view layer, const Layout& layout, ReferenceAux aux) {
  const auto refuse = [&](const auto&... parts) {
    SINQ_THROW(Errc::kUnsupported, sinq::detail::text("reference layout: layer ", name_text(layer), ": ", parts...));
  };
  validate(layout);
  if (!sinq::detail::ScalarCodes::holds(layout)) refuse("it has scalar codes only");
  const Index tile = layout.groups() == 1 ? layout.cols : layout.group_size;
  if (layout.cols % tile != 0) {
    refuse("groups of ", tile, " do not divide ", layout.cols, " columns, and a short last group is not possible");
  }
  const bool is_strip = layout.row_block == layout.rows || layout.col_scale == ColScaleKind::kNone;
  if (!is_strip && (layout.row_block != tile || layout.rows % tile != 0)) {
    refuse("column scales for ", layout.row_block, " rows each are neither strips nor squares of ", tile);
  }
  if (layout.level_count != 0 && layout.bits != 4 && layout.bits != 3) {
    refuse("a table of ", layout.level_count, " levels is neither nf4 nor nf3");
  }
  // 7 bits are stored in 8.
  const auto packing = reference_packing_of_bits(layout.bits == 7 ? 8 : layout.bits).value();
  const Index count = layout.rows * (layout.cols / tile);
  if (aux == ReferenceAux::kCoded && count % kReferenceScaleRows != 0) {
    refuse("8-bit scales need a multiple of ", kReferenceScaleRows, " of them, here are ", count);
  }
  return {layout.rows,
          layout.cols,
          tile,
          !is_strip,
          layout.offset == OffsetKind::kShared,
          packed_bits(packing),
          packed_rows(packing, count) ? packing : ReferencePacking::k8BitU8};
}

/// The name in "method" of the table of a view, empty for codes that are levels.
[[nodiscard]] inline std::string_view reference_table(std::string_view layer, const QuantizedView& q) {
  if (q.levels() == nullptr) return {};
  const std::span<const float> levels(q.levels(), static_cast<std::size_t>(q.layout().level_count));
  const auto is = [&](std::span<const float> table) {
    return std::equal(levels.begin(), levels.end(), table.begin(), table.end());
  };
  if (is(codebooks::kNf4Levels)) return "nf4";
  if (is(codebooks::kNf3Levels)) return "nf3";
  SINQ_THROW(Errc::kUnsupported, sinq::detail::text("reference layout: layer ", name_text(layer),
                                                    ": its levels are neither those of nf4 nor of nf3"));
}

/// A layer's numbers in the reference's order.
struct ReferenceNumbers {
  sinq::detail::Vector<float> scale, zero, col_scale;
};

/// The reference has no matrix_scale. It goes into the scales, as far as float16 holds them; the rest into the column
/// scales. Both are powers of two.
[[nodiscard]] inline int scale_exponent(const sinq::detail::Vector<float>& scales, float matrix_scale) {
  int exponent = std::ilogb(matrix_scale), least = 0, greatest = 0;
  bool seen = false;
  for (const float s : scales) {
    if (s == 0.0F) continue;
    const int e = std::ilogb(s);
    least = seen ? std::min(least, e) : e;
    greatest = seen ? std::max(greatest, e) : e;
    seen = true;
  }
  if (!seen) return exponent;
  exponent = std::max(exponent, -14 - least);
  return std::min(exponent, 14 - greatest);
}

[[nodiscard]] inline ReferenceNumbers reference_numbers(std::string_view layer, const ReferenceShape& shape,
                                                        const QuantizedView& q, DType type) {
  ReferenceNumbers out;
  const auto count = static_cast<std::size_t>(shape.count());
  sinq::detail::Vector<float> column(static_cast<std::size_t>(shape.rows));
  const auto spread = [&](sinq::detail::Vector<float>& to, Index g) {
    to.resize(count);
    for (Index r = 0; r < shape.rows; ++r) {
      to[static_cast<std::size_t>(shape.scale_index(r, g))] = column[static_cast<std::size_t>(r)];
    }
  };
  for (Index g = 0; g < shape.groups(); ++g) {
    q.group_scales(g, {0, shape.rows}, column.data());
    spread(out.scale, g);
    if (shape.shared_zero) continue;
    q.zero_points(g, {0, shape.rows}, column.data());
    spread(out.zero, g);
  }
  if (shape.shared_zero) out.zero = {q.layout().shared_zero_point};
  const Index row_blocks = shape.is_square ? shape.rows / shape.tile : 1;
  out.col_scale.resize(static_cast<std::size_t>(row_blocks * shape.cols));
  for (Index b = 0; b < row_blocks; ++b) {
    q.col_scales(b * shape.tile * (shape.is_square ? 1 : 0), {0, shape.cols}, out.col_scale.data() + b * shape.cols);
  }
  const float matrix_scale = q.layout().matrix_scale;
  const float to_scale = type == DType::kF32 ? matrix_scale : std::ldexp(1.0F, scale_exponent(out.scale, matrix_scale));
  const auto store = [&](sinq::detail::Vector<float>& values, std::string_view what, float factor) {
    for (float& value : values) {
      const float stored = round_to(type, value * factor);
      if (!is_finite(stored) || (stored == 0.0F && value != 0.0F && what != "zero point")) {
        SINQ_THROW(Errc::kUnsupported, sinq::detail::text("reference layout: layer ", name_text(layer), ": ", what, " ",
                                                          value * factor, " is beyond ", io::name(type)));
      }
      value = stored;
    }
  };
  store(out.scale, "scale", to_scale);
  store(out.zero, "zero point", 1.0F);
  store(out.col_scale, "column scale", matrix_scale / to_scale);
  return out;
}

/// Numbers as the bytes of F32 or F16.
[[nodiscard]] inline std::vector<std::byte> number_bytes(std::span<const float> values, DType type) {
  std::vector<std::byte> out(values.size() * static_cast<std::size_t>(dtype_bytes(type)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == DType::kF32) {
      std::memcpy(out.data() + 4 * i, &values[i], 4);
    } else {
      const std::uint16_t half = float_to_half(values[i]);
      std::memcpy(out.data() + 2 * i, &half, 2);
    }
  }
  return out;
}

/// The codes in the reference's packing.
[[nodiscard]] inline std::vector<std::byte> reference_codes(const ReferenceShape& shape, const QuantizedView& q,
                                                            std::uint64_t bytes) {
  sinq::detail::Vector<std::uint8_t> codes(static_cast<std::size_t>(shape.rows * shape.cols));
  with_bits(q.layout().bits, [&](auto bits) {
    for (Index r = 0; r < shape.rows; ++r) {
      unpack<decltype(bits)::value>(q.codes(r), shape.cols, codes.data() + r * shape.cols);
    }
  });
  std::vector<std::byte> out(detail::memory_size(bytes));
  pack_reference(shape.packing, codes, out);
  return out;
}

}  // namespace detail

/// The tensors that a matrix of that layout becomes as layer `layer` (the weight's name without ".weight"): known
/// before anything is quantized. Throws Errc::kUnsupported, with the reason, for what the reference cannot hold: a lane
/// trellis, a short last group, tables other than nf4 and nf3, column scales for other blocks than strips and squares,
/// 8-bit scales whose number is no multiple of 32.
[[nodiscard]] inline std::vector<TensorInfo> reference_tensor_infos(std::string_view layer, const Layout& layout,
                                                                    ReferenceAux aux) {
  const detail::ReferenceShape shape = detail::reference_shape(layer, layout, aux);
  const DType type = aux == ReferenceAux::kF32 ? DType::kF32 : DType::kF16;
  const auto name = [&](std::string_view part) { return sinq::detail::text(layer, part); };
  std::vector<TensorInfo> out{
      {name(".W_q"), packed_dtype(shape.packing), {packed_rows(shape.packing, shape.count()).value(), shape.tile}}};
  if (aux == ReferenceAux::kCoded) {
    const Index cols = shape.count() / kReferenceScaleRows, zeros = shape.shared_zero ? 1 : shape.count();
    out.push_back({name(".meta.scale.x"), DType::kU8, {kReferenceScaleRows, cols}});
    out.push_back({name(".meta.scale.s"), type, {1, cols}});
    out.push_back({name(".meta.scale.m"), type, {1, cols}});
    out.push_back({name(".meta.zero.x"), DType::kU8, {zeros, 1}});
    out.push_back({name(".meta.zero.s"), type, {1, 1}});
    out.push_back({name(".meta.zero.m"), type, {1, 1}});
  } else {
    out.push_back({name(".meta.scale"), type, shape.aux_shape()});
    out.push_back({name(".meta.zero"), type, shape.zero_shape()});
  }
  out.push_back({name(".meta.scale2"), type, shape.col_scale_shape()});
  return out;
}

/// A whole matrix as layer `layer`: its codes, and its numbers rounded as `aux` says.
/// Throws as `reference_tensor_infos`, Errc::kBadShape for a window, Errc::kUnsupported for numbers beyond float16.
[[nodiscard]] inline ReferenceLayerData reference_layer_data(std::string_view layer, const QuantizedView& q,
                                                             ReferenceAux aux) {
  const Layout& layout = q.layout();
  if (q.rows() != layout.rows || q.cols() != layout.cols) {
    SINQ_THROW(Errc::kBadShape, sinq::detail::text("reference layout: layer ", detail::name_text(layer),
                                                   ": a window of a matrix is no layer"));
  }
  std::vector<TensorInfo> infos = reference_tensor_infos(layer, layout, aux);
  const detail::ReferenceShape shape = detail::reference_shape(layer, layout, aux);
  const std::string_view table = detail::reference_table(layer, q);
  const DType type = aux == ReferenceAux::kF32 ? DType::kF32 : DType::kF16;
  const detail::ReferenceNumbers numbers = detail::reference_numbers(layer, shape, q, type);

  std::vector<std::vector<std::byte>> bytes{
      detail::reference_codes(shape, q, tensor_bytes(infos[0].dtype, infos[0].shape).value())};
  const auto add = [&](std::span<const float> values) { bytes.push_back(detail::number_bytes(values, type)); };
  if (aux == ReferenceAux::kCoded) {
    const auto add_coded = [&](const sinq::detail::Vector<float>& values, Index rows) {
      const ReferenceAuxCodes coded = encode_reference_aux(values, rows, type);
      const auto codes = std::as_bytes(std::span(coded.codes));
      bytes.emplace_back(codes.begin(), codes.end());
      add(coded.step);
      add(coded.minimum);
    };
    add_coded(numbers.scale, kReferenceScaleRows);
    add_coded(numbers.zero, static_cast<Index>(numbers.zero.size()));
  } else {
    add(numbers.scale);
    add(numbers.zero);
  }
  add(numbers.col_scale);

  ReferenceLayerData out;
  for (std::size_t i = 0; i < infos.size(); ++i) out.tensors.push_back({std::move(infos[i]), std::move(bytes[i])});
  out.meta.bits = shape.bits;
  out.meta.shape = {shape.rows, shape.cols};
  out.meta.group_size = shape.tile;
  if (aux == ReferenceAux::kCoded) {
    out.meta.scale_shape = shape.aux_shape();
    out.meta.zero_shape = shape.zero_shape();
  }
  // Of 8-bit codes the reference's loader drops the packing's name and then misses it; null is what it wants to see.
  if (shape.is_packed()) out.meta.packing = std::string(name(shape.packing));
  // "sinq" with a table and column scales of 1 would mean that the kurtosis gate may have replaced the table.
  const bool scaled =
      std::any_of(numbers.col_scale.begin(), numbers.col_scale.end(), [](float s) { return s != 1.0F; });
  out.meta.method = scaled ? "sinq" : "rtn";
  if (!table.empty()) out.meta.method = scaled ? sinq::detail::text("sinq_", table) : std::string(table);
  if (shape.shared_zero && table.empty()) out.meta.method += "_noz";
  if (aux == ReferenceAux::kCoded) out.meta.method += "_quantAux";
  // The reference's GPU kernel takes every 4-bit layer for uniform strips unless this says otherwise.
  out.meta.tiling_mode = shape.is_square ? "2D" : table.empty() ? "1D" : sinq::detail::text("1D_", table);
  return out;
}

/// Of a matrix that may be a temporary.
[[nodiscard]] inline ReferenceLayerData reference_layer_data(std::string_view layer, const QuantizedMatrix& q,
                                                             ReferenceAux aux) {
  return reference_layer_data(layer, q.view(), aux);
}

/// config.json with the "quantization_config" by which huawei-csl/SINQ and transformers know such a checkpoint; layers
/// speak for themselves, `typical` stands for them all. Throws Errc::kBadFile if `config` is no JSON object.
[[nodiscard]] inline std::string reference_config_json(std::string_view config, const ReferenceMeta& typical) {
  auto json = detail::OrderedJson::parse(config, nullptr, false);
  if (!json.is_object()) SINQ_THROW(Errc::kBadFile, "config.json: not a JSON object");
  json["quantization_config"] = {{"quant_method", "sinq"},
                                 {"nbits", static_cast<int>(typical.bits)},
                                 {"group_size", typical.group_size.value_or(64)},
                                 {"tiling_mode", typical.tiling_mode == "2D" ? "2D" : "1D"},
                                 {"method", "sinq"},
                                 {"modules_to_not_convert", {"lm_head"}}};
  return json.dump(2, ' ', false, detail::OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace sinq::inline SINQ_ABI::io
