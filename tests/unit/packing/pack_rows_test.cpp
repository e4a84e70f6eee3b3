// The fast packing against the simple one: the same bytes, on every instruction set.
#include <sinq/packing/pack_rows.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using sinq::Index;
using sinq::packed_bytes;
using sinq::with_bits;

constexpr std::uint8_t kRowsCanary = 0xa5;

TEST(PackRows, MatchesPackForEveryWidthAndLength) {
  sinq::test::Random random(1);
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (Index count = 1; count <= 257; ++count) {
        // Whole eights are read: zeros behind the last code.
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(sinq::round_up(count, 8)), 0);
        for (Index i = 0; i < count; ++i) {
          codes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(random.bits() & ((1U << bits) - 1U));
        }
        const auto bytes = static_cast<std::size_t>(packed_bytes(count, bits));
        std::vector<std::uint8_t> expected(bytes), actual(bytes + 16, kRowsCanary);
        with_bits(bits, [&](auto b) {
          sinq::pack<b>(codes.data(), count, expected.data());
          sinq::dispatch(isa, [&](auto tag) {
            sinq::detail::PackRows<decltype(tag)>::template pack<decltype(b)::value>(codes.data(), count,
                                                                                     actual.data());
          });
        });
        for (std::size_t i = bytes; i < actual.size(); ++i) ASSERT_EQ(actual[i], kRowsCanary) << "wrote beyond the end";
        actual.resize(bytes);
        ASSERT_EQ(actual, expected) << bits << " bits, " << count << " codes on " << name(isa);

        // Exactly the bytes it may read, at the end of an allocation: a sanitizer sees one more.
        const std::vector<std::uint8_t> packed(expected);
        std::vector<std::uint8_t> back(codes.size() + 64, kRowsCanary);
        with_bits(bits, [&](auto b) {
          sinq::dispatch(isa, [&](auto tag) {
            sinq::detail::PackRows<decltype(tag)>::template unpack<decltype(b)::value>(packed.data(), count,
                                                                                       back.data());
          });
        });
        for (Index i = 0; i < count; ++i) {
          ASSERT_EQ(back[static_cast<std::size_t>(i)], codes[static_cast<std::size_t>(i)])
              << bits << " bits, " << count << " codes on " << name(isa);
        }
        for (std::size_t i = codes.size(); i < back.size(); ++i)
          ASSERT_EQ(back[i], kRowsCanary) << "wrote beyond the eights";
      }
    }
  }
}

}  // namespace
