#include <sinq/io/tensor_info.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

namespace {

using sinq::Index;
using sinq::ScalarType;
using sinq::io::DType;

TEST(TensorInfo, EveryTypeIsFoundUnderItsOwnName) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(DType::kF64); ++i) {
    const auto type = static_cast<DType>(i);
    EXPECT_EQ(sinq::io::dtype_from_name(name(type)), type) << i;
    EXPECT_TRUE(names.insert(name(type)).second) << name(type);
  }
  EXPECT_EQ(name(DType::kBf16), "BF16");
  EXPECT_EQ(name(DType::kF8E5M2), "F8_E5M2");
  EXPECT_FALSE(sinq::io::dtype_from_name("F4").has_value());
  EXPECT_FALSE(sinq::io::dtype_from_name("").has_value());
  EXPECT_FALSE(sinq::io::dtype_from_name("bf16").has_value());
}

TEST(TensorInfo, WidthsAreThoseOfTheScalarTypes) {
  for (const DType type : {DType::kF16, DType::kBf16, DType::kF32, DType::kF64}) {
    const auto scalar = sinq::io::scalar_type(type);
    ASSERT_TRUE(scalar.has_value());
    EXPECT_EQ(sinq::scalar_bytes(*scalar), dtype_bytes(type));
  }
  EXPECT_EQ(dtype_bytes(DType::kBool), 1);
  EXPECT_EQ(dtype_bytes(DType::kI16), 2);
  EXPECT_EQ(dtype_bytes(DType::kU32), 4);
  EXPECT_EQ(dtype_bytes(DType::kI64), 8);
  EXPECT_FALSE(sinq::io::scalar_type(DType::kI32).has_value());
  EXPECT_FALSE(sinq::io::scalar_type(DType::kF8E4M3).has_value());
}

TEST(TensorInfo, BytesOfAShape) {
  const auto bytes = [](DType type, std::vector<Index> shape) { return sinq::io::tensor_bytes(type, shape); };
  EXPECT_EQ(bytes(DType::kF32, {2, 3}), 24U);
  EXPECT_EQ(bytes(DType::kF64, {}), 8U) << "no dimensions: one element";
  EXPECT_EQ(bytes(DType::kF32, {5, 0, 7}), 0U);
  EXPECT_EQ(bytes(DType::kF32, {-1, 2}), std::nullopt);
  EXPECT_EQ(bytes(DType::kU8, {std::numeric_limits<Index>::max()}), std::numeric_limits<Index>::max());
  EXPECT_EQ(bytes(DType::kU16, {std::numeric_limits<Index>::max()}), std::nullopt);
  EXPECT_EQ(bytes(DType::kU8, {Index{1} << 32, Index{1} << 32}), std::nullopt) << "2^64 must not wrap to 0";
  EXPECT_EQ(bytes(DType::kU8, {Index{1} << 32, Index{1} << 31}), std::nullopt) << "2^63";
  EXPECT_EQ(bytes(DType::kU8, {3, (Index{1} << 62) / 3 * 2 + 1}), std::nullopt);
}

TEST(TensorInfo, NamesInErrorsAreShortAndPrintable) {
  using sinq::io::detail::name_text;
  EXPECT_EQ(name_text("a.weight"), "'a.weight'");
  EXPECT_EQ(name_text("a\nb\x01"), "'a\\x0ab\\x01'");
  EXPECT_EQ(name_text("a' is fine, 'b\\"), "'a\\x27 is fine, \\x27b\\x5c'");
  EXPECT_LT(name_text(std::string(1'000'000, 'x')).size(), 300U);
}

}  // namespace
