// Compiled once per instruction set by vector_decoder.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Vector codes of one unit (128 columns) of a panel, in registers: quad q = 0..31 is columns 4q..4q+3.
template <>
struct VectorDecoder<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using B = S::B;

  /// The entries of a table that the codes of quad Q stand for. `unit` is the unit's first byte of the wanted part.
  template <int Bits, int Q, class Table>
  SINQ_INLINE B magnitudes(const std::uint8_t* unit, const Table& table) noexcept {
    return S::template lookup_quads<Bits>(table, code<Bits, Q>(unit + kVectorSignLines * kLineBytes));
  }
  /// Bytes, in the same order, with the signs of quad Q.
  template <int Q>
  SINQ_INLINE B with_signs(const std::uint8_t* unit, B bytes) noexcept {
    return S::template negate_where<Q % 8>(bytes, S::load_bytes(unit + Q / 8 * kLineBytes));
  }

 private:
  /// Lanes whose low bits are code Q; what is above them belongs to others.
  template <int Bits, int Q>
  SINQ_INLINE B code(const std::uint8_t* lines) noexcept {
    using Unit = VectorUnit<Bits>;
    if constexpr (Q < Unit::kWhole) {
      const B line = S::load_bytes(lines + Unit::line(Q) * kLineBytes);
      if constexpr (Unit::shift(Q) == 0) return line;
      return S::template shift_right<Unit::shift(Q)>(line);
    } else {
      return split_code<Bits, Q, 0>(lines, S::set1_byte(0));
    }
  }
  template <int Bits, int Q, int Line>
  SINQ_INLINE B split_code(const std::uint8_t* lines, B collected) noexcept {
    using Unit = VectorUnit<Bits>;
    if constexpr (Line == Bits) {
      return collected;
    } else {
      constexpr auto kMask = static_cast<int>(Unit::split_mask(Q, Line));
      if constexpr (kMask != 0) {
        const B line = S::load_bytes(lines + Line * kLineBytes);
        collected = S::merge(collected, S::template shift_right<Unit::split_shift(Q, Line)>(line), S::set1_byte(kMask));
      }
      return split_code<Bits, Q, Line + 1>(lines, collected);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
