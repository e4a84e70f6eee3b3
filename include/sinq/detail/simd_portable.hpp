#pragma once

#include <sinq/half.hpp>
#include <sinq/isa.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct Simd;

/// Plain C++ on eight lanes: the definition of what every other specialisation does, and the path of last resort.
template <>
struct Simd<isa::Portable> {
  static constexpr int kWidth = 8;
  struct F {
    float v[kWidth];
  };
  struct I {
    std::int32_t v[kWidth];
  };
  struct M {
    bool v[kWidth];
  };

  template <class Op>
  static F map(F a, F b, Op op) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] = op(a.v[i], b.v[i]);
    return a;
  }

  static F zero() noexcept { return {}; }
  static F set1(float x) noexcept {
    F r;
    for (float& lane : r.v) lane = x;
    return r;
  }
  static F load(const float* p) noexcept {
    F r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  /// The first n lanes from memory, zeros behind them.
  static F load_first(const float* p, int n) noexcept {
    F r{};
    if (n > 0) std::memcpy(r.v, p, static_cast<std::size_t>(n) * sizeof(float));  // p may be null with nothing to read
    return r;
  }
  static void store(float* p, F a) noexcept { std::memcpy(p, a.v, sizeof a.v); }
  static void store_first(float* p, F a, int n) noexcept {
    if (n > 0) std::memcpy(p, a.v, static_cast<std::size_t>(n) * sizeof(float));
  }

  static F add(F a, F b) noexcept {
    return map(a, b, [](float x, float y) { return x + y; });
  }
  static F sub(F a, F b) noexcept {
    return map(a, b, [](float x, float y) { return x - y; });
  }
  static F mul(F a, F b) noexcept {
    return map(a, b, [](float x, float y) { return x * y; });
  }
  static F div(F a, F b) noexcept {
    return map(a, b, [](float x, float y) { return x / y; });
  }
  static F min(F a, F b) noexcept {
    return map(a, b, [](float x, float y) { return x < y ? x : y; });
  }
  static F max(F a, F b) noexcept {
    return map(a, b, [](float x, float y) { return x > y ? x : y; });
  }
  /// a * b + c, fused where the machine does that.
  static F fma(F a, F b, F c) noexcept { return add(mul(a, b), c); }
  static F sqrt(F a) noexcept {
    for (float& lane : a.v) lane = std::sqrt(lane);
    return a;
  }
  static F abs(F a) noexcept {
    for (float& lane : a.v) lane = std::fabs(lane);
    return a;
  }
  /// To the nearest integer, half to even.
  static F round(F a) noexcept {
    for (float& lane : a.v) lane = std::nearbyint(lane);
    return a;
  }
  static F copysign(F magnitude, F sign) noexcept {
    return map(magnitude, sign, [](float x, float y) { return std::copysign(x, y); });
  }

  static M less(F a, F b) noexcept {
    M m;
    for (int i = 0; i < kWidth; ++i) m.v[i] = a.v[i] < b.v[i];
    return m;
  }
  static bool any(M m) noexcept {
    bool r = false;
    for (const bool lane : m.v) r = r || lane;
    return r;
  }
  /// m ? a : b
  static F select(M m, F a, F b) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] = m.v[i] ? a.v[i] : b.v[i];
    return a;
  }

  static float reduce_add(F a) noexcept {
    return ((a.v[0] + a.v[4]) + (a.v[2] + a.v[6])) + ((a.v[1] + a.v[5]) + (a.v[3] + a.v[7]));
  }
  static float reduce_min(F a) noexcept {
    float r = a.v[0];
    for (const float lane : a.v) r = lane < r ? lane : r;
    return r;
  }
  static float reduce_max(F a) noexcept {
    float r = a.v[0];
    for (const float lane : a.v) r = lane > r ? lane : r;
    return r;
  }
  /// Lane i of the result is the sum (minimum, maximum) over row i.
  static F rows_add(const F (&rows)[kWidth]) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = reduce_add(rows[i]);
    return r;
  }
  static F rows_min(const F (&rows)[kWidth]) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = reduce_min(rows[i]);
    return r;
  }
  static F rows_max(const F (&rows)[kWidth]) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = reduce_max(rows[i]);
    return r;
  }

  /// Rounds (half to even), clamps to 0..top and stores one byte per lane.
  static void store_codes(std::uint8_t* p, F a, F top) noexcept {
    a = min(max(round(a), zero()), top);
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<std::uint8_t>(a.v[i]);
  }
  static F load_codes(const std::uint8_t* p) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = static_cast<float>(p[i]);
    return r;
  }
  static I load_indices(const std::uint8_t* p) noexcept {
    I r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = p[i];
    return r;
  }
  static void store_indices(std::uint8_t* p, I a) noexcept {
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<std::uint8_t>(a.v[i]);
  }
  static I set1_index(std::int32_t x) noexcept {
    I r;
    for (std::int32_t& lane : r.v) lane = x;
    return r;
  }
  static I add_index(I a, I b) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] += b.v[i];
    return a;
  }
  /// The greater of `most` and the bits of |a|. Those of Inf and NaN are above all others, and no compiler flag
  /// declares that there are none.
  static I max_bits(I most, F a) noexcept {
    for (int i = 0; i < kWidth; ++i) {
      const std::int32_t bits = std::bit_cast<std::int32_t>(a.v[i]) & 0x7fffffff;
      most.v[i] = bits > most.v[i] ? bits : most.v[i];
    }
    return most;
  }
  static std::int32_t reduce_max_index(I a) noexcept {
    std::int32_t r = a.v[0];
    for (const std::int32_t lane : a.v) r = lane > r ? lane : r;
    return r;
  }
  /// a where m is set, else zero.
  static I keep_index(M m, I a) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] = m.v[i] ? a.v[i] : 0;
    return a;
  }
  static F lookup(const float* table, I index) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = table[index.v[i]];
    return r;
  }
  /// As `lookup`, for a table of exactly 16 entries, which fits into registers.
  static F lookup16(const float* table, I index) noexcept { return lookup(table, index); }

  /// Numbers of 16 bits, twice as many lanes; what is not said to be unsigned is signed.
  static constexpr int kWords = 2 * kWidth;
  struct W {
    std::int16_t v[kWords];
  };
  template <class Op>
  static W map_words(W a, W b, Op op) noexcept {
    for (int i = 0; i < kWords; ++i) a.v[i] = static_cast<std::int16_t>(op(a.v[i], b.v[i]));
    return a;
  }
  static W load_words(const std::int16_t* p) noexcept {
    W r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static void store_words(std::int16_t* p, W a) noexcept { std::memcpy(p, a.v, sizeof a.v); }
  static W set1_word(std::int16_t x) noexcept {
    W r;
    for (std::int16_t& lane : r.v) lane = x;
    return r;
  }
  static W min_words(W a, W b) noexcept {
    return map_words(a, b, [](std::int16_t x, std::int16_t y) { return x < y ? x : y; });
  }
  /// Held at the ends of the range.
  static W add_words(W a, W b) noexcept {
    return map_words(a, b, [](int x, int y) { return x + y > 32767 ? 32767 : x + y < -32768 ? -32768 : x + y; });
  }
  /// Modulo 2^16.
  static W sub_words(W a, W b) noexcept {
    return map_words(a, b, [](int x, int y) { return x - y; });
  }
  static W abs_words(W a) noexcept {
    return map_words(a, a, [](int x, int) { return x < 0 ? -x : x; });
  }
  /// The upper half of the product of unsigned numbers.
  static W mul_high_words(W a, W b) noexcept {
    return map_words(a, b, [](std::int16_t x, std::int16_t y) {
      return std::uint32_t{static_cast<std::uint16_t>(x)} * static_cast<std::uint16_t>(y) >> 16;
    });
  }
  static W shift_words(W a, int bits) noexcept {
    for (std::int16_t& lane : a.v) lane = static_cast<std::int16_t>(static_cast<std::uint32_t>(lane) << bits);
    return a;
  }
  /// word, and where a < b the bit `mark` as well, which word does not have.
  static W mark_less(W word, W a, W b, W mark) noexcept {
    for (int i = 0; i < kWords; ++i) {
      word.v[i] = static_cast<std::int16_t>(word.v[i] | (a.v[i] < b.v[i] ? mark.v[i] : 0));
    }
    return word;
  }
  /// Rounds to whole numbers (half to even) of less than 2^31 and stores the low 16 bits of each, kWidth of them.
  static void store_rounded_words(std::int16_t* p, F a) noexcept {
    a = round(a);
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<std::int16_t>(static_cast<std::int32_t>(a.v[i]));
  }

  static F load_f16(const std::uint16_t* p) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = half_to_float(p[i]);
    return r;
  }
  static void store_f16(std::uint16_t* p, F a) noexcept {
    for (int i = 0; i < kWidth; ++i) p[i] = float_to_half(a.v[i]);
  }
  static F load_bf16(const std::uint16_t* p) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = bfloat16_to_float(p[i]);
    return r;
  }
  static F load_f64(const double* p) noexcept {
    F r;
    for (int i = 0; i < kWidth; ++i) r.v[i] = static_cast<float>(p[i]);
    return r;
  }
  /// Into the first cache, into the second, and into the first to be written.
  static void prefetch(const void*) noexcept {}
  static void prefetch_far(const void*) noexcept {}
  static void prefetch_to_write(const void*) noexcept {}
  /// total[i] += lane i.
  static void add_to_doubles(double* total, F a) noexcept {
    for (int i = 0; i < kWidth; ++i) total[i] += static_cast<double>(a.v[i]);
  }

  /// x = mantissa * 2^exponent with mantissa in [1, 2), for positive normal x.
  static F exponent(F a) noexcept {
    for (float& lane : a.v) lane = static_cast<float>((std::bit_cast<std::int32_t>(lane) >> 23) - 127);
    return a;
  }
  static F mantissa(F a) noexcept {
    for (float& lane : a.v) lane = std::bit_cast<float>((std::bit_cast<std::uint32_t>(lane) & 0x7fffffU) | 0x3f800000U);
    return a;
  }
  /// 2^n for whole n in -126..127.
  static F power_of_two(F n) noexcept {
    for (float& lane : n.v) lane = std::bit_cast<float>((static_cast<std::int32_t>(lane) + 127) << 23);
    return n;
  }

  /// Bytes: four in each lane.
  struct B {
    std::uint32_t v[kWidth];
  };
  static constexpr int kBytes = 4 * kWidth;
  /// Whether a logical operation on three vectors (select_bits, xor_and, xor_masked) is one instruction. It overwrites
  /// its first operand: best one that is not needed any more.
  static constexpr bool kTernaryLogic = false;
  static B load_bytes(const void* p) noexcept {
    B r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static void store_bytes(void* p, B a) noexcept { std::memcpy(p, a.v, sizeof a.v); }
  static B set1_byte(int x) noexcept {
    B r;
    for (std::uint32_t& lane : r.v) lane = static_cast<std::uint32_t>(x) * 0x01010101U;
    return r;
  }
  /// Modulo 256.
  static B add_bytes(B a, B b) noexcept {
    for (int i = 0; i < kWidth; ++i) {
      constexpr std::uint32_t kLow = 0x7f7f7f7fU;
      a.v[i] = ((a.v[i] & kLow) + (b.v[i] & kLow)) ^ ((a.v[i] ^ b.v[i]) & ~kLow);
    }
    return a;
  }
  static B bit_and(B a, B b) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] &= b.v[i];
    return a;
  }
  static B bit_or(B a, B b) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] |= b.v[i];
    return a;
  }
  static B bit_xor(B a, B b) noexcept {
    for (int i = 0; i < kWidth; ++i) a.v[i] ^= b.v[i];
    return a;
  }
  /// Bits of a where `mask` is set, else of b.
  static B select_bits(B mask, B a, B b) noexcept { return bit_xor(b, bit_and(bit_xor(a, b), mask)); }
  /// (a ^ b) & mask
  static B xor_and(B a, B b, B mask) noexcept { return bit_and(bit_xor(a, b), mask); }
  /// a ^ (b & mask)
  static B xor_masked(B a, B b, B mask) noexcept { return bit_xor(a, bit_and(b, mask)); }
  /// `a`, of which the compiler forgets how it was made: g++ 12 turns (a & m) ^ (b & m) into (a ^ b) & m even where
  /// both masked operands are needed anyway.
  static B keep(B a) noexcept { return a; }
  /// Each 32-bit lane by N bits: bits move from one byte into the next, the caller masks them.
  template <int N>
  static B shift_right(B a) noexcept {
    for (std::uint32_t& lane : a.v) lane >>= N;
    return a;
  }
  template <int N>
  static B shift_left(B a) noexcept {
    for (std::uint32_t& lane : a.v) lane <<= N;
    return a;
  }
  /// Sixteen bytes as a table.
  static B load_table16(const std::uint8_t* p) noexcept {
    B r{};
    std::memcpy(r.v, p, 16);
    return r;
  }
  /// table[code] for codes 0..15.
  static B lookup_bytes16(B table, B codes) noexcept {
    std::uint8_t entry[16], byte[kBytes];
    std::memcpy(entry, table.v, sizeof entry);
    std::memcpy(byte, codes.v, sizeof byte);
    for (std::uint8_t& b : byte) b = entry[b & 15U];
    return load_bytes(byte);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
