#pragma once

#include <sinq/half.hpp>
#include <sinq/isa.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct Simd;

/// Eight lanes without intrinsics: the definition of what every other specialisation does, and the path of last resort.
/// Two vectors of g++'s and clang's extension, which any machine's compiler turns into what it has; arrays with a loop
/// per operation take the compiler three times as long.
template <>
struct Simd<isa::Portable> {
  static constexpr int kWidth = 8;
  using Floats = float __attribute__((vector_size(16)));
  using Ints = std::int32_t __attribute__((vector_size(16)));
  struct F {
    Floats low, high;
  };
  struct I {
    Ints low, high;
  };
  /// All bits of a lane are set, or none.
  struct M {
    Ints low, high;
  };

  static F zero() noexcept { return set1(0.0F); }
  static F set1(float x) noexcept { return {Floats{x, x, x, x}, Floats{x, x, x, x}}; }
  static F load(const float* p) noexcept { return load_lanes<F>(p); }
  /// The first n lanes from memory, zeros behind them.
  static F load_first(const float* p, int n) noexcept {
    float lanes[kWidth] = {};
    if (n > 0)
      std::memcpy(lanes, p, static_cast<std::size_t>(n) * sizeof(float));  // p may be null with nothing to read
    return load(lanes);
  }
  static void store(float* p, F a) noexcept { std::memcpy(p, &a, sizeof a); }
  static void store_first(float* p, F a, int n) noexcept {
    if (n > 0) std::memcpy(p, &a, static_cast<std::size_t>(n) * sizeof(float));
  }

  static F add(F a, F b) noexcept { return {a.low + b.low, a.high + b.high}; }
  static F sub(F a, F b) noexcept { return {a.low - b.low, a.high - b.high}; }
  static F mul(F a, F b) noexcept { return {a.low * b.low, a.high * b.high}; }
  static F div(F a, F b) noexcept { return {a.low / b.low, a.high / b.high}; }
  static F min(F a, F b) noexcept { return {a.low < b.low ? a.low : b.low, a.high < b.high ? a.high : b.high}; }
  static F max(F a, F b) noexcept { return {a.low > b.low ? a.low : b.low, a.high > b.high ? a.high : b.high}; }
  /// a * b + c, fused where the machine does that.
  static F fma(F a, F b, F c) noexcept { return add(mul(a, b), c); }
  static F sqrt(F a) noexcept {
    return each_lane(a, [](float x) { return std::sqrt(x); });
  }
  static F abs(F a) noexcept {
    return as_floats({reinterpret_cast<Ints>(a.low) & 0x7fffffff, reinterpret_cast<Ints>(a.high) & 0x7fffffff});
  }
  /// To the nearest integer, half to even.
  static F round(F a) noexcept {
    return each_lane(a, [](float x) { return std::nearbyint(x); });
  }
  static F copysign(F magnitude, F sign) noexcept {
    const F m = abs(magnitude);
    constexpr std::int32_t kSign = std::numeric_limits<std::int32_t>::min();
    return as_floats({reinterpret_cast<Ints>(m.low) | (reinterpret_cast<Ints>(sign.low) & kSign),
                      reinterpret_cast<Ints>(m.high) | (reinterpret_cast<Ints>(sign.high) & kSign)});
  }

  static M less(F a, F b) noexcept { return {a.low < b.low, a.high < b.high}; }
  static bool any(M m) noexcept {
    const Ints r = m.low | m.high;
    return (r[0] | r[1] | r[2] | r[3]) != 0;
  }
  /// m ? a : b
  static F select(M m, F a, F b) noexcept { return {m.low ? a.low : b.low, m.high ? a.high : b.high}; }

  static float reduce_add(F a) noexcept {
    const Floats r = a.low + a.high;
    return (r[0] + r[2]) + (r[1] + r[3]);
  }
  static float reduce_min(F a) noexcept {
    const Floats r = a.low < a.high ? a.low : a.high;
    const float even = r[2] < r[0] ? r[2] : r[0], odd = r[3] < r[1] ? r[3] : r[1];
    return odd < even ? odd : even;
  }
  static float reduce_max(F a) noexcept {
    const Floats r = a.low > a.high ? a.low : a.high;
    const float even = r[2] > r[0] ? r[2] : r[0], odd = r[3] > r[1] ? r[3] : r[1];
    return odd > even ? odd : even;
  }
  /// Lane i of the result is the sum (minimum, maximum) over row i.
  static F rows_add(const F (&rows)[kWidth]) noexcept {
    return lanes_of([&](int i) { return reduce_add(rows[i]); });
  }
  static F rows_min(const F (&rows)[kWidth]) noexcept {
    return lanes_of([&](int i) { return reduce_min(rows[i]); });
  }
  static F rows_max(const F (&rows)[kWidth]) noexcept {
    return lanes_of([&](int i) { return reduce_max(rows[i]); });
  }

