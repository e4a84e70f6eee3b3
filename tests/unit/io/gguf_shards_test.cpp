#include <sinq/io/gguf_shards.hpp>

#include "io_support.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace {

using sinq::io::gguf_shard_name;
using sinq::io::GgufMetadata;
using sinq::io::GgufShardName;
using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq::io::plan_gguf_shards;

TEST(GgufShardName, IsReadAndWritten) {
  EXPECT_EQ(gguf_shard_name("a-00002-of-00003.gguf"), (GgufShardName{"a", 2, 3}));
  EXPECT_EQ(gguf_shard_name("a-1-00001-of-00002-00065-of-65535.gguf"),
            (GgufShardName{"a-1-00001-of-00002", 65, 65535}));
  EXPECT_EQ((GgufShardName{"dir.x/a", 12, 345}.text()), "dir.x/a-00012-of-00345.gguf");
  for (const char* other : {"a.gguf", "", "-00001-of-00002.gguf", "a-00000-of-00002.gguf", "a-00003-of-00002.gguf",
                            "a-0001-of-00002.gguf", "a-00001-of-00002.ggu", "a-00001-of-00002.gguf.partial",
                            "a-0000x-of-00002.gguf", "a-00001-of-65536.gguf", "a-00001_of-00002.gguf"}) {
    EXPECT_FALSE(gguf_shard_name(other)) << other;
  }
}

GgufMetadata metadata() {
  GgufMetadata out("m");
  out.add("a", std::uint32_t{1});
  out.add("split.no", std::uint16_t{7});
  out.add("split.count", std::uint16_t{9});
  out.add("b", "text");
  out.add("split.tensors.count", std::int32_t{70});
  return out;
}

std::vector<GgufTensorInfo> vectors(const std::vector<sinq::Index>& sizes) {
  std::vector<GgufTensorInfo> out;
  for (std::size_t i = 0; i < sizes.size(); ++i) out.push_back({"t" + std::to_string(i), GgufType::kF32, {sizes[i]}});
  return out;
}

sinq::io::GgufHeader header_of(const sinq::io::GgufPlan& plan) {
  std::string file = plan.header;
  file.resize(plan.file_bytes);
  return sinq::io::parse_gguf_header(sinq_test::bytes_of(file), "plan");
}

TEST(GgufShards, OneThatIsEnoughIsAPlainFile) {
  const auto plans = plan_gguf_shards(metadata(), vectors({10, 20}), 4 * 30);
  ASSERT_EQ(plans.size(), 1U);
  const auto header = header_of(plans[0]);
  EXPECT_EQ(header.metadata.entries().size(), 2U) << "what was said of other files is left out";
  EXPECT_EQ(header.tensors, plans[0].tensors);
  EXPECT_EQ(plan_gguf_shards(metadata(), {}, 0).size(), 1U);
}

TEST(GgufShards, TensorsStayWholeAndInOrder) {
  const auto plans = plan_gguf_shards(metadata(), vectors({10, 20, 31, 0, 1, 30, 1}), 4 * 30);
  const std::vector<std::vector<std::string>> expected{{"t0", "t1"}, {"t2"}, {"t3", "t4"}, {"t5"}, {"t6"}};
  ASSERT_EQ(plans.size(), expected.size());
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto header = header_of(plans[i]);
    std::vector<std::string> names;
    for (const auto& tensor : header.tensors) names.push_back(tensor.name);
    EXPECT_EQ(names, expected[i]);
    EXPECT_EQ(header.metadata.get<std::uint16_t>("split.no"), i);
    EXPECT_EQ(header.metadata.get<std::uint16_t>("split.count"), plans.size());
    EXPECT_EQ(header.metadata.get<std::int32_t>("split.tensors.count"), 7);
    EXPECT_EQ(header.metadata.has("a"), i == 0);
    EXPECT_EQ(header.metadata.entries().size(), i == 0 ? 5U : 3U);
  }
}

TEST(GgufShards, NamesAreThoseOfOneFileAndFilesAsManyAsAU16Counts) {
  auto twice = vectors({10, 20, 30});
  twice[2].name = "t0";
  sinq_test::expect_error(
      sinq::Errc::kBadConfig, [&] { static_cast<void>(plan_gguf_shards({}, twice, 1)); }, "'t0'", "twice");
  const std::vector<sinq::Index> ones(65536, 1);
  sinq_test::expect_error(
      sinq::Errc::kBadConfig, [&] { static_cast<void>(plan_gguf_shards({}, vectors(ones), 1)); }, "at most 1 bytes",
      "65536 would be needed");
}

}  // namespace
