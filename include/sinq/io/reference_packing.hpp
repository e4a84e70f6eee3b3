#pragma once

#include <sinq/error.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace sinq::inline SINQ_ABI::io {

/// How the SINQ reference (huawei-csl/SINQ) packs codes into words.
enum class ReferencePacking : std::uint8_t { k8BitU8, k6Bit32, k5Bit32, k4BitU8, k3Bit32, k2BitU8, k1BitU8 };

namespace detail {

struct ReferencePackingRow {
  ReferencePacking packing;
  std::string_view name;  ///< as checkpoints spell it
  int bits;
  int codes_per_word;
  DType word;
};

inline constexpr std::array<ReferencePackingRow, 7> kReferencePackings{{
    {ReferencePacking::k8BitU8, "8bit_u8", 8, 1, DType::kU8},
    {ReferencePacking::k6Bit32, "6bit_32", 6, 5, DType::kI32},
    {ReferencePacking::k5Bit32, "5bit_32", 5, 6, DType::kI32},
    {ReferencePacking::k4BitU8, "4bit_u8", 4, 2, DType::kU8},
    {ReferencePacking::k3Bit32, "3bit_32", 3, 10, DType::kI32},
    {ReferencePacking::k2BitU8, "2bit_u8", 2, 4, DType::kU8},
    {ReferencePacking::k1BitU8, "1bit_u8", 1, 8, DType::kU8},
}};

[[nodiscard]] constexpr const ReferencePackingRow& row_of(ReferencePacking packing) noexcept {
  return kReferencePackings[static_cast<std::size_t>(packing)];
}

/// Field k of a word is the k-th from the top of those that it has room for.
[[nodiscard]] constexpr int reference_shift(const ReferencePackingRow& row, Index k) noexcept {
  return row.bits * (row.codes_per_word - 1 - static_cast<int>(k));
}

template <class Word>
void pack_reference_words(const ReferencePackingRow& row, std::span<const std::uint8_t> codes, Index words,
                          std::byte* out) noexcept {
  const auto count = static_cast<Index>(codes.size());
  for (Index w = 0; w < words; ++w) {
    std::uint32_t word = 0;
    for (Index k = 0, i = w; i < count; ++k, i += words) {
      word |= std::uint32_t{codes[static_cast<std::size_t>(i)]} << reference_shift(row, k);
    }
    const auto value = static_cast<Word>(word);
    std::memcpy(out + w * Index{sizeof(Word)}, &value, sizeof value);
  }
}

template <class Word>
void unpack_reference_words(const ReferencePackingRow& row, const std::byte* packed, Index words,
                            std::span<std::uint8_t> codes) noexcept {
  const auto count = static_cast<Index>(codes.size());
  const auto mask = (std::uint32_t{1} << row.bits) - 1U;
  for (Index k = 0; k * words < count; ++k) {
    const int shift = reference_shift(row, k);
    const Index n = count - k * words < words ? count - k * words : words;
    std::uint8_t* out = codes.data() + k * words;
    for (Index w = 0; w < n; ++w) {
      Word word;
      std::memcpy(&word, packed + w * Index{sizeof(Word)}, sizeof word);
      out[w] = static_cast<std::uint8_t>((word >> shift) & mask);
    }
  }
}

inline void require_room(std::string_view call, Index room, std::size_t codes) {
  if (room >= static_cast<Index>(codes)) return;
  SINQ_THROW(Errc::kBadShape, sinq::detail::text(call, ": words for ", room, " codes, but there are ", codes));
}

}  // namespace detail

/// As checkpoints spell it, e.g. "4bit_u8".
[[nodiscard]] constexpr std::string_view name(ReferencePacking packing) noexcept {
  return detail::row_of(packing).name;
}
/// Bits of a code.
[[nodiscard]] constexpr int packed_bits(ReferencePacking packing) noexcept { return detail::row_of(packing).bits; }
/// Element type of the packed tensor: U8, or I32, whose upper two bits stay clear.
[[nodiscard]] constexpr DType packed_dtype(ReferencePacking packing) noexcept { return detail::row_of(packing).word; }

/// The packing that checkpoints call `name`, if there is one.
[[nodiscard]] constexpr std::optional<ReferencePacking> reference_packing_from_name(std::string_view name) noexcept {
  for (const auto& row : detail::kReferencePackings) {
    if (row.name == name) return row.packing;
  }
  return std::nullopt;
}

/// The packing of codes of exactly that many bits, if there is one (not of 7).
[[nodiscard]] constexpr std::optional<ReferencePacking> reference_packing_of_bits(int bits) noexcept {
  for (const auto& row : detail::kReferencePackings) {
    if (row.bits == bits) return row.packing;
  }
  return std::nullopt;
}

/// Rows of the packed tensor of `rows` rows of codes. Nothing where the packing needs a multiple (1, 2 and 4 bits:
/// 8, 4 and 2 rows); 3, 5 and 6 bits pad with zeros.
[[nodiscard]] constexpr std::optional<Index> packed_rows(ReferencePacking packing, Index rows) noexcept {
  const auto& row = detail::row_of(packing);
  if (row.word == DType::kU8 && rows % row.codes_per_word != 0) return std::nullopt;
  return rows / row.codes_per_word + (rows % row.codes_per_word != 0 ? 1 : 0);
}

/// Packs codes [rows, cols] into words [packed_rows, cols]: word (p, c) holds the codes (k * packed_rows + p, c) for
/// k = 0, 1, ..., the first in its most significant field. `out` is as many bytes as the words take; rows beyond the
/// codes count as zeros. Codes must be below 2^bits. Throws Errc::kBadShape if there are more codes than words hold.
inline void pack_reference(ReferencePacking packing, std::span<const std::uint8_t> codes, std::span<std::byte> out) {
  const auto& row = detail::row_of(packing);
  const Index words = static_cast<Index>(out.size()) / dtype_bytes(row.word);
  detail::require_room("pack_reference", words * row.codes_per_word, codes.size());
  if (row.word == DType::kU8) {
    detail::pack_reference_words<std::uint8_t>(row, codes, words, out.data());
  } else {
    detail::pack_reference_words<std::uint32_t>(row, codes, words, out.data());
  }
}

/// The inverse of `pack_reference`; rows that were padded are left out by giving a shorter `codes`. Throws as it does.
inline void unpack_reference(ReferencePacking packing, std::span<const std::byte> packed,
                             std::span<std::uint8_t> codes) {
  const auto& row = detail::row_of(packing);
  const Index words = static_cast<Index>(packed.size()) / dtype_bytes(row.word);
  detail::require_room("unpack_reference", words * row.codes_per_word, codes.size());
  if (row.word == DType::kU8) {
    detail::unpack_reference_words<std::uint8_t>(row, packed.data(), words, codes);
  } else {
    detail::unpack_reference_words<std::uint32_t>(row, packed.data(), words, codes);
  }
}

}  // namespace sinq::inline SINQ_ABI::io
