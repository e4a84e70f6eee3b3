#pragma once

#include <sinq/half.hpp>

#include "generators.hpp"
#include "simd_probe.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

// What every instruction set's vocabulary keeps: lane by lane what scalar C++ does. TypeParam is a tag of isa.hpp.
namespace sinq::test {

template <class Tag>
class IsaSuite : public testing::Test {
 protected:
  using Probe = SimdProbe<Tag>;
  static constexpr int kWidth = Probe::kWidth;
  static constexpr std::size_t kLanes = static_cast<std::size_t>(kWidth);
  using Lanes = std::vector<float>;

  void SetUp() override {
    if (!supported(Tag::kIsa)) GTEST_SKIP() << name(Tag::kIsa) << " does not run on this machine";
  }

  static Lanes random_lanes(Random& random, double spread = 1.0) {
    Lanes out;
    for (int i = 0; i < kWidth; ++i) {
      out.push_back(static_cast<float>(random.gaussian() * std::exp2(spread * (random.uniform() - 0.5))));
    }
    return out;
  }
  static std::vector<std::uint8_t> random_codes(Random& random, unsigned limit) {
    std::vector<std::uint8_t> out;
    for (int i = 0; i < kWidth; ++i) out.push_back(static_cast<std::uint8_t>(random.bits() % limit));
    return out;
  }
  static bool same(float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
  }
  static constexpr int kRounds = 2000;
};

TYPED_TEST_SUITE_P(IsaSuite);

TYPED_TEST_P(IsaSuite, ArithmeticIsThatOfFloat) {
  Random random(1);
  for (int round = 0; round < this->kRounds; ++round) {
    const auto a = this->random_lanes(random, 40), b = this->random_lanes(random, 40);
    typename TestFixture::Lanes out(this->kLanes);
    const auto check = [&](Binary op, auto expected) {
      TestFixture::Probe::binary(op, a.data(), b.data(), out.data());
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_TRUE(this->same(out[i], expected(a[i], b[i]))) << static_cast<int>(op) << ": " << a[i] << ", " << b[i];
      }
    };
    check(Binary::kAdd, [](float x, float y) { return x + y; });
    check(Binary::kSub, [](float x, float y) { return x - y; });
    check(Binary::kMul, [](float x, float y) { return x * y; });
    check(Binary::kDiv, [](float x, float y) { return x / y; });
    check(Binary::kMin, [](float x, float y) { return std::min(x, y); });
    check(Binary::kMax, [](float x, float y) { return std::max(x, y); });
    check(Binary::kCopysign, [](float x, float y) { return std::copysign(x, y); });
  }
}

