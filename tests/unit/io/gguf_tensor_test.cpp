#include <sinq/io/gguf_tensor.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace {

using sinq::Index;
using sinq::io::gguf_type;
using sinq::io::GgufType;
using sinq::io::tensor_bytes;

TEST(GgufType, NumbersAndNames) {
  EXPECT_EQ(gguf_type(0), GgufType::kF32);
  EXPECT_EQ(gguf_type(12), GgufType::kQ4K);
  EXPECT_EQ(gguf_type(30), GgufType::kBf16);
  EXPECT_EQ(gguf_type(26), GgufType::kI32);
  EXPECT_EQ(gguf_type(39), GgufType::kMxfp4);
  EXPECT_EQ(gguf_type(31), std::nullopt);
  EXPECT_EQ(gguf_type(43), std::nullopt);
  EXPECT_EQ(gguf_type(4), std::nullopt);  // q4_2, which ggml gave up
  EXPECT_EQ(gguf_type(0xffffffff), std::nullopt);
  EXPECT_EQ(name(GgufType::kIq4Xs), "iq4_xs");
  EXPECT_EQ(sinq::io::gguf_type_from_name("q3_k"), GgufType::kQ3K);
  EXPECT_EQ(sinq::io::gguf_type_from_name("Q3_K_M"), std::nullopt);
  EXPECT_EQ(scalar_type(GgufType::kBf16), sinq::ScalarType::kBf16);
  EXPECT_EQ(scalar_type(GgufType::kQ8_0), std::nullopt);
}

TEST(GgufType, BytesOfATensor) {
  const auto bytes = [](GgufType type, const std::vector<Index>& shape) { return tensor_bytes(type, shape); };
  EXPECT_EQ(bytes(GgufType::kF32, {}), 4U);
  EXPECT_EQ(bytes(GgufType::kF32, {3, 5}), 60U);
  EXPECT_EQ(bytes(GgufType::kF32, {0, 5}), 0U);
  EXPECT_EQ(bytes(GgufType::kQ4_0, {2, 64}), 2 * 2 * 18U);
  EXPECT_EQ(bytes(GgufType::kQ8_0, {2, 64}), 2 * 2 * 34U);
  EXPECT_EQ(bytes(GgufType::kQ3K, {1, 512}), 2 * 110U);
  EXPECT_EQ(bytes(GgufType::kQ6K, {256}), 210U);
  EXPECT_EQ(bytes(GgufType::kI64, {2, 7}), 112U);
  EXPECT_EQ(bytes(GgufType::kMxfp4, {3, 2, 64}), 3 * 2 * 2 * 17U);
  EXPECT_EQ(bytes(GgufType::kIq1M, {2, 256}), 2 * 56U);
  EXPECT_EQ(bytes(GgufType::kQ4_0, {2, 63}), std::nullopt) << "half a block";
  EXPECT_EQ(bytes(GgufType::kQ4_0, {}), std::nullopt) << "one element is no block";
  EXPECT_EQ(bytes(GgufType::kF32, {-1, 5}), std::nullopt);
  EXPECT_EQ(bytes(GgufType::kF32, {5, -1}), std::nullopt);
  const Index large = Index{1} << 40;
  EXPECT_EQ(bytes(GgufType::kF32, {large, large}), std::nullopt) << "2^82 bytes";
  EXPECT_EQ(bytes(GgufType::kF16, {large}), std::uint64_t{1} << 41);
}

}  // namespace
