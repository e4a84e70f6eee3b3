// Compiled once per instruction set by panel_aux.hpp.
#ifdef SINQ_ISA

namespace sinq::detail {

/// Group parameters as kernels want them: a row's weights are a * t + b, t being codes or table entries.
template <>
struct PanelAffine<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  static constexpr Index kWidth = S::kWidth;

  /// Decodes 16 rows of `groups` consecutive groups to a[groups][16] and b[groups][16].
  SINQ_TARGET static void run(const PanelAux& aux, Index groups, LevelAffine level, float* a, float* b) noexcept {
    const F step = S::set1(level.step);
    const F base = S::set1(level.base);
    for (Index g = 0; g < groups; ++g, a += kPanelRows, b += kPanelRows) {
      const Index value = g * aux.value_stride;
      const Index block = g * aux.block_stride;
      for (Index r = 0; r < kPanelRows; r += kWidth) {
        const F scale = load(aux.format, AuxCurve::kLogarithmic, aux.scales + value, aux.scale_block + block, r);
        S::store(a + r, S::mul(scale, step));
        if (aux.offset == OffsetKind::kShared) {
          S::store(b + r, S::mul(scale, S::set1(level.base - aux.shared_zero_point)));
          continue;
        }
        const F stored = load(aux.format, AuxCurve::kLinear, aux.offsets + value, aux.offset_block + block, r);
        const bool is_zero_point = aux.offset == OffsetKind::kZeroPoint;
        S::store(b + r, is_zero_point ? S::mul(scale, S::sub(base, stored)) : S::fma(scale, base, stored));
      }
    }
  }

 private:
  SINQ_TARGET static F load(AuxFormat format, AuxCurve curve, const std::byte* values, const std::byte* block,
                            Index r) noexcept {
    switch (format) {
      case AuxFormat::kF32:
        return S::load(reinterpret_cast<const float*>(values) + r);
      case AuxFormat::kF16:
        return S::load_f16(reinterpret_cast<const std::uint16_t*>(values) + r);
      default: {
        const auto params = load_as<AuxBlock>(block);
        const F step = S::set1(half_to_float(params.step));
        const auto* codes = reinterpret_cast<const std::uint8_t*>(values) + aux_bytes(format, r);
        std::uint8_t spread[kPanelRows];
        if (format == AuxFormat::kU6) {
          sinq::unpack<6>(codes, kWidth, spread);
          codes = spread;
        }
        const F code = S::load_codes(codes);
        const F linear = S::add(S::set1(half_to_float(params.minimum)), S::mul(step, code));
        return curve == AuxCurve::kLinear ? linear : SimdMath<S::SimdTag>::exp2(linear);
      }
    }
  }
};

}  // namespace sinq::detail

#endif