TYPED_TEST_P(IsaSuite, FusedMultiplyAddRoundsOnceOrTwice) {
  Random random(2);
  for (int round = 0; round < this->kRounds; ++round) {
    const auto a = this->random_lanes(random), b = this->random_lanes(random), c = this->random_lanes(random);
    typename TestFixture::Lanes out(this->kLanes);
    TestFixture::Probe::fma(a.data(), b.data(), c.data(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const volatile float product = a[i] * b[i];
      const float twice = product + c[i], once = std::fma(a[i], b[i], c[i]);
      ASSERT_TRUE(this->same(out[i], once) || this->same(out[i], twice)) << a[i] << " * " << b[i] << " + " << c[i];
    }
  }
}

TYPED_TEST_P(IsaSuite, UnaryOperationsAreThoseOfCmath) {
  Random random(3);
  for (int round = 0; round < this->kRounds; ++round) {
    auto a = this->random_lanes(random, 20);
    typename TestFixture::Lanes out(this->kLanes);
    const auto check = [&](Unary op, auto expected) {
      TestFixture::Probe::unary(op, a.data(), out.data());
      for (std::size_t i = 0; i < out.size(); ++i) {
        ASSERT_TRUE(this->same(out[i], expected(a[i]))) << static_cast<int>(op) << ": " << a[i];
      }
    };
    check(Unary::kAbs, [](float x) { return std::fabs(x); });
    check(Unary::kRound, [](float x) { return std::nearbyint(x); });
    for (float& x : a) x = std::fabs(x);
    check(Unary::kSqrt, [](float x) { return std::sqrt(x); });
    check(Unary::kExponent, [](float x) { return std::logb(x); });
    check(Unary::kMantissa, [](float x) { return x / std::exp2(std::logb(x)); });
    for (float& x : a) x = static_cast<float>(random.between(-126, 127));
    check(Unary::kPowerOfTwo, [](float x) { return std::exp2(x); });
    for (float& x : a) x = static_cast<float>(random.between(-1000, 1000)) + 0.5F;
    check(Unary::kRound, [](float x) { return std::nearbyint(x); });  // ties to even
  }
}

// simd_math.hpp promises one part in 10^7.
TYPED_TEST_P(IsaSuite, LogarithmAndExponential) {
  Random random(4);
  for (int round = 0; round < this->kRounds; ++round) {
    auto a = this->random_lanes(random);
    typename TestFixture::Lanes out(this->kLanes);
    for (float& x : a) x = static_cast<float>(std::exp2(random.uniform() * 250 - 125));
    TestFixture::Probe::unary(Unary::kLog2, a.data(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double expected = std::log2(static_cast<double>(a[i]));
      ASSERT_NEAR(out[i], expected, 1.5e-7 * std::max(1.0, std::abs(expected))) << a[i];
    }
    for (float& x : a) x = static_cast<float>(random.uniform() * 252 - 126);
    TestFixture::Probe::unary(Unary::kExp2, a.data(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double expected = std::exp2(static_cast<double>(a[i]));
      ASSERT_NEAR(out[i], expected, 3e-7 * expected) << a[i];
    }
  }
}

TYPED_TEST_P(IsaSuite, LogarithmOfPowersOfTwoIsExact) {
  for (int exponent = -126; exponent <= 127; ++exponent) {
    const typename TestFixture::Lanes a(this->kLanes, std::ldexp(1.0F, exponent));
    typename TestFixture::Lanes out(this->kLanes);
    TestFixture::Probe::unary(Unary::kLog2, a.data(), out.data());
    EXPECT_EQ(out[0], static_cast<float>(exponent));
    TestFixture::Probe::unary(Unary::kExp2, out.data(), out.data());
    EXPECT_EQ(out[0], a[0]);
  }
}

// Sums may be taken in any order: width roundings.
TYPED_TEST_P(IsaSuite, Reductions) {
  Random random(5);
  for (int round = 0; round < this->kRounds; ++round) {
    const auto a = this->random_lanes(random, 10);
    double sum = 0.0, magnitude = 0.0;
    for (const float x : a) {
      sum += static_cast<double>(x);
      magnitude += std::abs(static_cast<double>(x));
    }
    EXPECT_NEAR(TestFixture::Probe::reduce(Reduction::kAdd, a.data()), sum, 0x1p-22 * magnitude);
    EXPECT_EQ(TestFixture::Probe::reduce(Reduction::kMin, a.data()), *std::min_element(a.begin(), a.end()));
    EXPECT_EQ(TestFixture::Probe::reduce(Reduction::kMax, a.data()), *std::max_element(a.begin(), a.end()));
  }
}

TYPED_TEST_P(IsaSuite, RowReductionsKeepTheirPlaces) {
  Random random(6);
  for (int round = 0; round < 200; ++round) {
    typename TestFixture::Lanes values;
    for (int i = 0; i < this->kWidth; ++i) {
      for (const float x : this->random_lanes(random)) values.push_back(x);
    }
    typename TestFixture::Lanes sum(this->kLanes), least(this->kLanes), most(this->kLanes);
    TestFixture::Probe::reduce_rows(Reduction::kAdd, values.data(), sum.data());
    TestFixture::Probe::reduce_rows(Reduction::kMin, values.data(), least.data());
    TestFixture::Probe::reduce_rows(Reduction::kMax, values.data(), most.data());
    for (std::size_t i = 0; i < this->kLanes; ++i) {
      const float* row = values.data() + i * this->kLanes;
      double expected = 0.0, magnitude = 0.0;
      for (std::size_t k = 0; k < this->kLanes; ++k) {
        expected += static_cast<double>(row[k]);
        magnitude += std::abs(static_cast<double>(row[k]));
      }
      EXPECT_NEAR(sum[i], expected, 0x1p-22 * magnitude) << i;
      EXPECT_EQ(least[i], *std::min_element(row, row + this->kLanes)) << i;
      EXPECT_EQ(most[i], *std::max_element(row, row + this->kLanes)) << i;
    }
  }
}

TYPED_TEST_P(IsaSuite, SelectionFollowsTheComparison) {
  Random random(7);
  for (int round = 0; round < this->kRounds; ++round) {
    auto a = this->random_lanes(random), b = this->random_lanes(random);
    b[random.bits() % b.size()] = a[0];
    const auto c = this->random_lanes(random), d = this->random_lanes(random);
    typename TestFixture::Lanes out(this->kLanes);
    const bool any = TestFixture::Probe::select_less(a.data(), b.data(), c.data(), d.data(), out.data());
    bool expected_any = false;
    for (std::size_t i = 0; i < out.size(); ++i) {
      expected_any = expected_any || a[i] < b[i];
      ASSERT_EQ(out[i], a[i] < b[i] ? c[i] : d[i]);
    }
    EXPECT_EQ(any, expected_any);
    EXPECT_FALSE(TestFixture::Probe::select_less(a.data(), a.data(), c.data(), d.data(), out.data()));
  }
}

TYPED_TEST_P(IsaSuite, PartialLoadsAndStores) {
  Random random(8);
  for (int n = 0; n <= this->kWidth; ++n) {
    const auto a = this->random_lanes(random);
    // Exactly n floats: a sanitizer sees one more.
    const std::vector<float> exact(a.begin(), a.begin() + n);
    typename TestFixture::Lanes out(this->kLanes, -1.0F);
    TestFixture::Probe::load_first(exact.data(), n, out.data());
    for (int i = 0; i < this->kWidth; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(i)], i < n ? a[static_cast<std::size_t>(i)] : 0.0F);
    }
    std::fill(out.begin(), out.end(), -1.0F);
    TestFixture::Probe::store_first(a.data(), n, out.data());
    for (int i = 0; i < this->kWidth; ++i) {
      EXPECT_EQ(out[static_cast<std::size_t>(i)], i < n ? a[static_cast<std::size_t>(i)] : -1.0F);
    }
  }
}

TYPED_TEST_P(IsaSuite, CodesAreRoundedToEvenAndClamped) {
  Random random(9);
  for (const float top : {1.0F, 3.0F, 12.0F, 15.0F, 255.0F}) {
    for (int round = 0; round < 500; ++round) {
      auto a = this->random_lanes(random, 20);
      for (float& x : a) {
        if (random.bits() % 2 == 0) x = static_cast<float>(random.between(-2, 260)) + 0.5F;
      }
      a[0] = 1e30F;
      a[1] = -1e30F;
      std::vector<std::uint8_t> codes(this->kLanes + 1, 0xa5);
      TestFixture::Probe::store_codes(a.data(), top, codes.data());
      EXPECT_EQ(codes.back(), 0xa5) << "wrote more than one byte a lane";
      typename TestFixture::Lanes back(this->kLanes);
      TestFixture::Probe::load_codes(codes.data(), back.data());
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(codes[i], std::clamp(std::nearbyint(a[i]), 0.0F, top)) << a[i];
        ASSERT_EQ(back[i], static_cast<float>(codes[i]));
      }
    }
  }
}

