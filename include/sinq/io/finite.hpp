#pragma once

#include <sinq/error.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace sinq::inline SINQ_ABI::io {

namespace detail {

/// The bits of a number that are all set in NaN and Inf and in nothing else: the exponent. (E4M3 has no Inf, and one
/// NaN.) 0 for integers.
[[nodiscard]] constexpr std::uint64_t nonfinite_mask(DType type) noexcept {
  switch (type) {
    case DType::kF64:
      return 0x7ff0'0000'0000'0000;
    case DType::kF32:
      return 0x7f80'0000;
    case DType::kBf16:
      return 0x7f80;
    case DType::kF16:
      return 0x7c00;
    case DType::kF8E5M2:
      return 0x7c;
    case DType::kF8E4M3:
      return 0x7f;
    default:
      return 0;
  }
}

/// "nan", "inf" or "-inf": what the bits of a number that is not finite mean.
[[nodiscard]] constexpr std::string_view nonfinite_name(DType type, std::uint64_t bits) noexcept {
  const std::uint64_t mask = nonfinite_mask(type), sign = std::uint64_t{1} << (8 * dtype_bytes(type) - 1);
  const bool is_nan = type == DType::kF8E4M3 || (bits & ~(mask | sign)) != 0;
  return is_nan ? "nan" : (bits & sign) != 0 ? "-inf" : "inf";
}

/// The bits of the element at `p`.
[[nodiscard]] inline std::uint64_t element_bits(DType type, const std::byte* p) noexcept {
  std::uint64_t bits = 0;  // little-endian
  std::memcpy(&bits, p, static_cast<std::size_t>(dtype_bytes(type)));
  return bits;
}

/// Rows run along the last dimension; a vector is one row.
struct ElementPlace {
  std::uint64_t row, col;
};
[[nodiscard]] inline ElementPlace place_of(std::uint64_t element, std::span<const Index> shape) noexcept {
  const auto cols = shape.empty() ? 1 : std::max<std::uint64_t>(1, static_cast<std::uint64_t>(shape.back()));
  return {element / cols, element % cols};
}

template <class... Parts>
[[noreturn]] void refuse_element(const SafetensorsFile& file, const TensorInfo& info, std::uint64_t element,
                                 const Parts&... why) {
  const ElementPlace at = place_of(element, info.shape);
  SINQ_THROW(Errc::kBadData, sinq::detail::text(file.name(), ": tensor ", name_text(info.name), ": row ", at.row,
                                                ", column ", at.col, " is ", why...));
}

}  // namespace detail

/// A number that is none, or not finite.
struct Nonfinite {
  std::uint64_t at;       ///< counted in elements
  std::string_view name;  ///< "nan", "inf" or "-inf"
};

/// The first of the numbers `bytes`, whole elements of `type`, that is NaN or Inf; nothing if all are finite, as
/// integers are. Bits are compared, so that compilers that are told to expect no NaN cannot leave it out.
[[nodiscard]] inline std::optional<Nonfinite> find_nonfinite(DType type, std::span<const std::byte> bytes) noexcept {
  if (detail::nonfinite_mask(type) == 0) return std::nullopt;
  // Eight bytes at a time: where all bits of the mask are set, adding its least one carries into the sign's place.
  const auto size = static_cast<std::size_t>(dtype_bytes(type));
  const int width = 8 * dtype_bytes(type);
  const std::uint64_t ones = ~std::uint64_t{0} / (~std::uint64_t{0} >> (64 - width));  // a 1 in every element
  const std::uint64_t mask = detail::nonfinite_mask(type) * ones, sign = ones << (width - 1);
  const std::uint64_t least = (std::uint64_t{1} << std::countr_zero(detail::nonfinite_mask(type))) * ones;
  const auto found = [&](std::size_t at, std::size_t count) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, count);
    return ((word & mask) + least) & sign;
  };
  constexpr std::size_t kWord = 8, kBlock = 8 * kWord;
  std::size_t at = 0;
  for (; at + kBlock <= bytes.size(); at += kBlock) {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < kBlock; i += kWord) any |= found(at + i, kWord);
    if (any != 0) break;
  }
  for (; at < bytes.size(); at += kWord) {
    if (const std::uint64_t first = found(at, std::min(kWord, bytes.size() - at)); first != 0) {
      const std::size_t element = at / size + static_cast<std::size_t>(std::countr_zero(first) / width);
      const std::uint64_t bits = detail::element_bits(type, bytes.data() + element * size);
      return Nonfinite{element, detail::nonfinite_name(type, bits)};
    }
  }
  return std::nullopt;
}

[[nodiscard]] inline std::optional<Nonfinite> find_nonfinite(std::span<const float> values) noexcept {
  return find_nonfinite(DType::kF32, std::as_bytes(values));
}

/// Throws Errc::kBadData, naming `tensor`, `row` and the column, if `values`, a row of it as floats, hold NaN or Inf.
inline void require_finite(std::string_view tensor, Index row, std::span<const float> values) {
  if (const auto bad = find_nonfinite(values)) {
    SINQ_THROW(Errc::kBadData, sinq::detail::text("tensor ", detail::name_text(tensor), ": row ", row, ", column ",
                                                  bad->at, " is ", bad->name));
  }
}

/// Throws Errc::kBadData, naming file, tensor, row and column, if bytes [begin, end) of a tensor, whole elements, hold
/// NaN or Inf. Rows run along the last dimension, a vector is one row. Integers pass.
inline void require_finite(const SafetensorsFile& file, const TensorInfo& info, std::uint64_t begin,
                           std::uint64_t end) {
  const std::byte* first = file.bytes(info).data();
  if (const auto bad = find_nonfinite(info.dtype, {first + begin, first + end})) {
    const auto before = begin / static_cast<std::uint64_t>(dtype_bytes(info.dtype));
    detail::refuse_element(file, info, before + bad->at, bad->name);
  }
}

/// The same of a whole tensor.
inline void require_finite(const SafetensorsFile& file, const TensorInfo& info) {
  require_finite(file, info, 0, info.end - info.begin);
}

/// Throws as `require_finite` if a tensor holds what is no finite number as a float32: also a double beyond its range.
inline void require_float32(const SafetensorsFile& file, const TensorInfo& info) {
  require_finite(file, info);
  if (info.dtype != DType::kF64) return;
  const auto bytes = file.bytes(info);
  constexpr std::uint64_t kRoundsToInfinity = std::bit_cast<std::uint64_t>(0x1.ffffffp127);
  constexpr std::uint64_t kMagnitude = ~std::uint64_t{0} >> 1;
  for (std::uint64_t i = 0; 8 * i < bytes.size(); ++i) {
    const std::uint64_t bits = detail::element_bits(DType::kF64, bytes.data() + 8 * i);
    if ((bits & kMagnitude) < kRoundsToInfinity) continue;
    detail::refuse_element(file, info, i, std::bit_cast<double>(bits), ", which is beyond float32");
  }
}

}  // namespace sinq::inline SINQ_ABI::io
