// Compiled once per instruction set by dequantize.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct Dequantize<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// One row: out = ((level - zero_point) * scale) * col_scale * matrix_scale, in that order. `codes` begins with
  /// column cols.begin and has room for whole vectors behind every group; col_scale and out begin with column 0.
  SINQ_TARGET static void row(const std::uint8_t* codes, ColRange cols, const DequantizeRow& from,
                              const float* col_scale, float* out) noexcept {
    if (from.levels == nullptr && from.level_zero != 0.0F) {
      row_of<Lookup::kShift>(codes, cols, from, col_scale, out);
    } else if (from.levels == nullptr) {
      row_of<Lookup::kNone>(codes, cols, from, col_scale, out);
    } else if (from.bits <= 4) {
      row_of<Lookup::kRegisters>(codes, cols, from, col_scale, out);
    } else {
      row_of<Lookup::kMemory>(codes, cols, from, col_scale, out);
    }
  }

 private:
  enum class Lookup { kNone, kShift, kRegisters, kMemory };

  template <Lookup kLookup>
  SINQ_TARGET static void row_of(const std::uint8_t* codes, ColRange cols, const DequantizeRow& from,
                                 const float* col_scale, float* out) noexcept {
    const F matrix = S::set1(from.matrix_scale);
    for (Index c = cols.begin, g = c / from.group_size; c < cols.end; ++g) {
      const Index end = (g + 1) * from.group_size < cols.end ? (g + 1) * from.group_size : cols.end;
      const F scale = S::set1(from.scale[g * from.stride]), zero_point = S::set1(from.zero_point[g * from.stride]);
      for (; c + S::kWidth <= end; c += S::kWidth) {
        const F w = weight<kLookup>(codes + (c - cols.begin), from, scale, zero_point);
        S::store(out + c, S::mul(S::mul(w, S::load(col_scale + c)), matrix));
      }
      if (c == end) continue;
      const int n = static_cast<int>(end - c);
      const F w = weight<kLookup>(codes + (c - cols.begin), from, scale, zero_point);
      S::store_first(out + c, S::mul(S::mul(w, S::load_first(col_scale + c, n)), matrix), n);
      c = end;
    }
  }

  template <Lookup kLookup>
  SINQ_TARGET static F weight(const std::uint8_t* codes, const DequantizeRow& from, F scale, F zero_point) noexcept {
    const F level = kLookup == Lookup::kNone        ? S::load_codes(codes)
                    : kLookup == Lookup::kShift     ? S::add(S::load_codes(codes), S::set1(from.level_zero))
                    : kLookup == Lookup::kRegisters ? S::lookup16(from.levels, S::load_indices(codes))
                                                    : S::lookup(from.levels, S::load_indices(codes));
    return S::mul(S::sub(level, zero_point), scale);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
