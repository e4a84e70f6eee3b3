#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/half.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/reference_layer.hpp>
#include <sinq/io/reference_packing.hpp>
#include <sinq/io/reference_sidecar.hpp>
#include <sinq/packing/bit_packing.hpp>
#include <sinq/quantized_matrix.hpp>
#include <sinq/quantizers/nf_levels.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// The file beside the index that says how each layer is quantized.
inline constexpr const char* kReferenceSidecarName = "model.safetensors.index.json.meta.json";

namespace detail {

[[nodiscard]] inline std::span<const float> levels_of(ReferenceLevels levels) noexcept {
  switch (levels) {
    case ReferenceLevels::kNf4:
      return codebooks::kNf4Levels;
    case ReferenceLevels::kNf3:
      return codebooks::kNf3Levels;
    case ReferenceLevels::kCodes:
      break;
  }
  return {};
}

/// Element i of a region of F32 or F16 values.
inline void put_value(std::span<std::byte> region, AuxFormat format, std::size_t i, float value) noexcept {
  if (format == AuxFormat::kF32) {
    std::memcpy(region.data() + 4 * i, &value, 4);
  } else {
    const std::uint16_t half = float_to_half(value);
    std::memcpy(region.data() + 2 * i, &half, 2);
  }
}

/// The codes of a layer in W's order, [rows, cols].
[[nodiscard]] inline sinq::detail::Vector<std::uint8_t> layer_codes(const ReferenceLayer& layer) {
  sinq::detail::Vector<std::uint8_t> codes(static_cast<std::size_t>(layer.rows * layer.cols));
  unpack_reference(layer.packing, layer.codes->bytes(), codes);
  const int largest = (1 << layer.bits) - 1;
  if (packed_bits(layer.packing) == layer.bits) return codes;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] <= largest) continue;
    // Of a table in wider words the reference takes the last entry for codes beyond it.
    if (layer.levels == ReferenceLevels::kCodes) {
      refuse_tensor(
          Errc::kBadData, *layer.codes,
          sinq::detail::text("code ", int{codes[i]}, " at byte ", layer.codes->info.begin + i, " is above ", largest));
    }
    codes[i] = static_cast<std::uint8_t>(largest);
  }
  return codes;
}

/// A layer as the library's container holds it: same codes, same numbers, another order.
[[nodiscard]] inline QuantizedMatrix read_reference_layer(const ReferenceLayer& layer) {
  const auto scales = aux_values(layer.scale);
  const auto zeros = aux_values(layer.zero);
  const auto is_half = [](const Checkpoint::Tensor* tensor) {
    return tensor == nullptr || tensor->info.dtype == DType::kF16;
  };
  const bool shared_zero = zeros.size() == 1;
  const bool half =
      layer.scale.type == DType::kF16 && (shared_zero || layer.zero.type == DType::kF16) && is_half(layer.col_scale);
  const auto levels = levels_of(layer.levels);
  QuantizedMatrix out({.rows = layer.rows,
                       .cols = layer.cols,
                       .bits = layer.bits,
                       .group_size = round_up(layer.tile, 8),
                       .row_block = layer.tiling == Tiling::kSquare ? layer.tile : layer.rows,
                       .level_count = static_cast<Index>(levels.size()),
                       .offset = shared_zero ? OffsetKind::kShared : OffsetKind::kZeroPoint,
                       .aux = half ? AuxFormat::kF16 : AuxFormat::kF32,
                       .col_scale = layer.col_scale == nullptr ? ColScaleKind::kNone : ColScaleKind::kStored,
                       .shared_zero_point = shared_zero ? zeros[0] : 0.0F});
  const Layout& layout = out.layout();
  const auto codes = layer_codes(layer);
  const auto packed = out.region(Region::kCodes);
  with_bits(layout.bits, [&](auto bits) {
    for (Index r = 0; r < layer.rows; ++r) {
      pack<decltype(bits)::value>(
          codes.data() + r * layer.cols, layer.cols,
          reinterpret_cast<std::uint8_t*>(packed.data()) + sinq::detail::ScalarCodes(layout).code_offset(r, 0));
    }
  });
  for (Index g = 0; g < layer.groups(); ++g) {
    for (Index r = 0; r < layer.rows; ++r) {
      const auto to = static_cast<std::size_t>(g * layer.rows + r);
      const std::size_t from = layer.scale_index(r, g);
      put_value(out.region(Region::kGroupScale), layout.aux, to, scales[from]);
      if (!shared_zero) put_value(out.region(Region::kOffset), layout.aux, to, zeros[from]);
    }
  }
  if (layer.col_scale != nullptr) {
    // Squares are sorted by row block and column: that is [row_blocks, cols] already.
    const auto col_scales = finite_values(*layer.col_scale);
    for (std::size_t i = 0; i < col_scales.size(); ++i) {
      put_value(out.region(Region::kColScale), layout.col_scale_format(), i, col_scales[i]);
    }
  }
  if (!levels.empty()) std::memcpy(out.region(Region::kLevels).data(), levels.data(), levels.size_bytes());
  return out;
}

}  // namespace detail

