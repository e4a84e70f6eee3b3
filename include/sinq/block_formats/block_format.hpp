#pragma once

#include <sinq/block_formats/block_encoder.hpp>
#include <sinq/block_formats/iq4_blocks.hpp>
#include <sinq/block_formats/k_blocks.hpp>
#include <sinq/block_formats/small_blocks.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sinq::inline SINQ_ABI {

/// Formats of ggml (llama.cpp's GGUF files): a row of weights is blocks of 32 or 256, each a few bytes with scales of
/// its own. Byte layouts: README.md beside this header.
enum class BlockFormat : std::uint8_t {
  kQ8_0,   ///< 8 bits, 8.5 with scales
  kQ4_0,   ///< 4 bits, 4.5
  kQ4_1,   ///< 4 bits with offset, 5
  kQ5_0,   ///< 5 bits, 5.5
  kQ5_1,   ///< 5 bits with offset, 6
  kQ2K,    ///< 2 bits with offset, 2.625
  kQ3K,    ///< 3 bits, 3.4375
  kQ4K,    ///< 4 bits with offset, 4.5
  kQ5K,    ///< 5 bits with offset, 5.5
  kQ6K,    ///< 6 bits, 6.5625
  kIq4Nl,  ///< 16 uneven levels, 4.5
  kIq4Xs,  ///< 16 uneven levels, 4.25
};

inline constexpr BlockFormat kBlockFormats[] = {
    BlockFormat::kQ8_0,  BlockFormat::kQ4_0, BlockFormat::kQ4_1, BlockFormat::kQ5_0, BlockFormat::kQ5_1,  //
    BlockFormat::kQ2K,   BlockFormat::kQ3K,  BlockFormat::kQ4K,  BlockFormat::kQ5K,  BlockFormat::kQ6K,   //
    BlockFormat::kIq4Nl, BlockFormat::kIq4Xs};

namespace detail {

/// Calls f with the type that knows `format`: the one list of them.
template <class F>
constexpr decltype(auto) with_block_format(BlockFormat format, F&& f) {
  switch (format) {
    case BlockFormat::kQ4_0:
      return f(Q4_0{});
    case BlockFormat::kQ4_1:
      return f(Q4_1{});
    case BlockFormat::kQ5_0:
      return f(Q5_0{});
    case BlockFormat::kQ5_1:
      return f(Q5_1{});
    case BlockFormat::kQ2K:
      return f(Q2K{});
    case BlockFormat::kQ3K:
      return f(Q3K{});
    case BlockFormat::kQ4K:
      return f(Q4K{});
    case BlockFormat::kQ5K:
      return f(Q5K{});
    case BlockFormat::kQ6K:
      return f(Q6K{});
    case BlockFormat::kIq4Nl:
      return f(Iq4Nl{});
    case BlockFormat::kIq4Xs:
      return f(Iq4Xs{});
    case BlockFormat::kQ8_0:
      break;
  }
  return f(Q8_0{});
}

[[nodiscard]] constexpr BlockTraits block_traits(BlockFormat format) noexcept {
  return with_block_format(format, [](auto type) { return decltype(type)::kTraits; });
}

}  // namespace detail

/// Weights per block.
[[nodiscard]] constexpr Index block_size(BlockFormat format) noexcept { return detail::block_traits(format).size(); }

/// Bytes per block.
[[nodiscard]] constexpr Index block_bytes(BlockFormat format) noexcept { return detail::block_traits(format).bytes; }

/// As in file names and on command lines: "q4_k".
[[nodiscard]] constexpr std::string_view name(BlockFormat format) noexcept { return detail::block_traits(format).name; }

/// The format called `name`, or nothing.
[[nodiscard]] constexpr std::optional<BlockFormat> block_format_from_name(std::string_view text) noexcept {
  for (const BlockFormat format : kBlockFormats) {
    if (name(format) == text) return format;
  }
  return std::nullopt;
}

/// Bytes of a row of `cols` weights. Throws Errc::kBadShape if they are not whole blocks.
[[nodiscard]] inline Index row_bytes(BlockFormat format, Index cols) {
  if (cols < 0 || cols % block_size(format) != 0) {
    SINQ_THROW(Errc::kBadShape, detail::text("cols ", cols, " is not a multiple of ", block_size(format),
                                             ", the block of ", name(format)));
  }
  return cols / block_size(format) * block_bytes(format);
}

