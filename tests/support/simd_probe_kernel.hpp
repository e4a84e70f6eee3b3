// Compiled once per instruction set by simd_probe.hpp.
#ifdef SINQ_ISA

namespace sinq::test {

template <>
struct SimdProbe<SINQ_ISA> {
  using S = sinq::detail::Simd<SINQ_ISA>;
  using Math = sinq::detail::SimdMath<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;
  static constexpr int kWords = S::kWords, kBytes = S::kBytes;

  SINQ_TARGET static void binary(Binary op, const float* a, const float* b, float* out) {
    const F x = S::load(a), y = S::load(b);
    switch (op) {
      case Binary::kAdd:
        return S::store(out, S::add(x, y));
      case Binary::kSub:
        return S::store(out, S::sub(x, y));
      case Binary::kMul:
        return S::store(out, S::mul(x, y));
      case Binary::kDiv:
        return S::store(out, S::div(x, y));
      case Binary::kMin:
        return S::store(out, S::min(x, y));
      case Binary::kMax:
        return S::store(out, S::max(x, y));
      case Binary::kCopysign:
        return S::store(out, S::copysign(x, y));
    }
  }

  SINQ_TARGET static void unary(Unary op, const float* a, float* out) {
    const F x = S::load(a);
    switch (op) {
      case Unary::kSqrt:
        return S::store(out, S::sqrt(x));
      case Unary::kAbs:
        return S::store(out, S::abs(x));
      case Unary::kRound:
        return S::store(out, S::round(x));
      case Unary::kExponent:
        return S::store(out, S::exponent(x));
      case Unary::kMantissa:
        return S::store(out, S::mantissa(x));
      case Unary::kPowerOfTwo:
        return S::store(out, S::power_of_two(x));
      case Unary::kLog2:
        return S::store(out, Math::log2(x));
      case Unary::kExp2:
        return S::store(out, Math::exp2(x));
    }
  }

  SINQ_TARGET static void fma(const float* a, const float* b, const float* c, float* out) {
    S::store(out, S::fma(S::load(a), S::load(b), S::load(c)));
  }

  SINQ_TARGET static float reduce(Reduction op, const float* a) {
    const F x = S::load(a);
    return op == Reduction::kAdd ? S::reduce_add(x) : op == Reduction::kMin ? S::reduce_min(x) : S::reduce_max(x);
  }

  /// Lane i of out reduces row i of kWidth x kWidth values.
  SINQ_TARGET static void reduce_rows(Reduction op, const float* values, float* out) {
    F rows[kWidth];
    for (int i = 0; i < kWidth; ++i) rows[i] = S::load(values + i * kWidth);
    S::store(out, op == Reduction::kAdd   ? S::rows_add(rows)
                  : op == Reduction::kMin ? S::rows_min(rows)
                                          : S::rows_max(rows));
  }

  /// less(a, b) ? c : d, and whether any lane was less.
  SINQ_TARGET static bool select_less(const float* a, const float* b, const float* c, const float* d, float* out) {
    const auto mask = S::less(S::load(a), S::load(b));
    S::store(out, S::select(mask, S::load(c), S::load(d)));
    return S::any(mask);
  }

  SINQ_TARGET static void load_first(const float* a, int n, float* out) { S::store(out, S::load_first(a, n)); }
  SINQ_TARGET static void store_first(const float* a, int n, float* out) { S::store_first(out, S::load(a), n); }

  SINQ_TARGET static void store_codes(const float* a, float top, std::uint8_t* out) {
    S::store_codes(out, S::load(a), S::set1(top));
  }
  SINQ_TARGET static void load_codes(const std::uint8_t* codes, float* out) { S::store(out, S::load_codes(codes)); }

  /// codes + (less(a, b) ? step : 0), as indices.
  SINQ_TARGET static void step_indices(const std::uint8_t* codes, const float* a, const float* b, int step,
                                       std::uint8_t* out) {
    const auto moved = S::keep_index(S::less(S::load(a), S::load(b)), S::set1_index(step));
    S::store_indices(out, S::add_index(S::load_indices(codes), moved));
  }
  SINQ_TARGET static void lookup(const float* table, const std::uint8_t* codes, float* out) {
    S::store(out, S::lookup(table, S::load_indices(codes)));
  }
  SINQ_TARGET static void lookup16(const float* table, const std::uint8_t* codes, float* out) {
    S::store(out, S::lookup16(table, S::load_indices(codes)));
  }

  SINQ_TARGET static void load_f16(const std::uint16_t* a, float* out) { S::store(out, S::load_f16(a)); }
  SINQ_TARGET static void store_f16(const float* a, std::uint16_t* out) { S::store_f16(out, S::load(a)); }
  SINQ_TARGET static void load_bf16(const std::uint16_t* a, float* out) { S::store(out, S::load_bf16(a)); }
  SINQ_TARGET static void load_f64(const double* a, float* out) { S::store(out, S::load_f64(a)); }
  SINQ_TARGET static void words(Words op, const std::int16_t* a, const std::int16_t* b, std::int16_t* out) {
    const auto x = S::load_words(a), y = S::load_words(b);
    switch (op) {
      case Words::kMin:
        return S::store_words(out, S::min_words(x, y));
      case Words::kAdd:
        return S::store_words(out, S::add_words(x, y));
      case Words::kSub:
        return S::store_words(out, S::sub_words(x, y));
      case Words::kAbs:
        return S::store_words(out, S::abs_words(x));
      case Words::kMulHigh:
        return S::store_words(out, S::mul_high_words(x, y));
      case Words::kShift:
        return S::store_words(out, S::shift_words(x, 5));
      case Words::kOr:
        return S::store_words(out, S::bit_or_words(x, y));
      case Words::kSelect:
        return S::store_words(out, S::select_less_words(x, y, S::set1_word(0x0101), y));
    }
  }
  SINQ_TARGET static void bytes(Bytes op, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
    const auto x = S::load_bytes(a), y = S::load_bytes(b);
    switch (op) {
      case Bytes::kAddClamped:
        return S::store_bytes(out, S::add_clamped_bytes(x, y));
      case Bytes::kSubClamped:
        return S::store_bytes(out, S::sub_clamped_bytes(x, y));
      case Bytes::kMin:
        return S::store_bytes(out, S::min_bytes(x, y));
      case Bytes::kSelect:
        return S::store_bytes(out, S::select_less_bytes(x, y, S::set1_byte(17), y));
    }
  }
  SINQ_TARGET static void narrow_words(const std::int16_t* a, std::uint8_t* out) {
    S::store_bytes(out, S::narrow_words(S::load_words(a), S::load_words(a + kWords)));
  }
  SINQ_TARGET static void store_rounded_words(const float* a, std::int16_t* out) {
    S::store_rounded_words(out, S::load(a));
  }
  SINQ_TARGET static void add_to_doubles(const float* a, double* total) { S::add_to_doubles(total, S::load(a)); }
};

}  // namespace sinq::test

#endif
