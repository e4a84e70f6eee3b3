#include <sinq/io/checkpoint_plan.hpp>

#include "io_support.hpp"

#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::CheckpointPlan;
using sinq::io::DType;
using sinq::io::plan_checkpoint;
using sinq::io::TensorGroup;
using sinq::io::TensorInfo;
using sinq_test::expect_error;

TensorGroup group(const std::string& name, sinq::Index bytes) { return {{{name, DType::kU8, {bytes}}}, {}}; }

std::vector<std::string> files(const CheckpointPlan& plan) {
  std::vector<std::string> out;
  for (const auto& shard : plan.shards) out.push_back(shard.file);
  return out;
}

TEST(CheckpointPlan, FilesAreFilledInOrderUpToTheLimit) {
  const std::vector<TensorGroup> groups{group("a", 60), group("b", 40), group("c", 1), group("d", 500), group("e", 7)};
  const CheckpointPlan plan = plan_checkpoint(groups, 100);
  EXPECT_EQ(files(plan),
            (std::vector<std::string>{"model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                                      "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"}));
  EXPECT_EQ(plan.shards[0].groups, (std::vector<std::size_t>{0, 1}));  // exactly full
  EXPECT_EQ(plan.shards[1].groups, (std::vector<std::size_t>{2}));
  EXPECT_EQ(plan.shards[2].groups, (std::vector<std::size_t>{3}));  // larger than a file may be
  EXPECT_EQ(plan.tensor_bytes(), 608U);
  std::uint64_t headers = 0;
  for (const auto& shard : plan.shards) headers += shard.content.header.size();
  EXPECT_EQ(plan.file_bytes(), 608U + headers);
}

TEST(CheckpointPlan, OneFileHasThePlainNameAndNoIndex) {
  const std::vector<TensorGroup> groups{group("a", 60), group("b", 40)};
  const CheckpointPlan plan = plan_checkpoint(groups, 100);
  EXPECT_EQ(files(plan), (std::vector<std::string>{"model.safetensors"}));
  EXPECT_EQ(plan.index(), "");
  EXPECT_EQ(files(plan_checkpoint({}, 100)), (std::vector<std::string>{"model.safetensors"}));
}

TEST(CheckpointPlan, TheIndexIsHuggingFaces) {
  const std::vector<TensorGroup> groups{group("z", 2), group("a", 3)};
  EXPECT_EQ(plan_checkpoint(groups, 1).index(), R"({
  "metadata": {
    "total_size": 5
  },
  "weight_map": {
    "a": "model-00002-of-00002.safetensors",
    "z": "model-00001-of-00002.safetensors"
  }
}
)");
}

TEST(CheckpointPlan, GroupsStayTogetherWithTheirMetadata) {
  const TensorGroup first{{{"x.codes", DType::kU8, {5}}, {"x.scale", DType::kF32, {2}}}, {{"x", "1"}}};
  const TensorGroup second{{{"y.codes", DType::kU8, {5}}, {"y.scale", DType::kF32, {2}}}, {{"y", "2"}}};
  const std::vector<TensorGroup> groups{first, second};
  const CheckpointPlan plan = plan_checkpoint(groups, 20, {{"format", "pt"}});
  ASSERT_EQ(plan.shards.size(), 2U);
  const auto header = sinq::io::plan_safetensors(second.tensors, {{"format", "pt"}, {"y", "2"}});
  EXPECT_EQ(plan.shards[1].content.header, header.header);
  EXPECT_EQ(plan.shards[1].content.tensors, header.tensors);
  // The wide type comes first, so that it is aligned.
  EXPECT_EQ(header.tensors[0].name, "y.scale");
  EXPECT_EQ(header.tensors[0].begin, header.header.size());
  EXPECT_EQ(header.file_bytes(), header.header.size() + 13);
}

TEST(CheckpointPlan, WhatMakesNoCheckpointIsRefused) {
  const std::vector<TensorGroup> twice{group("a", 1), group("a", 1)};
  expect_error(
      Errc::kBadConfig, [&] { static_cast<void>(plan_checkpoint(twice, 1)); }, "tensor 'a' stands twice");
  const std::vector<TensorGroup> impossible{group("a", -1)};
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(plan_checkpoint(impossible, 1)); }, "tensor 'a'", "shape [-1]");
  const std::vector<TensorGroup> key{{{}, {{"format", "x"}}}};
  expect_error(
      Errc::kBadConfig,
      [&] {
        static_cast<void>(plan_checkpoint(key, 1, {{"format", "pt"}}));
      },
      "metadata 'format' stands twice");
}

}  // namespace
