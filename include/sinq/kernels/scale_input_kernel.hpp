// Compiled once per instruction set by scaled_input.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Multiplies activations by column scales, block by block, and stores them in the form that kernels read.
template <>
struct InputScaler<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr Index kWidth = S::kWidth;
  /// Room for a block and the lanes behind its last column.
  static constexpr Index kRoom = kMaxBlockCols + kWidth;

  SINQ_TARGET static void run(const Activations& x, const ColumnScales& scales, float matrix_scale,
                              const InputSink& sink) noexcept {
    for (Index block = 0; block < sink.blocks.count; ++block) {
      const Index first = sink.blocks.first_col(block);
      const Index count = sink.blocks.col_count(block);
      ColumnScales from = scales;
      if (from.values != nullptr) from.values += aux_bytes(from.format, first);
      alignas(64) float scaled[kRoom];
      for (Index b = 0; b < sink.batch; ++b) {
        multiply(x.at(b, first), x.type(), from, count, scaled);
        const Index value = block * sink.blocks.stride * sink.batch;
        const Index at = block * sink.batch + b;
        if (sink.digits == 0) {
          store_values(scaled, count, matrix_scale, sink.batch, sink.values + value + b, sink.sums + at);
        } else {
          quantize(scaled, count, matrix_scale, sink, value + 4 * b, at);
        }
      }
    }
  }

 private:
  SINQ_TARGET static F load(const std::byte* p, ScalarType type) noexcept {
    switch (type) {
      case ScalarType::kF16:
        return S::load_f16(reinterpret_cast<const std::uint16_t*>(p));
      case ScalarType::kBf16:
        return S::load_bf16(reinterpret_cast<const std::uint16_t*>(p));
      case ScalarType::kF64:
        return S::load_f64(reinterpret_cast<const double*>(p));
      default:
        return S::load(reinterpret_cast<const float*>(p));
    }
  }
  SINQ_TARGET static F load_scale(const std::byte* p, AuxFormat format) noexcept {
    return load(p, format == AuxFormat::kF32 ? ScalarType::kF32 : ScalarType::kF16);
  }

  /// scaled[i] = x[i] * scale[i]; zeros follow up to a whole vector.
  SINQ_TARGET static void multiply(const std::byte* x, ScalarType type, const ColumnScales& scales, Index count,
                                   float* scaled) noexcept {
    const Index x_step = scalar_bytes(type) * kWidth;
    const Index scale_step = aux_bytes(scales.format, kWidth);
    const std::byte* scale = scales.values;
    Index i = 0;
    for (; i + kWidth <= count; i += kWidth, x += x_step) {
      F v = load(x, type);
      if (scale != nullptr) {
        v = S::mul(v, load_scale(scale, scales.format));
        scale += scale_step;
      }
      S::store(scaled + i, v);
    }
    if (i == count) return;
    alignas(64) std::byte x_end[kWidth * 8] = {}, scale_end[kWidth * 4] = {};
    std::memcpy(x_end, x, static_cast<std::size_t>((count - i) * scalar_bytes(type)));
    F v = load(x_end, type);
    if (scale != nullptr) {
      std::memcpy(scale_end, scale, static_cast<std::size_t>(aux_bytes(scales.format, count - i)));
      v = S::mul(v, load_scale(scale_end, scales.format));
    }
    S::store(scaled + i, v);
  }

  SINQ_TARGET static void store_values(const float* scaled, Index count, float matrix_scale, Index batch, float* values,
                                       float* sum) noexcept {
    const F factor = S::set1(matrix_scale);
    F total = S::zero();
    for (Index i = 0; i < count; i += kWidth) {
      const F v = S::mul(S::load(scaled + i), factor);
      total = S::add(total, v);
      const Index n = count - i < kWidth ? count - i : kWidth;
      if (batch == 1) {
        S::store_first(values + i, v, static_cast<int>(n));
        continue;
      }
      alignas(64) float lanes[kWidth];
      S::store(lanes, v);
      for (Index k = 0; k < n; ++k) values[(i + k) * batch] = lanes[k];
    }
    *sum = S::reduce_add(total);
  }

  SINQ_TARGET static void quantize(const float* scaled, Index count, float matrix_scale, const InputSink& sink,
                                   Index value, Index at) noexcept {
    F largest = S::zero();
    auto bits = S::set1_index(0);
    for (Index i = 0; i < count; i += kWidth) {
      const F v = S::load(scaled + i);
      largest = S::max(largest, S::abs(v));
      bits = S::max_bits(bits, v);
    }
    const float top = S::reduce_max(largest);
    const float steps = sink.digits == 1 ? 127.0F : 127.0F * 128.0F;
    // Blocks of numbers so small that their inverse overflows count as zero.
    const bool is_zero = !(top > 0x1p-100F);
    const F inverse = S::set1(is_zero ? 0.0F : steps / top);
    const float scale = is_zero ? 0.0F : top / steps * matrix_scale;

    F total = S::zero();
    alignas(64) std::uint8_t high[kRoom], low[kRoom];
    const F to_high = S::set1(1.0F / 128.0F);
    const F from_high = S::set1(-128.0F);
    for (Index i = 0; i < count; i += kWidth) {
      const F q = S::round(S::mul(S::load(scaled + i), inverse));
      total = S::add(total, q);
      if (sink.digits == 1) {
        store_bytes(high + i, q);
      } else {
        const F h = S::round(S::mul(q, to_high));
        store_bytes(high + i, h);
        store_bytes(low + i, S::fma(h, from_high, q));  // exact: -64..64
      }
    }
    sink.scales[at] = scale;
    sink.sums[at] = S::reduce_add(total) * scale;  // the sum of at most 256 integers below 2^14 is exact
    constexpr std::int32_t kInfBits = 0x7f800000;
    if (S::reduce_max_index(bits) >= kInfBits) {
      // Every result that the block enters becomes NaN. As bits: compilers may take a NaN for something never stored.
      constexpr std::uint32_t kNaNBits = 0x7fc00000U;
      std::memcpy(sink.scales + at, &kNaNBits, sizeof kNaNBits);
      std::memcpy(sink.sums + at, &kNaNBits, sizeof kNaNBits);
    }
    scatter(high, count, sink.batch, sink.high + value);
    if (sink.digits == 2) scatter(low, count, sink.batch, sink.low + value);
  }

  /// Stores whole numbers -128..127 as two's complement bytes.
  SINQ_TARGET static void store_bytes(std::uint8_t* out, F v) noexcept {
    const F wrapped = S::select(S::less(v, S::zero()), S::add(v, S::set1(256.0F)), v);
    S::store_codes(out, wrapped, S::set1(255.0F));
  }

  /// Spreads the quads of one activation vector over the batch's [quads][batch][4].
  static void scatter(const std::uint8_t* bytes, Index count, Index batch, std::uint8_t* out) noexcept {
    if (batch == 1) {
      std::memcpy(out, bytes, static_cast<std::size_t>(count));
      return;
    }
    Index i = 0;
    for (; i + 4 <= count; i += 4) std::memcpy(out + i * batch, bytes + i, 4);
    if (i < count) std::memcpy(out + i * batch, bytes + i, static_cast<std::size_t>(count - i));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