/// A folder that huawei-csl/SINQ, or transformers through it, wrote: a checkpoint whose linear layers are quantized in
/// the reference's own layout (README.md beside this file). Everything but the numbers is checked when it is opened;
/// known defects of the writer are put right and noted in `ReferenceLayer::repairs`, or refused by name. Move-only;
/// what it hands out dies with it. Reading from several threads is safe.
class ReferenceCheckpoint {
 public:
  /// Whether `folder` has the meta data of such a checkpoint.
  [[nodiscard]] static bool is_one(const std::filesystem::path& folder) {
    std::error_code error;
    return std::filesystem::exists(folder / kReferenceSidecarName, error);
  }

  /// Throws Errc::kIo for missing files, Errc::kBadFile for what does not fit together, Errc::kUnsupported for layers
  /// that this library does not hold, naming layer or tensor and field or byte.
  [[nodiscard]] static ReferenceCheckpoint open(const std::filesystem::path& folder) {
    const auto sidecar = folder / kReferenceSidecarName;
    const MappedFile json = MappedFile::open(sidecar);
    return {Checkpoint::open(folder), json.bytes(), sidecar.string()};
  }

  /// From the meta data's JSON and one safetensors file, whose bytes must stay; `name` names the former in errors.
  /// Throws as `open`.
  [[nodiscard]] static ReferenceCheckpoint from_memory(std::span<const std::byte> sidecar, SafetensorsFile file,
                                                       const std::string& name) {
    return {Checkpoint::of_file(std::move(file)), sidecar, name};
  }

  /// The quantized layers, sorted by name.
  [[nodiscard]] const std::vector<ReferenceLayer>& layers() const& noexcept { return layers_; }
  const std::vector<ReferenceLayer>& layers() && = delete;

  /// The layer of that name ("model.layers.0.mlp.up_proj"), or null.
  [[nodiscard]] const ReferenceLayer* find(std::string_view layer) const& noexcept {
    const auto at = std::lower_bound(layers_.begin(), layers_.end(), layer,
                                     [](const ReferenceLayer& a, std::string_view name) { return a.name < name; });
    return at == layers_.end() || at->name != layer ? nullptr : &*at;
  }
  const ReferenceLayer* find(std::string_view layer) && = delete;

  /// The weight of a layer: its codes and numbers, unchanged, in the library's order. Dequantized it is
  /// ((level - zero) * scale) * scale2 in float32, bit for bit. Throws Errc::kBadFile if there is no such layer,
  /// Errc::kBadData for numbers that are not finite.
  [[nodiscard]] QuantizedMatrix quantized(std::string_view layer) const {
    const ReferenceLayer* found = find(layer);
    if (found == nullptr) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(name_, ": there is no layer ", detail::name_text(layer)));
    }
    return detail::read_reference_layer(*found);
  }

  /// All tensors, those of quantized layers included.
  [[nodiscard]] const Checkpoint& files() const& noexcept { return files_; }
  const Checkpoint& files() && = delete;

  /// All tensors, for those who have read the layers.
  [[nodiscard]] Checkpoint take_files() && { return std::move(files_); }

  /// The tensors that are not quantized: embeddings, norms, biases, buffers, ...
  [[nodiscard]] const std::vector<const Checkpoint::Tensor*>& plain_tensors() const& noexcept { return plain_; }
  const std::vector<const Checkpoint::Tensor*>& plain_tensors() && = delete;

 private:
  ReferenceCheckpoint(Checkpoint files, std::span<const std::byte> sidecar, std::string name)
      : files_(std::move(files)), name_(std::move(name)) {
    const ReferenceSidecar meta = parse_reference_sidecar(sidecar, name_);
    for (const auto& tensor : files_.tensors()) {
      if (!belongs_to_layer(tensor, meta)) plain_.push_back(&tensor);
    }
    for (const auto& [layer, fields] : meta) {
      layers_.push_back(detail::ReferenceLayerFinder(files_, name_, layer, fields).find());
    }
  }

  [[nodiscard]] bool belongs_to_layer(const Checkpoint::Tensor& tensor, const ReferenceSidecar& meta) const {
    constexpr std::string_view kCodes = ".W_q", kMeta = ".meta.";
    const std::string_view name = tensor.info.name;
    if (name.ends_with(kCodes)) {
      if (meta.contains(name.substr(0, name.size() - kCodes.size()))) return true;
      detail::refuse_tensor(Errc::kBadFile, tensor, sinq::detail::text(name_, " says nothing of its layer"));
    }
    const auto at = name.find(kMeta);
    if (at == std::string_view::npos || !meta.contains(name.substr(0, at))) return false;
    const std::string_view field = name.substr(at + kMeta.size());
    constexpr std::array<std::string_view, 9> kKnown{"scale",  "scale.x", "scale.s", "scale.m", "zero",
                                                     "zero.x", "zero.s",  "zero.m",  "scale2"};
    if (std::find(kKnown.begin(), kKnown.end(), field) != kKnown.end()) return true;
    detail::refuse_tensor(Errc::kUnsupported, tensor, "no known part of a quantized layer");
  }

  Checkpoint files_;
  std::string name_;
  std::vector<ReferenceLayer> layers_;
  std::vector<const Checkpoint::Tensor*> plain_;
};

}  // namespace sinq::inline SINQ_ABI::io
