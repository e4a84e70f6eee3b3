#pragma once

#include <sinq/kernels/dot_isa.hpp>
#include <sinq/kernels/row_unpack.hpp>
#include <sinq/types.hpp>

#include <bit>
#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Without intrinsics: the definition of what every other specialisation does, and the path of last resort.
template <>
struct Dot<isa::Portable> : Simd<isa::Portable> {
  using SimdTag = isa::Portable;
  /// The largest unsigned byte that `dot` multiplies in its short form.
  static constexpr int kMaxCode = 255;
  /// Columns of a batch that a tile of 16 or 32 rows is multiplied with at once.
  static constexpr int kBatchTile = 4;
  /// Panels of 16 rows in that tile.
  static constexpr int kTilePanels = 1;

  /// The first n bytes from memory (no byte behind them is read), zeros behind them.
  static B load_first_bytes(const void* p, Index n) noexcept {
    B r{};
    std::memcpy(&r, p, static_cast<std::size_t>(n < kBytes ? n : kBytes));
    return r;
  }
  /// Four bytes in every lane.
  static B broadcast4(const void* p) noexcept {
    std::uint32_t x;
    std::memcpy(&x, p, sizeof x);
    return splat(x);
  }
  /// t | (a & mask)
  static B merge(B t, B a, B mask) noexcept { return bit_or(t, bit_and(a, mask)); }

  /// sum[i] + the four products of lane i: unsigned codes up to MaxCode, signed x in -127..127.
  template <int MaxCode>
  static I dot(I sum, B codes, B x) noexcept {
    sum = add_products(sum, byte_of_lane<0>(codes), signed_byte_of_lane<0>(x));
    sum = add_products(sum, byte_of_lane<1>(codes), signed_byte_of_lane<1>(x));
    sum = add_products(sum, byte_of_lane<2>(codes), signed_byte_of_lane<2>(x));
    return add_products(sum, byte_of_lane<3>(codes), signed_byte_of_lane<3>(x));
  }
  /// As `dot`, of signed levels -127..127 that are stored with kSignedZero added: what suits the multiplication best.
  static constexpr int kSignedZero = 0;
  /// Whether levels are best multiplied while they are decoded, at the price of a loop for each rate: 5 to 13% faster
  /// where products, too, wait for the units that decode (AVX2); with VNNI no faster than by way of the cache.
  static constexpr bool kDotsWhileDecoding = false;
  static I dot_signed(I sum, B levels, B x) noexcept {
    sum = add_products(sum, signed_byte_of_lane<0>(levels), signed_byte_of_lane<0>(x));
    sum = add_products(sum, signed_byte_of_lane<1>(levels), signed_byte_of_lane<1>(x));
    sum = add_products(sum, signed_byte_of_lane<2>(levels), signed_byte_of_lane<2>(x));
    return add_products(sum, signed_byte_of_lane<3>(levels), signed_byte_of_lane<3>(x));
  }
  /// a * 2^N
  template <int N>
  static I scale_up(I a) noexcept {
    return {a.low * (std::int32_t{1} << N), a.high * (std::int32_t{1} << N)};
  }
  /// a / 2^N for multiples of 2^N.
  template <int N>
  static I scale_down(I a) noexcept {
    return {a.low >> N, a.high >> N};
  }
  static F to_float(I a) noexcept {
    return {__builtin_convertvector(a.low, Floats), __builtin_convertvector(a.high, Floats)};
  }
  /// Byte J of each lane.
  template <int J>
  static I byte_of_lane(B a) noexcept {
    constexpr int kShift = 8 * J;
    return {reinterpret_cast<Ints>((a.low >> kShift) & 0xffU), reinterpret_cast<Ints>((a.high >> kShift) & 0xffU)};
  }

  /// As byte_of_lane, of signed bytes.
  template <int J>
  static I signed_byte_of_lane(B a) noexcept {
    constexpr int kShift = 24 - 8 * J;
    return {reinterpret_cast<Ints>(a.low << kShift) >> 24, reinterpret_cast<Ints>(a.high << kShift) >> 24};
  }
  static I load_sums(const std::int32_t* p) noexcept { return load_lanes<I>(p); }
  static void store_sums(std::int32_t* p, I a) noexcept { std::memcpy(p, &a, sizeof a); }

  /// Whether looking up a float is faster than converting an integer.
  static constexpr bool kFloatTableIsFast = false;
  static const float* load_float_table(const float* p) noexcept { return p; }
  /// table[lane & 15] of a table of 16 floats.
  static F lookup_float(const float* table, B lanes) noexcept {
    std::uint32_t word[kWidth];
    store_bytes(word, lanes);
    return lanes_of([&](int i) { return table[word[i] & 15U]; });
  }

  /// table[code - first] where that is in 0..15, else 0.
  static B lookup_bytes_from(B table, B codes, int first) noexcept {
    std::uint8_t entry[16], byte[kBytes];
    std::memcpy(entry, &table, sizeof entry);
    store_bytes(byte, codes);
    for (std::uint8_t& b : byte) {
      const int at = b - first;
      b = at >= 0 && at < 16 ? entry[at] : std::uint8_t{0};
    }
    return load_bytes(byte);
  }

  /// What `unpack` needs beside the stream.
  struct Unpacker {
    int bits;
  };
  static Unpacker load_unpacker(const UnpackPlan& plan) noexcept { return {plan.bits}; }
  /// kBytes codes from a row's bit stream, one per byte. Bits is 4, 8 or 0 (as the unpacker says). `left` bytes may be
  /// read; codes behind them are zero.
  template <int Bits>
  static B unpack(const Unpacker& u, const std::uint8_t* p, Index left) noexcept {
    std::uint8_t codes[kBytes];
    const std::uint64_t mask = (std::uint64_t{1} << u.bits) - 1;
    for (int i = 0; i < kBytes; i += 8, p += u.bits, left -= u.bits) {
      std::uint64_t word = 0;
      for (int b = 0; b < u.bits && b < left; ++b) word |= static_cast<std::uint64_t>(p[b]) << (8 * b);
      for (int k = 0; k < 8; ++k) codes[i + k] = static_cast<std::uint8_t>((word >> (k * u.bits)) & mask);
    }
    return load_bytes(codes);
  }

  /// Turns kWidth rows of kWidth dwords, `stride` bytes apart, into kWidth parts of lines, 64 bytes apart.
  static void transpose_quads(const std::uint8_t* rows, Index stride, std::uint8_t* lines) noexcept {
    for (int r = 0; r < kWidth; ++r) {
      for (int q = 0; q < kWidth; ++q) std::memcpy(lines + q * 64 + r * 4, rows + r * stride + q * 4, 4);
    }
  }

 private:
  static I add_products(I sum, I a, I b) noexcept { return {sum.low + a.low * b.low, sum.high + a.high * b.high}; }
};

}  // namespace sinq::inline SINQ_ABI::detail