namespace detail {

/// The largest magnitude of binary16, and so of anything that block formats hold.
inline constexpr float kBlockLimit = 65504.0F;

inline void require_block_row(std::span<const float> row, std::span<const float> importance) {
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (!is_finite(row[c]) || std::fabs(row[c]) > kBlockLimit) {
      SINQ_THROW(Errc::kBadData, text("weight ", row[c], " in column ", c, " is not a number within +-65504"));
    }
  }
  if (!importance.empty() && importance.size() != row.size()) {
    SINQ_THROW(Errc::kBadShape, text("importance has ", importance.size(), " entries for ", row.size(), " columns"));
  }
  for (std::size_t c = 0; c < importance.size(); ++c) {
    if (!is_not_negative(importance[c])) {
      SINQ_THROW(Errc::kBadData, text("importance ", importance[c], " of column ", c, " is not a number >= 0"));
    }
  }
}

template <class Format>
void encode_blocks(std::span<const float> row, std::span<const float> importance, Isa limit,
                   std::uint8_t* out) noexcept {
  constexpr Index kSize = Format::kTraits.size();
  const Index count = static_cast<Index>(row.size()) / kSize;
  BlockEncoder encoder(Format::kTraits, limit);
  BlockFields fields[BlockPanel::kLanes];
  for (Index b = 0; b < count; b += encoder.per_panel()) {
    const Index blocks = count - b < encoder.per_panel() ? count - b : encoder.per_panel();
    encoder.encode(row.data() + b * kSize, importance.empty() ? nullptr : importance.data() + b * kSize, blocks,
                   fields);
    for (Index i = 0; i < blocks; ++i) Format::pack(fields[i], out + (b + i) * Format::kTraits.bytes);
  }
}

}  // namespace detail

/// Encodes the weights `row` [cols] into `out` [row_bytes(format, cols)].
///
/// `importance` [cols] says what an error in each column weighs, in any unit; empty: all alike. Zero rows and columns
/// are fine, scales too small for binary16 give zeros. A block's bytes depend on its own weights and importances alone;
/// instruction sets with fused products give the same bytes, the portable one a few others.
///
/// Throws Errc::kBadShape for rows that are not whole blocks and buffers of another size; Errc::kBadData, with the
/// column, for weights that are not numbers within +-65504 and for importance that is negative or not finite.
inline void encode_row(BlockFormat format, std::span<const float> row, std::span<const float> importance,
                       std::span<std::byte> out, Isa limit = Isa::kBest) {
  const Index bytes = row_bytes(format, static_cast<Index>(row.size()));
  if (static_cast<Index>(out.size()) != bytes) {
    SINQ_THROW(Errc::kBadShape, detail::text("out has ", out.size(), " bytes for a row of ", bytes));
  }
  detail::require_block_row(row, importance);
  auto* target = reinterpret_cast<std::uint8_t*>(out.data());
  detail::with_block_format(format, [&](auto type) {
    using Type = decltype(type);
    detail::encode_blocks<Type>(row, importance, limit, target);
  });
}

/// Decodes whole blocks to `out` [bytes.size() / block_bytes * block_size]. Any bytes decode to something: scales that
/// are Inf or NaN give such weights. Throws Errc::kBadShape if `bytes` are not whole blocks.
inline void decode_row(BlockFormat format, std::span<const std::byte> bytes, float* out) {
  const Index size = block_bytes(format), count = static_cast<Index>(bytes.size());
  if (count % size != 0) {
    SINQ_THROW(Errc::kBadShape,
               detail::text(count, " bytes are not a multiple of ", size, ", the bytes of a block of ", name(format)));
  }
  const auto* source = reinterpret_cast<const std::uint8_t*>(bytes.data());
  detail::with_block_format(format, [&](auto type) {
    using Type = decltype(type);
    for (Index at = 0; at < count; at += size, out += Type::kTraits.size()) {
      detail::BlockFields fields;
      Type::unpack(source + at, fields);
      detail::decode_fields(Type::kTraits, fields, out);
    }
  });
}

}  // namespace sinq::inline SINQ_ABI