TYPED_TEST_P(IsaSuite, IndicesAndTables) {
  Random random(10);
  std::vector<float> table;
  for (int i = 0; i < 256; ++i) table.push_back(static_cast<float>(random.gaussian()));
  for (int round = 0; round < this->kRounds; ++round) {
    const auto a = this->random_lanes(random), b = this->random_lanes(random);
    const auto codes = this->random_codes(random, 256), small = this->random_codes(random, 16);
    typename TestFixture::Lanes out(this->kLanes);
    TestFixture::Probe::lookup(table.data(), codes.data(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], table[codes[i]]);
    const std::vector<float> sixteen(table.begin(), table.begin() + 16);
    TestFixture::Probe::lookup16(sixteen.data(), small.data(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], table[small[i]]);
    std::vector<std::uint8_t> moved(this->kLanes);
    TestFixture::Probe::step_indices(small.data(), a.data(), b.data(), 128, moved.data());
    for (std::size_t i = 0; i < moved.size(); ++i) ASSERT_EQ(moved[i], small[i] + (a[i] < b[i] ? 128 : 0));
  }
}

TYPED_TEST_P(IsaSuite, HalvesExhaustively) {
  const auto lanes = static_cast<std::uint32_t>(this->kWidth);
  for (std::uint32_t first = 0; first < 65536; first += lanes) {
    std::vector<std::uint16_t> bits;
    for (std::uint32_t i = 0; i < lanes; ++i) bits.push_back(static_cast<std::uint16_t>(first + i));
    typename TestFixture::Lanes half(this->kLanes), brain(this->kLanes);
    TestFixture::Probe::load_f16(bits.data(), half.data());
    TestFixture::Probe::load_bf16(bits.data(), brain.data());
    std::vector<std::uint16_t> back(this->kLanes);
    TestFixture::Probe::store_f16(half.data(), back.data());
    for (std::size_t i = 0; i < bits.size(); ++i) {
      ASSERT_TRUE(this->same(half[i], half_to_float(bits[i]))) << bits[i];
      ASSERT_TRUE(this->same(brain[i], bfloat16_to_float(bits[i]))) << bits[i];
      if (!std::isnan(half[i])) {
        ASSERT_EQ(back[i], bits[i]);
      }
    }
  }
}

