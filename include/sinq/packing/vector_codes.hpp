#pragma once

#include <sinq/packing/row_streams.hpp>

#include <algorithm>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct PackRows;

/// Codes of 1..16 bits from any place of a row's bit stream: by whole words where the row has them.
class CodeReader {
 public:
  CodeReader(const std::uint8_t* row, Index row_bytes, int bits) noexcept
      : row_(row), row_bytes_(row_bytes), bits_(bits), mask_((1U << bits) - 1U) {}

  /// Code number `i` of the row.
  [[nodiscard]] std::uint32_t operator()(Index i) const noexcept {
    const Index bit = i * bits_;
    if (bit / 8 + Index{sizeof(std::uint32_t)} > row_bytes_) return code_at(row_, i, bits_);
    std::uint32_t word;
    std::memcpy(&word, row_ + bit / 8, sizeof word);
    return word >> (bit % 8) & mask_;
  }

 private:
  const std::uint8_t* row_;
  Index row_bytes_;
  int bits_;
  std::uint32_t mask_;
};

/// Codes of 1 to 16 bits, one for 2, 4 or 8 neighbours of a row: an entry of a table of vectors. Signs of the weights
/// may be stored apart; levels are then magnitudes.
class VectorCodes : public RowStreams {
 public:
  static constexpr LevelType kLevelType = LevelType::kI8;

  explicit constexpr VectorCodes(const Layout& layout) noexcept
      : RowStreams(layout), level_count_(layout.level_count) {}

  [[nodiscard]] static constexpr bool holds(const Layout& layout) noexcept { return layout.vector_dim != 1; }

  [[nodiscard]] static std::optional<LayoutFlaw> find_flaw(const Layout& layout) {
    const int d = layout.vector_dim;
    if (d != 2 && d != 4 && d != 8) return LayoutFlaw{Errc::kBadConfig, "vector_dim ", d, " is not 1, 2, 4 or 8"};
    if (layout.bits < 1 || layout.bits > 16) {
      return LayoutFlaw{Errc::kBadConfig, "bits ", layout.bits, " is not in 1..16"};
    }
    if (layout.level_count == 0) return LayoutFlaw{Errc::kBadConfig, "vector_dim ", d, " needs a table of levels"};
    if (layout.level_count != Index{1} << layout.bits) {
      return LayoutFlaw{Errc::kBadConfig, "level_count ", layout.level_count, " is not 2^bits, bits = ", layout.bits};
    }
    return std::nullopt;
  }

  [[nodiscard]] constexpr RegionShape level_shape() const noexcept { return {level_count_, dim_}; }

  /// Levels are negated: a byte that has no negative is none, nor is a magnitude below 0.
  [[nodiscard]] std::optional<std::string> find_level_flaw(const std::byte* levels) const {
    const int least = has_signs_ ? 0 : -127;
    const auto* const entries = reinterpret_cast<const std::int8_t*>(levels);
    const auto* const end = entries + level_shape().size();
    const auto* const bad = std::find_if(entries, end, [least](std::int8_t level) { return level < least; });
    if (bad == end) return std::nullopt;
    return text("component ", bad - entries, " is ", static_cast<int>(*bad), ", which is less than ", least);
  }

  /// The codes of `cols` columns of a row.
  void pack_row(const std::uint16_t* codes, Index cols, std::uint8_t* out) const noexcept {
    pack_wide(codes, code_count(cols), bits_, out);
  }

  template <class Tag>
  void unpack(const CodeRegions& from, RowRange rows, ColRange cols, std::uint8_t* out, Index stride) const noexcept {
    for (Index r = rows.begin; r < rows.end; ++r, out += stride) {
      const std::uint8_t* const row = from.codes + r * row_bytes();
      const auto* const table = reinterpret_cast<const std::int8_t*>(from.levels);
      const Index first = cols.begin / dim_, count = code_count(cols.size());
      if (bits_ <= 8 && first * bits_ % 8 == 0) {
        copy_narrow<Tag>(table, row + first * bits_ / 8, count, out);
      } else {
        const CodeReader code(row, row_bytes(), bits_);
        copy_entries(
            table, count, [&](Index i) { return code(first + i); }, out);
      }
      bias_levels(has_signs_ ? from.signs + sign_offset(r, cols.begin) : nullptr, cols.size(), out);
    }
  }

 private:
  /// Codes of up to 8 bits, from a whole byte on, by way of a piece of them at a time.
  template <class Tag>
  void copy_narrow(const std::int8_t* table, const std::uint8_t* packed, Index count,
                   std::uint8_t* out) const noexcept {
    constexpr Index kPiece = 512;
    std::uint8_t codes[kPiece];
    with_bits(bits_, [&](auto bits) {
      for (Index i = 0; i < count; i += kPiece) {
        const Index n = std::min(count - i, kPiece);
        PackRows<Tag>::template unpack<decltype(bits)::value>(packed + i * bits_ / 8, n, codes);
        copy_entries(
            table, n, [&](Index k) { return codes[k]; }, out + i * dim_);
      }
    });
  }

  /// Entries code(0) .. code(count - 1) of the table, one behind the other.
  template <class CodeAt>
  void copy_entries(const std::int8_t* table, Index count, CodeAt code, std::uint8_t* out) const noexcept {
    const auto copy = [&]<int kDim>() {
      for (Index i = 0; i < count; ++i) std::memcpy(out + i * kDim, table + static_cast<Index>(code(i)) * kDim, kDim);
    };
    if (dim_ == 2) return copy.template operator()<2>();
    if (dim_ == 4) return copy.template operator()<4>();
    copy.template operator()<8>();
  }

  /// Adds kLevelZero to `count` levels, and negates those whose bit of `signs` is set (null: none is): eight bytes at a
  /// time.
  static void bias_levels(const std::uint8_t* signs, Index count, std::uint8_t* levels) noexcept {
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    for (Index c = 0; c < count; c += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, levels + c, 8);
      eight ^= kOnes * 0x80U;
      if (signs != nullptr) {
        // Of byte k, bit k; then 1 where it is set.
        const std::uint64_t bits = (kOnes * signs[c / 8]) & 0x8040201008040201U;
        const std::uint64_t ones = ((bits + kOnes * 0x7fU) >> 7) & kOnes;
        // Levels are at least -127, so that no byte is 0 and none carries.
        eight = (eight ^ (ones * 0xffU)) + ones;
      }
      std::memcpy(levels + c, &eight, 8);
    }
  }

  Index level_count_;
};

static_assert(CodeLayout<VectorCodes>);

}  // namespace sinq::inline SINQ_ABI::detail
