// Numbers of files, compiled as if there were no NaN and no Inf.
#include <sinq/io.hpp>

#include "finite_math/not_finite_values.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::Checkpoint;
using sinq::io::DType;
using sinq::io::SafetensorsFile;
using sinq::io::TensorData;
using sinq::test::not_finite_values;
using sinq::test::throws_error;

class NotFiniteFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("sinq_") + testing::UnitTest::GetInstance()->current_test_info()->name() + "_" +
               std::to_string(reinterpret_cast<std::uintptr_t>(this)));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(NotFiniteFiles, ScalesAndLevelsOfQuantizedMatrices) {
  for (const float bad : not_finite_values()) {
    sinq::QuantizedMatrix q({.rows = 4, .cols = 8, .group_size = 8, .row_block = 4, .level_count = 16});
    std::vector<float> levels(16);
    for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i);
    levels[15] = bad;
    std::memcpy(q.region(sinq::Region::kLevels).data(), levels.data(), 64);
    const auto file = folder_ / "q.safetensors";
    write_quantized(file, std::vector<sinq::io::NamedMatrix>{{"w", q}});
    EXPECT_TRUE(throws_error(Errc::kBadFile, {"level 15"}, [&] {
      const auto opened = SafetensorsFile::open(file);
      static_cast<void>(opened.quantized("w"));
    }));
  }
}

TEST_F(NotFiniteFiles, NumbersOfTheReferencesCheckpoints) {
  for (const float bad : not_finite_values()) {
    std::vector<float> values(6, 1.0F);
    values[4] = bad;
    write_safetensors(folder_ / "model.safetensors",
                      std::vector<TensorData>{{"scale", DType::kF32, {6}, std::as_bytes(std::span(values))}}, {});
    const Checkpoint checkpoint = Checkpoint::open(folder_);
    EXPECT_TRUE(throws_error(Errc::kBadData, {"scale", "element 4"},
                             [&] { static_cast<void>(sinq::io::detail::finite_values(checkpoint.at("scale"))); }));
  }
}

}  // namespace
