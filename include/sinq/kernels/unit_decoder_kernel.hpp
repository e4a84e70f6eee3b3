// Compiled once per instruction set by unit_decoder.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Codes of one unit (32 columns) of a panel, in registers.
template <>
struct UnitDecoder<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using B = S::B;
  /// Vectors that hold the 64 bytes of a line.
  static constexpr int kParts = static_cast<int>(kLineBytes) / S::kBytes;

  /// Bytes between a line and the ones that are fetched while it is used: one far ahead into the second cache, one that
  /// has arrived there into the first. Either alone, or none, loses 5 to 50% from memory.
  static constexpr Index kFarAhead = 12288;
  static constexpr Index kAhead = 2048;
  SINQ_INLINE void fetch(const std::uint8_t* line) noexcept {
    // Addresses, not pointers into the matrix: they may lie behind its end.
    const auto address = reinterpret_cast<std::uintptr_t>(line);
    S::prefetch_far(reinterpret_cast<const void*>(address + kFarAhead));
    S::prefetch(reinterpret_cast<const void*>(address + kAhead));
  }

  /// Codes that stay where they are in their byte count 2^(Bits * slot): as many sums as slots, one shift per block
  /// instead of one per vector. Possible where the dot product takes such bytes.
  template <int Bits>
  static constexpr int slots() noexcept {
    constexpr int kPerLine = Bits == 3 ? 2 : 8 % Bits == 0 ? 8 / Bits : 1;
    constexpr int kLargest = ((1 << Bits) - 1) << (Bits * (kPerLine - 1));
    return kLargest <= S::kMaxCode ? kPerLine : 1;
  }
  /// The largest byte that `decode` with that many slots gives.
  template <int Bits, int Slots>
  static constexpr int largest() noexcept {
    return ((1 << Bits) - 1) << (Bits * (Slots - 1));
  }

  /// As the number of slots: bytes with several codes stay whole; quad q starts at bit `raw_shift(q)` of each.
  static constexpr int kRaw = 0;
  template <int Bits>
  static constexpr int raw_shift(int q) noexcept {
    return Bits == 3 ? 3 * (q % 2) : 8 % Bits == 0 ? Bits * (q % (8 / Bits)) : 0;
  }

  /// quads[q] becomes the codes of columns 4q..4q+3, times 2^(Bits * (q % Slots)). `lines` is the unit's first byte of
  /// the wanted part.
  template <int Bits, int Slots>
  SINQ_INLINE void decode(const std::uint8_t* lines, B (&quads)[8]) noexcept {
    const B mask = S::set1_byte((1 << Bits) - 1);
    if constexpr (Bits == 8) {
      SINQ_UNROLL_VECTORS
      for (int q = 0; q < 8; ++q) quads[q] = S::load_bytes(lines + q * kLineBytes);
    } else if constexpr (8 % Bits == 0) {
      constexpr int kPerLine = 8 / Bits;
      SINQ_UNROLL_VECTORS
      for (int l = 0; l < Bits; ++l) {
        split<Bits, Slots, kPerLine>(S::load_bytes(lines + l * kLineBytes), quads + l * kPerLine);
      }
    } else if constexpr (Bits == 5) {
      SINQ_UNROLL_VECTORS
      for (int l = 0; l < 4; ++l) split<4, 1, 2>(S::load_bytes(lines + l * kLineBytes), quads + 2 * l);
      const B top = S::load_bytes(lines + 4 * kLineBytes);
      merge_top(top, quads);
    } else if constexpr (Bits == 3) {
      B pairs[4];
      spare<6, 3>(lines, pairs);
      SINQ_UNROLL_VECTORS
      for (int k = 0; k < 3; ++k) pairs[k] = S::load_bytes(lines + k * kLineBytes);
      SINQ_UNROLL_VECTORS
      for (int k = 0; k < 4; ++k) split<3, Slots, 2>(pairs[k], quads + 2 * k);
    } else {
      constexpr int kLines = Bits == 6 ? 3 : 7;
      SINQ_UNROLL_VECTORS
      for (int h = 0; h < Bits / kLines; ++h) {
        B* const quad = quads + h * (kLines + 1);
        spare<Bits, kLines>(lines + h * kLines * kLineBytes, quad);
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kLines; ++k) {
          quad[k] = S::bit_and(S::load_bytes(lines + (h * kLines + k) * kLineBytes), mask);
        }
      }
    }
  }

  /// Codes of a unit as one byte each, in quads [8][16 rows][4] at `bytes`: what formats without a kernel of their own
  /// are multiplied from. A function per width, looked up once. (A template, so that only callers compile them.)
  using ToBytes = void (*)(const std::uint8_t* lines, std::uint8_t* bytes);
  template <int = 0>
  static ToBytes to_bytes(int bits) noexcept {
    constexpr ToBytes kOfBits[] = {&unit_to_bytes<1>, &unit_to_bytes<2>, &unit_to_bytes<3>, &unit_to_bytes<4>,
                                   &unit_to_bytes<5>, &unit_to_bytes<6>, &unit_to_bytes<7>, &unit_to_bytes<8>};
    return kOfBits[bits - 1];
  }

 private:
  template <int Bits>
  SINQ_TARGET static void unit_to_bytes(const std::uint8_t* lines, std::uint8_t* bytes) noexcept {
    SINQ_UNROLL_VECTORS
    for (int l = 0; l < Bits; ++l) fetch(lines + l * kLineBytes);
    for (int part = 0; part < kLineBytes; part += S::kBytes) {
      B quads[8];
      decode<Bits, 1>(lines + part, quads);
      SINQ_UNROLL_VECTORS
      for (int q = 0; q < 8; ++q) S::store_bytes(bytes + q * kLineBytes + part, quads[q]);
    }
  }

  /// The Count codes of every byte of a line.
  template <int Bits, int Slots, int Count>
  SINQ_INLINE void split(B line, B* quads) noexcept {
    split_from<Bits, Slots, Count, 0>(line, quads);
  }
  template <int Bits, int Slots, int Count, int At>
  SINQ_INLINE void split_from(B line, B* quads) noexcept {
    constexpr int kMask = (1 << Bits) - 1;
    if constexpr (Slots == kRaw) {
      quads[At] = line;
    } else if constexpr (Slots == Count) {
      quads[At] = S::bit_and(line, S::set1_byte(kMask << (Bits * At)));
    } else {
      quads[At] = S::bit_and(At == 0 ? line : S::template shift_right<Bits * At>(line), S::set1_byte(kMask));
    }
    if constexpr (At + 1 < Count) split_from<Bits, Slots, Count, At + 1>(line, quads);
  }

  /// Collects the top 8 - Bits bits of Lines lines into quad[Lines]. (With Bits = 6 and three lines that is also where
  /// the last pair of 3-bit codes is.)
  template <int Bits, int Lines>
  SINQ_INLINE void spare(const std::uint8_t* lines, B* quad) noexcept {
    constexpr int kSpare = 8 - Bits;
    constexpr int kMask = (1 << kSpare) - 1;
    const B first = S::load_bytes(lines);
    quad[Lines] = S::bit_and(S::template shift_right<Bits>(first), S::set1_byte(kMask));
    spare_from<Bits, Lines, 1>(lines, quad);
  }
  template <int Bits, int Lines, int At>
  SINQ_INLINE void spare_from(const std::uint8_t* lines, B* quad) noexcept {
    constexpr int kSpare = 8 - Bits;
    constexpr int kMask = (1 << kSpare) - 1;
    const B line = S::load_bytes(lines + At * kLineBytes);
    quad[Lines] =
        S::merge(quad[Lines], S::template shift_right<Bits - kSpare * At>(line), S::set1_byte(kMask << (kSpare * At)));
    if constexpr (At + 1 < Lines) spare_from<Bits, Lines, At + 1>(lines, quad);
  }

  /// The fifth bits: bit q of a byte belongs to quad q. They arrive at bit 4; what shifts carry across bytes is masked.
  SINQ_INLINE void merge_top(B top, B (&quads)[8]) noexcept {
    const B mask = S::set1_byte(0x10);
    quads[0] = S::merge(quads[0], S::template shift_left<4>(top), mask);
    quads[1] = S::merge(quads[1], S::template shift_left<3>(top), mask);
    quads[2] = S::merge(quads[2], S::template shift_left<2>(top), mask);
    quads[3] = S::merge(quads[3], S::template shift_left<1>(top), mask);
    quads[4] = S::merge(quads[4], top, mask);
    quads[5] = S::merge(quads[5], S::template shift_right<1>(top), mask);
    quads[6] = S::merge(quads[6], S::template shift_right<2>(top), mask);
    quads[7] = S::merge(quads[7], S::template shift_right<3>(top), mask);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
