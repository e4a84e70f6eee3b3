#pragma once

#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/io/metadata.hpp>
#include <sinq/io/quantized_layout.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/quantized_matrix.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

namespace detail {

using sinq::detail::level_type;
using sinq::detail::LevelType;
using sinq::detail::with_codes;

/// What the tensor of each region is called, behind the name of the quantized tensor and a dot.
inline constexpr std::array<std::string_view, kRegionCount> kRegionNames{
    "codes", "group_scale", "group_scale_blocks", "offset", "offset_blocks", "col_scale", "levels"};

[[nodiscard]] inline std::string region_name(std::string_view tensor, std::string_view region) {
  return sinq::detail::text(tensor, ".", region);
}
[[nodiscard]] inline std::string region_name(std::string_view tensor, Region region) {
  return region_name(tensor, kRegionNames[static_cast<std::size_t>(region)]);
}

/// The element type that shows aux values for what they are; codes of whole bits are bytes.
[[nodiscard]] constexpr DType aux_dtype(AuxFormat format) noexcept {
  return format == AuxFormat::kF32 ? DType::kF32 : format == AuxFormat::kF16 ? DType::kF16 : DType::kU8;
}

/// The tensor of a region, or nothing if the layout has none.
[[nodiscard]] inline std::optional<TensorInfo> region_tensor(std::string_view tensor, const Layout& layout,
                                                             Region region) {
  if (region_bytes(layout, region) == 0) return std::nullopt;
  const auto info = [&](DType dtype, std::vector<Index> shape) {
    return TensorInfo{region_name(tensor, region), dtype, std::move(shape)};
  };
  switch (region) {
    case Region::kCodes: {
      const auto shape = with_codes(layout, [](const auto& codes) { return codes.code_shape(); });
      return info(DType::kU8, {shape.outer, shape.inner});
    }
    case Region::kGroupScale:
    case Region::kOffset: {
      const DType dtype = aux_dtype(layout.aux);
      return info(dtype, {layout.groups(), aux_bytes(layout.aux, layout.rows) / dtype_bytes(dtype)});
    }
    case Region::kGroupScaleBlocks:
    case Region::kOffsetBlocks:
      return info(DType::kF16, {layout.groups(), aux_blocks(layout.rows), 2});
    case Region::kColScale:
      return info(aux_dtype(layout.col_scale_format()), {layout.row_blocks(), layout.cols});
    case Region::kLevels: {
      const auto shape = with_codes(layout, [](const auto& codes) { return codes.level_shape(); });
      if (level_type(layout) == LevelType::kF32) return info(DType::kF32, {shape.outer});
      return info(DType::kI8, {shape.outer, shape.inner});
    }
  }
  return std::nullopt;
}

[[nodiscard]] inline TensorInfo matrix_scale_tensor(std::string_view tensor) {
  return {region_name(tensor, "matrix_scale"), DType::kF32, {1}};
}

/// Why `scale` cannot be a matrix_scale, or null.
[[nodiscard]] inline const char* matrix_scale_flaw(float scale) noexcept {
  int exponent = 0;
  const bool good = is_positive(scale) && std::frexp(scale, &exponent) == 0.5F;
  return good ? nullptr : "is not a positive power of two";
}

/// Finds the tensors of a quantized tensor in `file` (SafetensorsFile), compares them with its layout and hands out
/// where they lie. What is checked besides is what could make a reader misbehave: tables of levels and matrix_scale.
template <class File>
class QuantizedReader {
 public:
  QuantizedReader(const File& file, std::string_view name) : file_(file), name_(name) {}

