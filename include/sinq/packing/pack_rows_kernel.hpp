// Compiled once per instruction set by pack_rows.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct PackRows<SINQ_ISA> {
  /// Eight codes of 1 to 7 bits, a byte each, to `bits` adjoining bytes: joins neighbours, pairs, then fours.
  SINQ_TARGET static std::uint64_t squeeze(std::uint64_t x, int bits) noexcept {
    const std::uint64_t one = low_bits(bits) * 0x0001000100010001ULL;
    const std::uint64_t two = low_bits(2 * bits) * 0x0000000100000001ULL;
    const std::uint64_t four = low_bits(4 * bits);
    x = (x & one) | ((x >> (8 - bits)) & (one << bits));
    x = (x & two) | ((x >> (16 - 2 * bits)) & (two << (2 * bits)));
    return (x & four) | ((x >> (32 - 4 * bits)) & (four << (4 * bits)));
  }
  template <int kBits>
  SINQ_TARGET static std::uint64_t spread(std::uint64_t x) noexcept {
    x = (x & kFour<kBits>) | ((x << (32 - 4 * kBits)) & (kFour<kBits> << 32));
    x = (x & kTwo<kBits>) | ((x << (16 - 2 * kBits)) & (kTwo<kBits> << 16));
    return (x & kOne<kBits>) | ((x << (8 - kBits)) & (kOne<kBits> << 8));
  }

  /// Asks for the bytes that `rows` packed rows will go to.
  SINQ_TARGET static void prefetch(const std::uint8_t* out, Index rows, Index stride) noexcept {
    for (Index r = 0; r < rows; ++r) Simd<SINQ_ISA>::prefetch_to_write(out + r * stride);
  }

  /// Packs a row of codes; reads whole eights (what lies behind `count` must be zero), writes exactly its bytes.
  template <int kBits, class V = Simd<SINQ_ISA>>
  SINQ_TARGET static void pack(const std::uint8_t* codes, Index count, std::uint8_t* out) noexcept {
    if constexpr (kBits == 8) {
      std::memcpy(out, codes, static_cast<std::size_t>(count));
    } else {
      Index i = 0;
      if constexpr (requires { V::template pack_first<kBits>(codes, 64, out); }) {
        for (; 8 * i < count - count % 8; i += kBlock) {
          const Index left = count / 8 - i;
          V::template pack_first<kBits>(codes + 8 * i, static_cast<int>(8 * (left < kBlock ? left : kBlock)),
                                        out + i * kBits);
          if (left < kBlock) {
            i += left;
            break;
          }
        }
      } else if constexpr (requires { V::template pack_codes<kBits>(codes, out); }) {
        constexpr Index kWords = V::kPackedCodes / 8;
        for (; 8 * (i + kWords) <= count; i += kWords) V::template pack_codes<kBits>(codes + 8 * i, out + i * kBits);
      }
      if (8 * i < count) pack_words(codes + 8 * i, count - 8 * i, kBits, out + i * kBits);
    }
  }

  /// Unpacks a row of codes; reads exactly its bytes, writes whole eights.
  template <int kBits, class V = Simd<SINQ_ISA>>
  SINQ_TARGET static void unpack(const std::uint8_t* packed, Index count, std::uint8_t* codes) noexcept {
    if constexpr (kBits == 8) {
      std::memcpy(codes, packed, static_cast<std::size_t>(count));
    } else {
      const Index eights = ceil_div(count, 8);
      const Index bytes = packed_bytes(count, kBits);
      std::uint64_t words[kBlock];
      Index i = 0;
      if constexpr (requires { V::template unpack64<kBits>(packed, codes); }) {
        for (; 8 * (i + kBlock) <= count; i += kBlock) V::template unpack64<kBits>(packed + i * kBits, codes + 8 * i);
      }
      for (; i < eights; i += kBlock) {
        const Index n = eights - i < kBlock ? eights - i : kBlock;
        const std::uint8_t* from = packed + i * kBits;
        for (Index k = 0; k < n; ++k, from += kBits) {
          const Index room = packed + bytes - from;
          if (room >= 8) {
            std::memcpy(&words[k], from, 8);
          } else if (bytes >= 8) {
            std::memcpy(&words[k], packed + bytes - 8, 8);  // the last eight bytes of the row, shifted down
            words[k] >>= 8 * (8 - room);
          } else {
            words[k] = 0;
            std::memcpy(&words[k], from, static_cast<std::size_t>(room));
          }
        }
        constexpr std::uint64_t kWord = (std::uint64_t{1} << (8 * kBits)) - 1;
        for (Index k = 0; k < n; ++k) words[k] = spread<kBits>(words[k] & kWord);
        std::memcpy(codes + 8 * i, words, static_cast<std::size_t>(8 * n));
      }
    }
  }

 private:
  /// What vectors leave of a row, or all of it: of any bits, so that it is compiled once.
  SINQ_TARGET static void pack_words(const std::uint8_t* codes, Index count, int bits, std::uint8_t* out) noexcept {
    const Index eights = ceil_div(count, 8);
    const std::uint8_t* const end = out + packed_bytes(count, bits);
    std::uint64_t words[kBlock];
    for (Index i = 0; i < eights; i += kBlock) {
      const Index n = eights - i < kBlock ? eights - i : kBlock;
      std::memcpy(words, codes + 8 * i, static_cast<std::size_t>(8 * n));
      for (Index k = 0; k < n; ++k) words[k] = squeeze(words[k], bits);
      // Words overlap their successors, which overwrite the zeros; the last ones of the row have no room for that.
      for (Index k = 0; k < n; ++k, out += bits) {
        const Index room = end - out;
        if (room >= 8) {
          std::memcpy(out, &words[k], 8);
        } else if (room > 0) {
          std::memcpy(out, &words[k], static_cast<std::size_t>(room < bits ? room : Index{bits}));
        }
      }
    }
  }

  [[nodiscard]] static constexpr std::uint64_t low_bits(int count) noexcept { return (std::uint64_t{1} << count) - 1; }

  /// The low one, two, four codes of each 16, 32, 64 bits.
  template <int kBits>
  static constexpr std::uint64_t kOne = ((std::uint64_t{1} << kBits) - 1) * 0x0001000100010001ULL;
  template <int kBits>
  static constexpr std::uint64_t kTwo = ((std::uint64_t{1} << (2 * kBits)) - 1) * 0x0000000100000001ULL;
  template <int kBits>
  static constexpr std::uint64_t kFour = (std::uint64_t{1} << (4 * kBits)) - 1;

  static constexpr Index kBlock = 8;  // one AVX-512 vector of words, the codes of 64 weights
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