TYPED_TEST_P(IsaSuite, HalvesRoundAsFloatToHalf) {
  Random random(11);
  for (int round = 0; round < this->kRounds; ++round) {
    const auto a = this->random_lanes(random, 60);
    std::vector<std::uint16_t> out(this->kLanes);
    TestFixture::Probe::store_f16(a.data(), out.data());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(out[i], float_to_half(a[i])) << a[i];
  }
}

TYPED_TEST_P(IsaSuite, Doubles) {
  Random random(12);
  for (int round = 0; round < this->kRounds; ++round) {
    std::vector<double> a, total, expected;
    for (int i = 0; i < this->kWidth; ++i) a.push_back(random.gaussian() * std::exp2(random.between(-160, 160)));
    typename TestFixture::Lanes out(this->kLanes);
    TestFixture::Probe::load_f64(a.data(), out.data());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(this->same(out[i], static_cast<float>(a[i]))) << a[i];
    const auto b = this->random_lanes(random);
    total = a;
    TestFixture::Probe::add_to_doubles(b.data(), total.data());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(total[i], a[i] + static_cast<double>(b[i]));
  }
}

TYPED_TEST_P(IsaSuite, WordsAreNumbersOf16Bits) {
  Random random(13);
  constexpr auto kWords = static_cast<std::size_t>(TestFixture::Probe::kWords);
  for (int round = 0; round < this->kRounds; ++round) {
    std::vector<std::int16_t> a, b, out(kWords);
    for (std::size_t i = 0; i < kWords; ++i) {
      a.push_back(static_cast<std::int16_t>(random.bits()));
      b.push_back(i % 4 == 0 ? a.back() : static_cast<std::int16_t>(random.bits()));
    }
    const auto check = [&](Words op, auto expected) {
      TestFixture::Probe::words(op, a.data(), b.data(), out.data());
      for (std::size_t i = 0; i < kWords; ++i) {
        ASSERT_EQ(out[i], static_cast<std::int16_t>(expected(a[i], b[i])))
            << static_cast<int>(op) << ": " << a[i] << ", " << b[i];
      }
    };
    check(Words::kMin, [](int x, int y) { return std::min(x, y); });
    check(Words::kAdd, [](int x, int y) { return std::clamp(x + y, -32768, 32767); });
    check(Words::kSub, [](int x, int y) { return x - y; });
    check(Words::kAbs, [](int x, int) { return std::abs(x); });
    check(Words::kMulHigh, [](int x, int y) {
      return static_cast<std::uint32_t>(x & 0xffff) * static_cast<std::uint32_t>(y & 0xffff) >> 16;
    });
    check(Words::kShift, [](int x, int) { return static_cast<unsigned>(x) << 5; });
    check(Words::kOr, [](int x, int y) { return x | y; });
    check(Words::kSelect, [](int x, int y) { return x < y ? 0x0101 : y; });
    typename TestFixture::Lanes x = this->random_lanes(random);
    for (float& lane : x)
      lane = static_cast<float>(random.between(-40000, 70000)) + (random.bits() % 2 == 0 ? 0.5F : 0.2F);
    TestFixture::Probe::store_rounded_words(x.data(), out.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(out[i], static_cast<std::int16_t>(static_cast<int>(std::nearbyint(x[i])))) << x[i];
    }
  }
}

