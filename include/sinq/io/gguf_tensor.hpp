#pragma once

#include <sinq/io/tensor_info.hpp>
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

/// Element types of GGUF tensors, by the numbers that files give them (ggml's enum ggml_type). Of those beside the
/// floats and the block formats (see is_readable in gguf.hpp) only the size is known: such tensors are copied as they
/// are.
enum class GgufType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2K = 10,
  kQ3K = 11,
  kQ4K = 12,
  kQ5K = 13,
  kQ6K = 14,
  kIq2Xxs = 16,
  kIq2Xs = 17,
  kIq3Xxs = 18,
  kIq1S = 19,
  kIq4Nl = 20,
  kIq3S = 21,
  kIq2S = 22,
  kIq4Xs = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIq1M = 29,
  kBf16 = 30,
  kTq1_0 = 34,
  kTq2_0 = 35,
  kMxfp4 = 39,
  kNvfp4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

namespace detail {

struct GgufTypeRow {
  GgufType type;
  std::string_view name;
  Index block;  ///< elements that are stored together
  Index bytes;  ///< of a block
};

inline constexpr std::array<GgufTypeRow, 33> kGgufTypes{{
    {GgufType::kF32, "f32", 1, 4},
    {GgufType::kF16, "f16", 1, 2},
    {GgufType::kQ4_0, "q4_0", 32, 18},
    {GgufType::kQ4_1, "q4_1", 32, 20},
    {GgufType::kQ5_0, "q5_0", 32, 22},
    {GgufType::kQ5_1, "q5_1", 32, 24},
    {GgufType::kQ8_0, "q8_0", 32, 34},
    {GgufType::kQ2K, "q2_k", 256, 84},
    {GgufType::kQ3K, "q3_k", 256, 110},
    {GgufType::kQ4K, "q4_k", 256, 144},
    {GgufType::kQ5K, "q5_k", 256, 176},
    {GgufType::kQ6K, "q6_k", 256, 210},
    {GgufType::kIq4Nl, "iq4_nl", 32, 18},
    {GgufType::kIq4Xs, "iq4_xs", 256, 136},
    {GgufType::kF64, "f64", 1, 8},
    {GgufType::kBf16, "bf16", 1, 2},
    {GgufType::kIq2Xxs, "iq2_xxs", 256, 66},
    {GgufType::kIq2Xs, "iq2_xs", 256, 74},
    {GgufType::kIq3Xxs, "iq3_xxs", 256, 98},
    {GgufType::kIq1S, "iq1_s", 256, 50},
    {GgufType::kIq3S, "iq3_s", 256, 110},
    {GgufType::kIq2S, "iq2_s", 256, 82},
    {GgufType::kI8, "i8", 1, 1},
    {GgufType::kI16, "i16", 1, 2},
    {GgufType::kI32, "i32", 1, 4},
    {GgufType::kI64, "i64", 1, 8},
    {GgufType::kIq1M, "iq1_m", 256, 56},
    {GgufType::kTq1_0, "tq1_0", 256, 54},
    {GgufType::kTq2_0, "tq2_0", 256, 66},
    {GgufType::kMxfp4, "mxfp4", 32, 17},
    {GgufType::kNvfp4, "nvfp4", 64, 36},
    {GgufType::kQ1_0, "q1_0", 128, 18},
    {GgufType::kQ2_0, "q2_0", 64, 18},
}};

[[nodiscard]] constexpr const GgufTypeRow* gguf_type_row(GgufType type) noexcept {
  for (const auto& row : kGgufTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace detail

/// The type of that number, if it is a known one.
[[nodiscard]] constexpr std::optional<GgufType> gguf_type(std::uint32_t number) noexcept {
  const auto type = static_cast<GgufType>(number);
  return detail::gguf_type_row(type) == nullptr ? std::nullopt : std::optional(type);
}

/// The type that is called so, e.g. "q4_0", if it is a known one.
[[nodiscard]] constexpr std::optional<GgufType> gguf_type_from_name(std::string_view name) noexcept {
  for (const auto& row : detail::kGgufTypes) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

/// As ggml calls it, e.g. "q4_0".
[[nodiscard]] constexpr std::string_view name(GgufType type) noexcept { return detail::gguf_type_row(type)->name; }

/// Elements of a row that are stored together: a row is a multiple of them.
[[nodiscard]] constexpr Index block_size(GgufType type) noexcept { return detail::gguf_type_row(type)->block; }

/// Bytes that they take.
[[nodiscard]] constexpr Index block_bytes(GgufType type) noexcept { return detail::gguf_type_row(type)->bytes; }

/// The floats that `quantize` reads in place, if `type` is one of them.
[[nodiscard]] constexpr std::optional<ScalarType> scalar_type(GgufType type) noexcept {
  switch (type) {
    case GgufType::kF32:
      return ScalarType::kF32;
    case GgufType::kF16:
      return ScalarType::kF16;
    case GgufType::kBf16:
      return ScalarType::kBf16;
    case GgufType::kF64:
      return ScalarType::kF64;
    default:
      return std::nullopt;
  }
}

/// Bytes of a tensor, or nothing if a dimension is negative, the last is no multiple of the block, or the size exceeds
/// 2^63 - 1. A shape without dimensions is one element.
[[nodiscard]] constexpr std::optional<std::uint64_t> tensor_bytes(GgufType type,
                                                                  std::span<const Index> shape) noexcept {
  const auto* row = detail::gguf_type_row(type);
  const Index cols = shape.empty() ? 1 : shape.back();
  if (cols < 0 || cols % row->block != 0) return std::nullopt;
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t size = static_cast<std::uint64_t>(row->bytes);
  const auto multiply = [&](std::uint64_t n) {
    const bool fits = n == 0 || size <= kLimit / n;
    size *= n;
    return fits;
  };
  if (!multiply(static_cast<std::uint64_t>(cols / row->block))) return std::nullopt;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) {
    if (shape[i] < 0 || !multiply(static_cast<std::uint64_t>(shape[i]))) return std::nullopt;
  }
  return size;
}

/// Longest name and most dimensions that ggml reads.
inline constexpr std::size_t kMaxGgufName = 63;
inline constexpr std::size_t kMaxGgufDimensions = 4;

/// One tensor of a GGUF file. `shape` is row-major as everywhere in sinq, [rows, cols]; files list dimensions the other
/// way round. Invariant of those that a reader hands out: end - begin == tensor_bytes(type, shape), and [begin, end)
/// lies within the file.
struct GgufTensorInfo {
  std::string name;
  GgufType type = GgufType::kF32;
  std::vector<Index> shape;
  std::uint64_t begin = 0;  ///< first byte, counted from the start of the file
  std::uint64_t end = 0;    ///< one beyond the last byte

  friend bool operator==(const GgufTensorInfo&, const GgufTensorInfo&) = default;
};

}  // namespace sinq::inline SINQ_ABI::io
