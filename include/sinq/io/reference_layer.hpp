#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/half.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/reference_aux.hpp>
#include <sinq/io/reference_packing.hpp>
#include <sinq/io/reference_sidecar.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// What a code of the reference stands for.
enum class ReferenceLevels : std::uint8_t { kCodes, kNf4, kNf3 };

namespace detail {

/// Scales or zero points of a layer: one float tensor, or 8-bit codes with steps and minima.
struct ReferenceAuxTensors {
  const Checkpoint::Tensor* values = nullptr;
  const Checkpoint::Tensor* codes = nullptr;
  const Checkpoint::Tensor* step = nullptr;
  const Checkpoint::Tensor* minimum = nullptr;
  std::vector<Index> shape;  ///< of the values
  Index count = 0;
  DType type = DType::kF16;  ///< of the values, and of the arithmetic
};

[[nodiscard]] inline Index element_count(const TensorInfo& info) noexcept {
  return static_cast<Index>(info.end - info.begin) / dtype_bytes(info.dtype);
}

}  // namespace detail

/// A quantized layer of a reference checkpoint: what its tensors and its meta data agree on. Dies with the checkpoint.
struct ReferenceLayer {
  std::string name;  ///< of the module: the weight's name without ".weight"
  Index rows = 0;
  Index cols = 0;
  Index tile = 0;  ///< columns sharing a scale: the group size that was used, which may be less than the one asked for
  Tiling tiling = Tiling::kColumns;
  int bits = 4;  ///< of a code
  ReferenceLevels levels = ReferenceLevels::kCodes;
  ReferencePacking packing = ReferencePacking::k4BitU8;  ///< of the codes' tensor, whatever the meta data say
  std::vector<std::string> repairs;                      ///< defects of the file that were seen and put right
  ReferenceMeta meta;                                    ///< as the file has it

  const Checkpoint::Tensor* codes = nullptr;
  detail::ReferenceAuxTensors scale;
  detail::ReferenceAuxTensors zero;               ///< one per scale, or a single one
  const Checkpoint::Tensor* col_scale = nullptr;  ///< null: all 1

  [[nodiscard]] Index groups() const noexcept { return cols / tile; }
  /// Position of the scale of (row, group) among the file's.
  [[nodiscard]] std::size_t scale_index(Index row, Index group) const noexcept {
    return static_cast<std::size_t>(tiling == Tiling::kColumns ? row * groups() + group
                                                               : ((row / tile) * groups() + group) * tile + row % tile);
  }
};

namespace detail {

[[noreturn]] inline void refuse_tensor(Errc code, const Checkpoint::Tensor& tensor, const std::string& why) {
  SINQ_THROW(code, sinq::detail::text(tensor.file.name(), ": tensor ", name_text(tensor.info.name), " at byte ",
                                      tensor.info.begin, ": ", why));
}

/// The numbers of a F32, F16 or BF16 tensor. Throws Errc::kBadData for one that is not finite: float16 overflows in the
/// reference's writer, e.g. to the zero point of a constant row.
[[nodiscard]] inline sinq::detail::Vector<float> finite_values(const Checkpoint::Tensor& tensor) {
  const auto bytes = tensor.bytes();
  const auto width = static_cast<std::size_t>(dtype_bytes(tensor.info.dtype));
  sinq::detail::Vector<float> out(bytes.size() / width);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (width == 4) {
      std::memcpy(&out[i], bytes.data() + 4 * i, 4);
    } else {
      std::uint16_t half;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      out[i] = tensor.info.dtype == DType::kF16 ? half_to_float(half) : bfloat16_to_float(half);
    }
    if (!is_finite(out[i])) {
      refuse_tensor(Errc::kBadData, tensor,
                    sinq::detail::text("element ", i, ", at byte ", tensor.info.begin + i * width, ", is ", out[i],
                                       ", not a finite number"));
    }
  }
  return out;
}

