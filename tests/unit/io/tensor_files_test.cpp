#include <sinq/io/tensor_files.hpp>

#include "io_support.hpp"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <utility>

namespace {

using sinq::Errc;

struct NamedTensor {
  std::string name;
};

class TwoTensors : public sinq::io::detail::TensorFiles<int, NamedTensor> {
 public:
  TwoTensors() {
    name_ = "two.bin";
    files_ = {1, 2};
    tensors_ = {{"b"}, {"a"}};
    for (const NamedTensor& tensor : tensors_) by_name_.emplace(tensor.name, &tensor);
  }
};

static_assert(!std::is_copy_constructible_v<TwoTensors> && std::is_nothrow_move_constructible_v<TwoTensors>);

TEST(TensorFiles, TensorsAreFoundByNameInTheirOrder) {
  const TwoTensors files;
  EXPECT_EQ(files.files().size(), 2U);
  ASSERT_EQ(files.tensors().size(), 2U);
  EXPECT_EQ(files.find("a"), &files.tensors()[1]);
  EXPECT_EQ(&files.at("b"), &files.tensors()[0]);
  EXPECT_EQ(files.find("c"), nullptr);
  sinq_test::expect_error(
      Errc::kBadFile, [&] { static_cast<void>(files.at("c\n")); }, "two.bin", "there is no tensor 'c\\x0a'");
}

TEST(TensorFiles, WhatIsFoundStaysWhenTheFilesMove) {
  TwoTensors files;
  const NamedTensor* a = files.find("a");
  const TwoTensors moved = std::move(files);
  EXPECT_EQ(moved.find("a"), a);
  EXPECT_EQ(moved.at("a").name, "a");
}

}  // namespace