  [[nodiscard]] QuantizedView view() const {
    check_quantized_version(file_.metadata(), file_.name());
    const auto text = file_.metadata().find(sinq::detail::text(kQuantizedLayoutKey, name_));
    if (text == file_.metadata().end()) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(file_.name(), ": there is no quantized tensor ", name_text(name_)));
    }
    if (const TensorInfo* plain = file_.find(name_)) refuse(*plain, "is there as it was and quantized");
    Layout layout =
        parse_layout(text->second, sinq::detail::text(file_.name(), ": layout of tensor ", name_text(name_)));
    layout.matrix_scale = matrix_scale();
    const std::byte* regions[kRegionCount] = {};
    for (int i = 0; i < kRegionCount; ++i) {
      const auto region = static_cast<Region>(i);
      if (const auto expected = region_tensor(name_, layout, region)) {
        regions[i] = bytes_of(*expected).data();
      } else if (const TensorInfo* stray = file_.find(region_name(name_, region))) {
        refuse(*stray, "the layout of ", name_text(name_), " has none");
      }
    }
    if (layout.level_count != 0) check_levels(layout, regions[static_cast<int>(Region::kLevels)]);
    return {layout, regions};
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const TensorInfo& tensor, const Parts&... parts) const {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(file_.name(), ": tensor ", name_text(tensor.name), " at byte ",
                                                  tensor.begin, ": ", parts...));
  }

  /// The bytes of a tensor that must be there as `expected`.
  [[nodiscard]] std::span<const std::byte> bytes_of(const TensorInfo& expected) const {
    const TensorInfo& found = file_.at(expected.name);
    if (found.dtype != expected.dtype || found.shape != expected.shape) {
      refuse(found, name(found.dtype), " ", shape_text(found.shape), " is not the ", name(expected.dtype), " ",
             shape_text(expected.shape), " that the layout of ", name_text(name_), " asks for");
    }
    return file_.bytes(found);
  }

  [[nodiscard]] float matrix_scale() const {
    const TensorInfo expected = matrix_scale_tensor(name_);
    float scale = 0.0F;
    std::memcpy(&scale, bytes_of(expected).data(), sizeof scale);
    if (const char* flaw = matrix_scale_flaw(scale)) refuse(file_.at(expected.name), scale, " ", flaw);
    return scale;
  }

  /// Of what tables hold, and of where: those of floats are read in place.
  void check_levels(const Layout& layout, const std::byte* levels) const {
    const TensorInfo& table = file_.at(region_name(name_, Region::kLevels));
    if (level_type(layout) == LevelType::kF32 && reinterpret_cast<std::uintptr_t>(levels) % alignof(float) != 0) {
      refuse(table, "F32 levels must start on a multiple of 4 bytes of memory");
    }
    if (const auto flaw = with_codes(layout, [&](const auto& codes) { return codes.find_level_flaw(levels); })) {
      refuse(table, *flaw);
    }
  }

  const File& file_;
  std::string_view name_;
};

/// The names of the quantized tensors that the metadata of a file describes, sorted.
[[nodiscard]] inline std::vector<std::string> quantized_names(const Metadata& metadata, std::string_view what) {
  check_quantized_version(metadata, what);
  std::vector<std::string> out;
  for (auto at = metadata.lower_bound(std::string(kQuantizedLayoutKey));
       at != metadata.end() && at->first.starts_with(kQuantizedLayoutKey); ++at) {
    out.push_back(at->first.substr(kQuantizedLayoutKey.size()));
  }
  return out;
}

}  // namespace detail

/// The tensors that a quantized tensor `name` of this layout is stored as: `name`.codes, `name`.group_scale and so on,
/// and `name`.matrix_scale. All must be in one file. `begin` and `end` are left 0.
/// Throws Errc::kBadConfig or kBadShape for a layout that makes no sense.
[[nodiscard]] inline std::vector<TensorInfo> quantized_tensor_infos(std::string_view name, const Layout& layout) {
  validate(layout);
  std::vector<TensorInfo> out;
  for (int i = 0; i < kRegionCount; ++i) {
    if (auto info = detail::region_tensor(name, layout, static_cast<Region>(i))) out.push_back(std::move(*info));
  }
  out.push_back(detail::matrix_scale_tensor(name));
  return out;
}

/// The bytes of those tensors, in their order; `view` must outlive them. Throws Errc::kBadShape for a window of a
/// matrix, kBadConfig for a matrix_scale that is not a power of two.
[[nodiscard]] inline std::vector<std::span<const std::byte>> quantized_tensor_bytes(const QuantizedView& view) {
  const Layout& layout = view.layout();
  if (view.rows() != layout.rows || view.cols() != layout.cols) {
    SINQ_THROW(Errc::kBadShape, sinq::detail::text("quantized tensor: a window [", view.rows(), ", ", view.cols(),
                                                   "] of [", layout.rows, ", ", layout.cols, "] cannot be stored"));
  }
  if (const char* flaw = detail::matrix_scale_flaw(layout.matrix_scale)) {
    SINQ_THROW(Errc::kBadConfig, sinq::detail::text("quantized tensor: matrix_scale ", layout.matrix_scale, " ", flaw));
  }
  std::vector<std::span<const std::byte>> out;
  for (int i = 0; i < kRegionCount; ++i) {
    const auto region = static_cast<Region>(i);
    const auto size = static_cast<std::size_t>(region_bytes(layout, region));
    if (size != 0) out.emplace_back(view.region(region), size);
  }
  out.push_back(std::as_bytes(std::span(&layout.matrix_scale, 1)));
  return out;
}
std::vector<std::span<const std::byte>> quantized_tensor_bytes(QuantizedView&&) = delete;

}  // namespace sinq::inline SINQ_ABI::io