/// The values of scales or zero points, 8-bit ones decoded.
[[nodiscard]] inline sinq::detail::Vector<float> aux_values(const ReferenceAuxTensors& aux) {
  if (aux.values != nullptr) return finite_values(*aux.values);
  const auto bytes = aux.codes->bytes();
  ReferenceAuxCodes coded{aux.codes->info.shape[0], aux.codes->info.shape[1],
                          sinq::detail::Vector<std::uint8_t>(bytes.size()), finite_values(*aux.step),
                          finite_values(*aux.minimum)};
  std::memcpy(coded.codes.data(), bytes.data(), bytes.size());
  sinq::detail::Vector<float> out(bytes.size());
  decode_reference_aux(coded, aux.type, out);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!is_finite(out[i])) {
      refuse_tensor(Errc::kBadData, *aux.codes, sinq::detail::text("element ", i, " decodes to ", out[i]));
    }
  }
  return out;
}

/// Makes a ReferenceLayer from what a checkpoint holds, and refuses what does not fit together.
class ReferenceLayerFinder {
 public:
  ReferenceLayerFinder(const Checkpoint& files, std::string_view sidecar, const std::string& name,
                       const ReferenceMeta& meta)
      : files_(files), sidecar_(sidecar) {
    layer_.name = name;
    layer_.meta = meta;
  }

