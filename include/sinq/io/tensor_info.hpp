#pragma once

#include <sinq/io/printable.hpp>
#include <sinq/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// What Hugging Face folders call their weights: one file, or several and the file that says which tensor is where.
inline constexpr std::string_view kSingleFile = "model.safetensors";
inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

/// Whether a file of that name in such a folder is part of the weights.
[[nodiscard]] inline bool is_checkpoint_file(std::string_view name) noexcept {
  return name == kSingleFile || name.starts_with(kIndexFile) ||
         (name.starts_with("model-") && name.ends_with(".safetensors"));
}

/// Element types of safetensors files.
enum class DType : std::uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF8E4M3,
  kF8E5M2,
  kF16,
  kBf16,
  kF32,
  kF64,
};

namespace detail {

struct DTypeRow {
  DType type;
  std::string_view name;  ///< as files spell it
  int bytes;
};

inline constexpr std::array<DTypeRow, 15> kDTypes{{
    {DType::kBool, "BOOL", 1},
    {DType::kU8, "U8", 1},
    {DType::kI8, "I8", 1},
    {DType::kU16, "U16", 2},
    {DType::kI16, "I16", 2},
    {DType::kU32, "U32", 4},
    {DType::kI32, "I32", 4},
    {DType::kU64, "U64", 8},
    {DType::kI64, "I64", 8},
    {DType::kF8E4M3, "F8_E4M3", 1},
    {DType::kF8E5M2, "F8_E5M2", 1},
    {DType::kF16, "F16", 2},
    {DType::kBf16, "BF16", 2},
    {DType::kF32, "F32", 4},
    {DType::kF64, "F64", 8},
}};

}  // namespace detail

/// As files spell it, e.g. "BF16".
[[nodiscard]] constexpr std::string_view name(DType type) noexcept {
  return detail::kDTypes[static_cast<std::size_t>(type)].name;
}

/// Bytes of one element.
[[nodiscard]] constexpr int dtype_bytes(DType type) noexcept {
  return detail::kDTypes[static_cast<std::size_t>(type)].bytes;
}

/// The type that files spell `name`, if there is one.
[[nodiscard]] constexpr std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const auto& row : detail::kDTypes) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

/// What `quantize` can read, if `type` is one of it.
[[nodiscard]] constexpr std::optional<ScalarType> scalar_type(DType type) noexcept {
  switch (type) {
    case DType::kF16:
      return ScalarType::kF16;
    case DType::kBf16:
      return ScalarType::kBf16;
    case DType::kF32:
      return ScalarType::kF32;
    case DType::kF64:
      return ScalarType::kF64;
    default:
      return std::nullopt;
  }
}

/// Whether elements are 8-bit floats, which mean something together with scales only.
[[nodiscard]] constexpr bool is_float8(DType type) noexcept { return type == DType::kF8E4M3 || type == DType::kF8E5M2; }

/// Whether elements are floats of any width.
[[nodiscard]] constexpr bool is_float(DType type) noexcept { return scalar_type(type).has_value() || is_float8(type); }

/// Bytes of a tensor, or nothing if a dimension is negative or the size exceeds 2^63 - 1. A shape without dimensions is
/// one element.
[[nodiscard]] constexpr std::optional<std::uint64_t> tensor_bytes(DType type, std::span<const Index> shape) noexcept {
  auto size = static_cast<std::uint64_t>(dtype_bytes(type));
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  for (const Index extent : shape) {
    if (extent < 0) return std::nullopt;
    const auto n = static_cast<std::uint64_t>(extent);
    if (n != 0 && size > kLimit / n) return std::nullopt;
    size *= n;
  }
  return size;
}

/// One tensor of a file. Invariant of those that a reader hands out: end - begin == tensor_bytes(dtype, shape), and
/// [begin, end) lies within the file.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<Index> shape;
  std::uint64_t begin = 0;  ///< first byte, counted from the start of the file
  std::uint64_t end = 0;    ///< one beyond the last byte

  friend bool operator==(const TensorInfo&, const TensorInfo&) = default;
};

namespace detail {

/// "[2, 3]"
[[nodiscard]] inline std::string shape_text(std::span<const Index> shape) {
  std::string out = "[";
  for (const Index extent : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
  return out + "]";
}

}  // namespace detail

}  // namespace sinq::inline SINQ_ABI::io