TYPED_TEST_P(IsaSuite, BytesAreUnsignedNumbers) {
  Random random(14);
  constexpr auto kBytes = static_cast<std::size_t>(TestFixture::Probe::kBytes);
  for (int round = 0; round < this->kRounds; ++round) {
    std::vector<std::uint8_t> a, b, out(kBytes);
    std::vector<std::int16_t> wide;
    for (std::size_t i = 0; i < kBytes; ++i) {
      a.push_back(static_cast<std::uint8_t>(random.bits()));
      b.push_back(i % 4 == 0 ? a.back() : static_cast<std::uint8_t>(random.bits()));
      wide.push_back(static_cast<std::int16_t>(random.between(-300, 600)));
    }
    const auto check = [&](Bytes op, auto expected) {
      TestFixture::Probe::bytes(op, a.data(), b.data(), out.data());
      for (std::size_t i = 0; i < kBytes; ++i) {
        ASSERT_EQ(int{out[i]}, expected(int{a[i]}, int{b[i]}))
            << static_cast<int>(op) << ": " << int{a[i]} << ", " << int{b[i]};
      }
    };
    check(Bytes::kAddClamped, [](int x, int y) { return std::min(x + y, 255); });
    check(Bytes::kSubClamped, [](int x, int y) { return std::max(x - y, 0); });
    check(Bytes::kMin, [](int x, int y) { return std::min(x, y); });
    check(Bytes::kSelect, [](int x, int y) { return x < y ? 17 : y; });
    TestFixture::Probe::narrow_words(wide.data(), out.data());
    for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(int{out[i]}, std::clamp(int{wide[i]}, 0, 255)) << i;
  }
}

REGISTER_TYPED_TEST_SUITE_P(IsaSuite, ArithmeticIsThatOfFloat, FusedMultiplyAddRoundsOnceOrTwice,
                            UnaryOperationsAreThoseOfCmath, LogarithmAndExponential, LogarithmOfPowersOfTwoIsExact,
                            Reductions, RowReductionsKeepTheirPlaces, SelectionFollowsTheComparison,
                            PartialLoadsAndStores, CodesAreRoundedToEvenAndClamped, IndicesAndTables,
                            HalvesExhaustively, HalvesRoundAsFloatToHalf, Doubles, WordsAreNumbersOf16Bits,
                            BytesAreUnsignedNumbers);

}  // namespace sinq::test