  [[nodiscard]] ReferenceLayer find() {
    layer_.codes = &files_.at(layer_.name + ".W_q");
    layer_.scale = aux("scale", layer_.meta.scale_shape);
    layer_.zero = aux("zero", layer_.meta.zero_shape);
    layer_.col_scale = files_.find(tensor_name("scale2"));
    find_shape();
    check_zero();
    check_col_scale();
    find_packing();
    find_levels();
    return std::move(layer_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(Errc code, const Parts&... parts) const {
    SINQ_THROW(code, sinq::detail::text(sidecar_, ": layer ", name_text(layer_.name), ": ", parts...));
  }
  [[nodiscard]] std::string tensor_name(std::string_view field) const {
    return sinq::detail::text(layer_.name, ".meta.", field);
  }
  static void expect_shape(const Checkpoint::Tensor& tensor, std::span<const Index> shape) {
    if (!std::equal(shape.begin(), shape.end(), tensor.info.shape.begin(), tensor.info.shape.end())) {
      refuse_tensor(Errc::kBadFile, tensor,
                    sinq::detail::text("shape ", shape_text(tensor.info.shape), " is not ", shape_text(shape)));
    }
  }
  static void expect_float(const Checkpoint::Tensor& tensor) {
    const DType type = tensor.info.dtype;
    if (type != DType::kF16 && type != DType::kF32 && type != DType::kBf16) {
      refuse_tensor(Errc::kUnsupported, tensor,
                    sinq::detail::text("dtype ", io::name(type), " is not F16, BF16 or F32"));
    }
  }

  /// "<layer>.meta.<field>", or "<layer>.meta.<field>.x", ".s" and ".m".
  [[nodiscard]] ReferenceAuxTensors aux(std::string_view field, const std::optional<std::vector<Index>>& shape) const {
    ReferenceAuxTensors out;
    const std::string name = tensor_name(field);
    out.codes = files_.find(name + ".x");
    if (out.codes == nullptr) {
      out.values = &files_.at(name);
      expect_float(*out.values);
      out.shape = out.values->info.shape;
      out.type = out.values->info.dtype;
      out.count = element_count(out.values->info);
      return out;
    }
    if (const auto* values = files_.find(name); values != nullptr) {
      refuse_tensor(Errc::kBadFile, *values, "stands beside the same values in 8 bits");
    }
    if (out.codes->info.dtype != DType::kU8) {
      refuse_tensor(Errc::kUnsupported, *out.codes,
                    sinq::detail::text("dtype ", io::name(out.codes->info.dtype), " is not U8"));
    }
    out.step = &files_.at(name + ".s");
    out.minimum = &files_.at(name + ".m");
    const auto& codes_shape = out.codes->info.shape;
    if (codes_shape.size() != 2) {
      refuse_tensor(Errc::kBadFile, *out.codes,
                    sinq::detail::text("shape ", shape_text(codes_shape), " is not a matrix"));
    }
    for (const auto* tensor : {out.step, out.minimum}) {
      expect_float(*tensor);
      expect_shape(*tensor, std::array{Index{1}, codes_shape[1]});
    }
    out.type = out.step->info.dtype;
    if (out.minimum->info.dtype != out.type) {
      refuse_tensor(Errc::kUnsupported, *out.minimum,
                    sinq::detail::text("dtype ", io::name(out.minimum->info.dtype), " is not that of the steps, ",
                                       io::name(out.type)));
    }
    if (!shape) refuse(Errc::kBadFile, "there is no '", field, ".shape' for 8-bit values");
    out.count = element_count(out.codes->info);
    const auto bytes = tensor_bytes(DType::kU8, *shape);
    if (!bytes || *bytes != static_cast<std::uint64_t>(out.count)) {
      refuse(Errc::kBadFile, "'", field, ".shape' ", shape_text(*shape), " is not of ", out.count, " values");
    }
    out.shape = *shape;
    return out;
  }

  void find_shape() {
    const auto& shape = layer_.meta.shape;
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > kMaxWeights / shape[1]) {
      refuse(Errc::kBadFile, "'shape' ", shape_text(shape), " is not that of a matrix");
    }
    layer_.rows = shape[0];
    layer_.cols = shape[1];
    if (layer_.meta.axis != 1) refuse(Errc::kUnsupported, "'axis' ", layer_.meta.axis, " is not 1");
    const Index size = layer_.rows * layer_.cols;
    const Index count = layer_.scale.count;
    const auto misfit = [&] {
      refuse(Errc::kBadFile, "scales of shape ", shape_text(layer_.scale.shape), " do not divide a matrix ",
             shape_text(shape));
    };
    // No key says how tiles lie: strips have scales [n, 1], squares [squares, tile, 1].
    const std::size_t rank = layer_.scale.shape.size();
    if (count < 1 || size % count != 0 || (rank != 2 && rank != 3) || layer_.scale.shape.back() != 1) misfit();
    layer_.tile = size / count;
    layer_.tiling = rank == 3 ? Tiling::kSquare : Tiling::kColumns;
    if (layer_.tile > layer_.cols || layer_.cols % layer_.tile != 0) misfit();
    if (rank == 3 && (layer_.scale.shape[1] != layer_.tile || layer_.rows % layer_.tile != 0)) misfit();
    if (layer_.tile % 8 != 0 && layer_.groups() > 1) {
      refuse(Errc::kUnsupported, "groups of ", layer_.tile, " columns are not a multiple of 8");
    }
  }

  void check_zero() const {
    if (layer_.zero.count != 1 && layer_.zero.count != layer_.scale.count) {
      refuse(Errc::kBadFile, layer_.zero.count, " zero points are neither one nor one per scale (", layer_.scale.count,
             ")");
    }
  }

  void check_col_scale() const {
    if (layer_.col_scale == nullptr) return;
    expect_float(*layer_.col_scale);
    if (layer_.tiling == Tiling::kColumns) {
      expect_shape(*layer_.col_scale, std::array{Index{1}, layer_.cols});
    } else {
      expect_shape(*layer_.col_scale, std::array{layer_.scale.count / layer_.tile, Index{1}, layer_.tile});
    }
  }

  void find_packing() {
    const double said = layer_.meta.bits;
    // 1.58 bits are three levels in two bits.
    const double stored = said == 1.58 ? 2.0 : said;
    const auto packing = stored >= 1.0 && stored <= 8.0 && stored == std::floor(stored)
                             ? reference_packing_of_bits(static_cast<int>(stored))
                             : std::nullopt;
    if (!packing) refuse(Errc::kUnsupported, "'nbits' ", said, " is not 1, 1.58, 2, 3, 4, 5, 6 or 8");
    layer_.bits = packed_bits(*packing);
    const std::string& flag = layer_.meta.packing;
    if (!flag.empty() && flag != io::name(*packing)) {
      refuse(Errc::kUnsupported, "'packing' ", name_text(flag), " is not ", io::name(*packing), ", that of ", said,
             " bits");
    }
    const Index code_rows = layer_.rows * layer_.groups();
    const TensorInfo& info = layer_.codes->info;
    const auto holds = [&](ReferencePacking p, Index rows) {
      const std::array shape{rows, layer_.tile};
      if (layer_.meta.view_as_float) return info.end - info.begin == tensor_bytes(packed_dtype(p), shape);
      return info.dtype == packed_dtype(p) &&
             std::equal(shape.begin(), shape.end(), info.shape.begin(), info.shape.end());
    };
    const auto rows = packed_rows(*packing, code_rows);
    if (rows && holds(*packing, *rows)) {
      layer_.packing = *packing;
      if (flag.empty() && layer_.bits != 8) layer_.repairs.push_back("'packing' is missing, and taken from 'nbits'");
      return;
    }
    if (holds(ReferencePacking::k8BitU8, code_rows)) {
      layer_.packing = ReferencePacking::k8BitU8;
      layer_.repairs.push_back(sinq::detail::text("the codes are not packed, though 'nbits' is ", said));
      return;
    }
    if (!rows) {
      refuse_tensor(Errc::kUnsupported, *layer_.codes,
                    sinq::detail::text(code_rows, " rows of codes are no whole number of ", io::name(*packing),
                                       " words: the reference's packing corrupts such layers"));
    }
    refuse_tensor(Errc::kBadFile, *layer_.codes,
                  sinq::detail::text(io::name(info.dtype), " ", shape_text(info.shape), " is not ",
                                     io::name(packed_dtype(*packing)), " ", shape_text(std::array{*rows, layer_.tile}),
                                     ", as ", io::name(*packing), " of a matrix ", shape_text(layer_.meta.shape),
                                     " in groups of ", layer_.tile));
  }

  /// What the codes of a method that names a table really are.
  void find_levels() {
    std::string method = layer_.meta.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    const auto names = [&method](std::string_view part) { return method.find(part) != std::string::npos; };
    const bool nf4 = names("nf4"), nf3 = names("nf3");
    if (!nf4 && !nf3) return;
    if (nf4 && nf3) refuse(Errc::kUnsupported, "'method' ", name_text(method), " names two tables");
    // The writer looks for these first; the reader of the reference forgets them and decodes noise.
    if (names("hqq") || names("noz")) {
      layer_.repairs.push_back("'method' names a table, but its codes are uniform");
      return;
    }
    const int bits = nf4 ? 4 : 3;
    if (layer_.bits < bits || layer_.meta.bits == 1.58) {
      refuse(Errc::kUnsupported, "'method' ", name_text(method), " does not fit ", layer_.meta.bits,
             " bits: the reference cuts its codes off");
    }
    if (names("sinq") && codes_are_uniform(method)) {
      layer_.repairs.push_back("'method' names a table, but the kurtosis gate made the codes uniform");
      return;
    }
    layer_.levels = nf4 ? ReferenceLevels::kNf4 : ReferenceLevels::kNf3;
    layer_.bits = bits;
  }

  /// Whether the reference's kurtosis gate replaced the table by uniform codes, which nothing in the file says: then
  /// all column scales are 1 and zero points are whole numbers, whereas those of a table are fractions (-mean / scale).
  [[nodiscard]] bool codes_are_uniform(const std::string& method) const {
    if (layer_.col_scale != nullptr) {
      const auto scales = finite_values(*layer_.col_scale);
      if (std::any_of(scales.begin(), scales.end(), [](float s) { return s != 1.0F; })) return false;
    }
    // Of 8-bit zero points, the minima are exact.
    const auto known = finite_values(layer_.zero.values != nullptr ? *layer_.zero.values : *layer_.zero.minimum);
    if (std::any_of(known.begin(), known.end(), [](float z) { return z != std::nearbyint(z); })) return false;
    const auto zeros = aux_values(layer_.zero);
    // Zero points of a table lie in [-1, 1] unless a group has one sign.
    if (std::all_of(zeros.begin(), zeros.end(), [](float z) { return std::abs(z) <= 1.0F; })) {
      refuse(Errc::kUnsupported, "'method' ", name_text(method),
             " names a table, the kurtosis gate may have made the codes uniform, and nothing tells which");
    }
    return true;
  }

  const Checkpoint& files_;
  std::string_view sidecar_;
  ReferenceLayer layer_;
};

}  // namespace detail

}  // namespace sinq::inline SINQ_ABI::io
