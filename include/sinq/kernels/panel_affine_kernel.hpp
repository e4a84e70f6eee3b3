// Compiled once per instruction set by panel_aux.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Group parameters as kernels want them: a row's weights are a * t + b, t being codes or table entries.
template <>
struct PanelAffine<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  static constexpr Index kWidth = S::kWidth;

  /// Decodes 16 rows of `groups` consecutive groups to a[groups][16] and b[groups][16] (null: not wanted).
  SINQ_TARGET static void run(const PanelAux& aux, Index groups, LevelAffine level, float* a, float* b) noexcept {
    if (has_aux_blocks(aux.format)) return coded(aux, groups, level, a, b);
    for (Index g = 0; g < groups; ++g) {
      const std::byte* const scales = aux.scales + g * aux.value_stride;
      const bool has_offset = aux.offset != OffsetKind::kShared;
      const std::byte* const offsets = has_offset ? aux.offsets + g * aux.value_stride : nullptr;
      for (Index r = 0; r < kPanelRows; r += kWidth) {
        put(aux, level, load(aux.format, scales, r), has_offset ? load(aux.format, offsets, r) : S::zero(),
            g * kPanelRows + r, a, b);
      }
    }
  }

 private:
  /// Groups whose 8- or 6-bit values are decoded together: one by one, their unpacking and their parameters take longer
  /// than the weights of groups of 16.
  static constexpr Index kTogether = 16;
  struct Codes {
    alignas(64) std::uint8_t unpacked[kTogether * kPanelRows + S::kBytes];  // whole vectors are written
    alignas(64) float params[2 * kTogether + kWidth];                       ///< {minimum, step} of each group
    const std::uint8_t* values = nullptr;
    Index stride = 0;
  };

  SINQ_INLINE void put(const PanelAux& aux, LevelAffine level, F scale, F stored, Index at, float* a,
                       float* b) noexcept {
    S::store(a + at, S::mul(scale, S::set1(level.step)));
    if (b == nullptr) return;
    if (aux.offset == OffsetKind::kShared) {
      S::store(b + at, S::mul(scale, S::set1(level.base - aux.shared_zero_point)));
    } else {
      S::store(b + at, S::mul(scale, S::sub(S::set1(level.base), stored)));
    }
  }
  SINQ_INLINE F load(AuxFormat format, const std::byte* values, Index r) noexcept {
    if (format == AuxFormat::kF32) return S::load(reinterpret_cast<const float*>(values) + r);
    return S::load_f16(reinterpret_cast<const std::uint16_t*>(values) + r);
  }

  SINQ_TARGET static void coded(const PanelAux& aux, Index groups, LevelAffine level, float* a, float* b) noexcept {
    const bool has_offset = aux.offset != OffsetKind::kShared;
    Codes scales, offsets;
    for (Index first = 0; first < groups; first += kTogether) {
      const Index count = groups - first < kTogether ? groups - first : kTogether;
      prepare(aux, aux.scales, aux.scale_block, first, count, scales);
      if (has_offset) prepare(aux, aux.offsets, aux.offset_block, first, count, offsets);
      for (Index g = 0; g < count; ++g) {
        for (Index r = 0; r < kPanelRows; r += kWidth) {
          const F scale = SimdMath<S::SimdTag>::exp2(linear(scales, g, r));
          put(aux, level, scale, has_offset ? linear(offsets, g, r) : S::zero(), (first + g) * kPanelRows + r, a, b);
        }
      }
    }
  }
  /// minimum + step * code
  SINQ_INLINE F linear(const Codes& codes, Index g, Index r) noexcept {
    const F code = S::load_codes(codes.values + g * codes.stride + r);
    return S::add(S::set1(codes.params[2 * g]), S::mul(S::set1(codes.params[2 * g + 1]), code));
  }
  SINQ_INLINE void prepare(const PanelAux& aux, const std::byte* values, const std::byte* blocks, Index first,
                           Index count, Codes& codes) noexcept {
    AuxBlock stored[kTogether] = {};
    for (Index g = 0; g < count; ++g) {
      stored[g] = load_as<AuxBlock>(blocks + (first + g) / aux.block_share * aux.block_stride);
    }
    std::uint16_t halves[2 * kTogether + kWidth] = {};
    std::memcpy(halves, stored, sizeof stored);
    for (Index i = 0; i < 2 * count; i += kWidth) S::store(codes.params + i, S::load_f16(halves + i));

    const auto* from = reinterpret_cast<const std::uint8_t*>(values + first * aux.value_stride);
    if (aux.format == AuxFormat::kU8) {
      codes.values = from;
      codes.stride = aux.value_stride;
      return;
    }
    codes.values = codes.unpacked;
    codes.stride = kPanelRows;
    constexpr Index kGroupBytes = kPanelRows * 6 / 8;
    if (aux.value_stride == kGroupBytes) return unpack(from, count * kGroupBytes, codes.unpacked);  // one stream
    for (Index g = 0; g < count; ++g, from += aux.value_stride) {
      unpack(from, kGroupBytes, codes.unpacked + g * kPanelRows);
    }
  }
  SINQ_INLINE void unpack(const std::uint8_t* from, Index bytes, std::uint8_t* out) noexcept {
    const auto unpacker = S::load_unpacker(kUnpackPlans[6]);
    constexpr Index kStep = S::kBytes * 6 / 8;
    for (; bytes > 0; bytes -= kStep, from += kStep, out += S::kBytes) {
      S::store_bytes(out, S::template unpack<0>(unpacker, from, bytes));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