  /// Rounds (half to even), clamps to 0..top and stores one byte per lane.
  static void store_codes(std::uint8_t* p, F a, F top) noexcept {
    a = min(max(round(a), zero()), top);
    store_indices(p, {__builtin_convertvector(a.low, Ints), __builtin_convertvector(a.high, Ints)});
  }
  static F load_codes(const std::uint8_t* p) noexcept {
    const I i = load_indices(p);
    return {__builtin_convertvector(i.low, Floats), __builtin_convertvector(i.high, Floats)};
  }
  static I load_indices(const std::uint8_t* p) noexcept {
    return {Ints{p[0], p[1], p[2], p[3]}, Ints{p[4], p[5], p[6], p[7]}};
  }
  static void store_indices(std::uint8_t* p, I a) noexcept {
    std::int32_t lanes[kWidth];
    std::memcpy(lanes, &a, sizeof a);
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<std::uint8_t>(lanes[i]);
  }
  static I set1_index(std::int32_t x) noexcept { return {Ints{x, x, x, x}, Ints{x, x, x, x}}; }
  static I add_index(I a, I b) noexcept { return {a.low + b.low, a.high + b.high}; }
  /// The greater of `most` and the bits of |a|. Those of Inf and NaN are above all others, and no compiler flag
  /// declares that there are none.
  static I max_bits(I most, F a) noexcept {
    const Ints low = reinterpret_cast<Ints>(a.low) & 0x7fffffff, high = reinterpret_cast<Ints>(a.high) & 0x7fffffff;
    return {low > most.low ? low : most.low, high > most.high ? high : most.high};
  }
  static std::int32_t reduce_max_index(I a) noexcept {
    const Ints r = a.low > a.high ? a.low : a.high;
    const std::int32_t even = r[2] > r[0] ? r[2] : r[0], odd = r[3] > r[1] ? r[3] : r[1];
    return odd > even ? odd : even;
  }
  /// a where m is set, else zero.
  static I keep_index(M m, I a) noexcept { return {m.low & a.low, m.high & a.high}; }
  static F lookup(const float* table, I index) noexcept {
    std::int32_t lanes[kWidth];
    std::memcpy(lanes, &index, sizeof index);
    return lanes_of([&](int i) { return table[lanes[i]]; });
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
  static W bit_or_words(W a, W b) noexcept {
    return map_words(a, b, [](int x, int y) { return x | y; });
  }
  /// x where a < b, else y.
  static W select_less_words(W a, W b, W x, W y) noexcept {
    for (int i = 0; i < kWords; ++i) y.v[i] = a.v[i] < b.v[i] ? x.v[i] : y.v[i];
    return y;
  }
  /// Rounds to whole numbers (half to even) of less than 2^31 and stores the low 16 bits of each, kWidth of them.
  static void store_rounded_words(std::int16_t* p, F a) noexcept {
    float lanes[kWidth];
    store(lanes, round(a));
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<std::int16_t>(static_cast<std::int32_t>(lanes[i]));
  }

  static F load_f16(const std::uint16_t* p) noexcept {
    float lanes[kWidth];
    for (int i = 0; i < kWidth; ++i) lanes[i] = half_to_float(p[i]);
    return load(lanes);
  }
  static void store_f16(std::uint16_t* p, F a) noexcept {
    float lanes[kWidth];
    store(lanes, a);
    for (int i = 0; i < kWidth; ++i) p[i] = float_to_half(lanes[i]);
  }
  static F load_bf16(const std::uint16_t* p) noexcept {
    return as_floats({Ints{p[0], p[1], p[2], p[3]} << 16, Ints{p[4], p[5], p[6], p[7]} << 16});
  }
  static F load_f64(const double* p) noexcept {
    return lanes_of([&](int i) { return static_cast<float>(p[i]); });
  }
  /// Into the first cache, into the second, and into the first to be written.
  static void prefetch(const void*) noexcept {}
  static void prefetch_far(const void*) noexcept {}
  static void prefetch_to_write(const void*) noexcept {}
  /// total[i] += lane i.
  static void add_to_doubles(double* total, F a) noexcept {
    float lanes[kWidth];
    store(lanes, a);
    for (int i = 0; i < kWidth; ++i) total[i] += static_cast<double>(lanes[i]);
  }

  /// x = mantissa * 2^exponent with mantissa in [1, 2), for positive normal x.
  static F exponent(F a) noexcept {
    return {__builtin_convertvector((reinterpret_cast<Ints>(a.low) >> 23) - 127, Floats),
            __builtin_convertvector((reinterpret_cast<Ints>(a.high) >> 23) - 127, Floats)};
  }
  static F mantissa(F a) noexcept {
    return as_floats({(reinterpret_cast<Ints>(a.low) & 0x7fffff) | 0x3f800000,
                      (reinterpret_cast<Ints>(a.high) & 0x7fffff) | 0x3f800000});
  }
  /// 2^n for whole n in -126..127.
  static F power_of_two(F n) noexcept {
    return as_floats(
        {(__builtin_convertvector(n.low, Ints) + 127) << 23, (__builtin_convertvector(n.high, Ints) + 127) << 23});
  }

  /// Bytes: four in each lane.
  using Uints = std::uint32_t __attribute__((vector_size(16)));
  struct B {
    Uints low, high;
  };
  static constexpr int kBytes = 4 * kWidth;
  /// Whether a logical operation on three vectors (select_bits, xor_and, xor_masked) is one instruction. It overwrites
  /// its first operand: best one that is not needed any more.
  static constexpr bool kTernaryLogic = false;
  static B load_bytes(const void* p) noexcept { return load_lanes<B>(p); }
  static void store_bytes(void* p, B a) noexcept { std::memcpy(p, &a, sizeof a); }
  static B set1_byte(int x) noexcept { return splat(static_cast<std::uint32_t>(x) * 0x01010101U); }
  /// Modulo 256.
  static B add_bytes(B a, B b) noexcept {
    constexpr std::uint32_t kLow = 0x7f7f7f7fU;
    return {((a.low & kLow) + (b.low & kLow)) ^ ((a.low ^ b.low) & ~kLow),
            ((a.high & kLow) + (b.high & kLow)) ^ ((a.high ^ b.high) & ~kLow)};
  }
  template <class Op>
  static B map_bytes(B a, B b, Op op) noexcept {
    std::uint8_t x[kBytes], y[kBytes];
    store_bytes(x, a);
    store_bytes(y, b);
    for (int i = 0; i < kBytes; ++i) x[i] = static_cast<std::uint8_t>(op(x[i], y[i]));
    return load_bytes(x);
  }
  /// Unsigned, held at the ends of the range.
  static B add_clamped_bytes(B a, B b) noexcept {
    return map_bytes(a, b, [](int x, int y) { return x + y > 255 ? 255 : x + y; });
  }
  static B sub_clamped_bytes(B a, B b) noexcept {
    return map_bytes(a, b, [](int x, int y) { return x < y ? 0 : x - y; });
  }
  /// Unsigned.
  static B min_bytes(B a, B b) noexcept {
    return map_bytes(a, b, [](int x, int y) { return x < y ? x : y; });
  }
  /// x where a < b (unsigned), else y.
  static B select_less_bytes(B a, B b, B x, B y) noexcept {
    return select_bits(map_bytes(a, b, [](int v, int w) { return v < w ? 255 : 0; }), x, y);
  }
  /// The lanes of a, then those of b, held within 0..255.
  static B narrow_words(W a, W b) noexcept {
    std::uint8_t x[kBytes];
    for (int i = 0; i < kWords; ++i) {
      x[i] = static_cast<std::uint8_t>(a.v[i] < 0 ? 0 : a.v[i] > 255 ? 255 : a.v[i]);
      x[i + kWords] = static_cast<std::uint8_t>(b.v[i] < 0 ? 0 : b.v[i] > 255 ? 255 : b.v[i]);
    }
    return load_bytes(x);
  }
  static B bit_and(B a, B b) noexcept { return {a.low & b.low, a.high & b.high}; }
  static B bit_or(B a, B b) noexcept { return {a.low | b.low, a.high | b.high}; }
  static B bit_xor(B a, B b) noexcept { return {a.low ^ b.low, a.high ^ b.high}; }
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
    return {a.low >> N, a.high >> N};
  }
  template <int N>
  static B shift_left(B a) noexcept {
    return {a.low << N, a.high << N};
  }
  /// Sixteen bytes as a table.
  static B load_table16(const std::uint8_t* p) noexcept {
    B r{};
    std::memcpy(&r, p, 16);
    return r;
  }
  /// table[code] for codes 0..15.
  static B lookup_bytes16(B table, B codes) noexcept {
    std::uint8_t entry[16], byte[kBytes];
    std::memcpy(entry, &table, sizeof entry);
    store_bytes(byte, codes);
    for (std::uint8_t& b : byte) b = entry[b & 15U];
    return load_bytes(byte);
  }

 protected:
  // No function takes or returns a bare vector: 32-bit compilers warn that its ABI depends on their flags.
  /// A cast of a vector keeps its bits.
  static F as_floats(I a) noexcept { return {reinterpret_cast<Floats>(a.low), reinterpret_cast<Floats>(a.high)}; }

  template <class Lanes>
  static Lanes load_lanes(const void* p) noexcept {
    Lanes r;
    std::memcpy(&r, p, sizeof r);
    return r;
  }
  /// [f(0), f(1), ...]. Not by a loop over memory: loading a vector waits for the stores of its lanes.
  template <class Lane>
  static F lanes_of(Lane f) noexcept {
    return {Floats{f(0), f(1), f(2), f(3)}, Floats{f(4), f(5), f(6), f(7)}};
  }
  template <class Op>
  static F each_lane(F a, Op op) noexcept {
    float lanes[kWidth];
    store(lanes, a);
    for (float& lane : lanes) lane = op(lane);
    return load(lanes);
  }
  static B splat(std::uint32_t x) noexcept { return {Uints{x, x, x, x}, Uints{x, x, x, x}}; }
};

}  // namespace sinq::inline SINQ_ABI::detail
