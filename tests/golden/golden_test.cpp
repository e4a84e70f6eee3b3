// The library against the golden cases, on every instruction set; and the checker against spoilt cases, which it must
// not pass.
#include "check_case.hpp"
#include "golden_dirs.hpp"
#include "support/golden_case.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using sinq::test::CaseOutcome;

void expect_all_pass(const std::vector<fs::path>& folders) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (const fs::path& folder : folders) {
      const auto report = sinq::test::check_case(sinq::test::load_case(folder), isa);
      EXPECT_EQ(report.outcome, CaseOutcome::kPassed) << folder.filename() << " on " << name(isa);
      for (const auto& failure : report.failures) ADD_FAILURE() << folder.filename() << ": " << failure;
    }
  }
}

TEST(Golden, EmbeddedCasesPass) { expect_all_pass(sinq::test::embedded_cases()); }

TEST(Golden, AllCasesPass) {
  const auto dir = sinq::test::full_golden_dir();
  if (!dir) GTEST_SKIP() << "no full golden set here (set SINQ_GOLDEN_DIR)";
  expect_all_pass(sinq::test::case_folders(*dir));
}

/// A copy of an embedded case that may be spoilt; removed at the end.
class SpoiltCase : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("sinq_golden_" + std::to_string(std::hash<std::string>{}(test_name())));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path copy(const std::string& prefix) {
    for (const fs::path& folder : sinq::test::embedded_cases()) {
      if (folder.filename().string().rfind(prefix, 0) != 0) continue;
      fs::remove_all(root_ / prefix);
      fs::copy(folder, root_ / prefix);
      return root_ / prefix;
    }
    throw std::runtime_error("no embedded case " + prefix);
  }

  /// Changes value `index` (from the end if negative) of an array, in place.
  template <class T, class F>
  static void spoil(const fs::path& file, std::ptrdiff_t index, F&& change) {
    std::string bytes = sinq::test::read_bytes(file);
    const auto count = static_cast<std::ptrdiff_t>(sinq::test::read_npy<T>(file).size());
    const std::size_t at = bytes.size() - static_cast<std::size_t>(index < 0 ? -index : count - index) * sizeof(T);
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    value = change(value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
    std::ofstream(file, std::ios::binary) << bytes;
  }

  /// The failures of a case, joined; empty if it passes.
  static std::string failures(const fs::path& dir) {
    const auto report = sinq::test::check_case(sinq::test::load_case(dir));
    std::string out;
    for (const auto& failure : report.failures) out += failure + "; ";
    EXPECT_EQ(out.empty(), report.outcome == CaseOutcome::kPassed);
    return out;
  }

  static testing::AssertionResult says(const std::string& text, const std::string& part) {
    if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "\"" << text << "\" does not say " << part;
  }

 private:
  static std::string test_name() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    return std::string(info->test_suite_name()) + info->name();
  }
  fs::path root_;
};

float slightly_more(float x) { return x * 1.00001F; }
float one_ulp_more(float x) { return std::nextafter(x, HUGE_VALF); }
float one_more(float x) { return x + 1.0F; }

TEST_F(SpoiltCase, UnspoiltCopyPasses) { EXPECT_EQ(failures(copy("s010")), ""); }

TEST_F(SpoiltCase, ScalesFail) {
  struct Change {
    const char* prefix;
    const char* file;
    const char* part;
  };
  for (const Change& change :
       {Change{"s010", "s1", "s1["}, Change{"s010", "s2", "s2["}, Change{"s010", "mu1", "mu1["},
        Change{"s010", "mu2", "mu2["}, Change{"s010", "sink_imb", "imbalance"}, Change{"s049", "s1", "s1["},
        Change{"s049", "zero", "zero["}, Change{"s065", "s2", "s2["}, Change{"s057", "zero", "zero["},
        Change{"s040", "s1_raw", "s1["}, Change{"s089", "scaled", "scaled["}, Change{"s088", "mu1", "mu1["}}) {
    const fs::path dir = copy(change.prefix);
    // The greatest entry, so that a relative change is one in absolute terms, too.
    const auto values = sinq::test::read_npy<float>(dir / (std::string(change.file) + ".npy")).values;
    std::ptrdiff_t at = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::abs(values[i]) > std::abs(values[static_cast<std::size_t>(at)])) at = static_cast<std::ptrdiff_t>(i);
    }
    if (std::string(change.file) == "sink_imb") at = 0;
    spoil<float>(dir / (std::string(change.file) + ".npy"), at,
                 [](float x) { return slightly_more(slightly_more(x)); });
    EXPECT_TRUE(says(failures(dir), change.part)) << change.prefix << " " << change.file;
  }
}

TEST_F(SpoiltCase, IntegerZeroPointFails) {
  const fs::path dir = copy("s031");
  spoil<float>(dir / "zero.npy", 5, one_more);
  EXPECT_TRUE(says(failures(dir), "zero["));
}

TEST_F(SpoiltCase, OneCodeByTwoStepsFails) {
  const fs::path dir = copy("s010");
  spoil<std::uint8_t>(dir / "codes.npy", 100, [](std::uint8_t c) { return static_cast<std::uint8_t>(c ^ 2); });
  EXPECT_TRUE(says(failures(dir), "codes:"));
}

TEST_F(SpoiltCase, OneTieByOneStepFails) {
  const fs::path dir = copy("s034");
  spoil<std::uint8_t>(dir / "codes.npy", 100, [](std::uint8_t c) { return static_cast<std::uint8_t>(c ^ 1); });
  EXPECT_TRUE(says(failures(dir), "codes:"));
}

TEST_F(SpoiltCase, MoreCodesThanNearBoundariesFail) {
  const fs::path dir = copy("s010");
  for (std::ptrdiff_t i = 0; i < 3; ++i) {
    spoil<std::uint8_t>(dir / "codes.npy", 50 * i, [](std::uint8_t c) { return static_cast<std::uint8_t>(c ^ 1); });
  }
  EXPECT_TRUE(says(failures(dir), "codes: 3 of 6144 differ"));
}

TEST_F(SpoiltCase, HqqCodesFail) {
  const fs::path dir = copy("s081");
  spoil<std::uint8_t>(dir / "codes.npy", -7, [](std::uint8_t c) { return static_cast<std::uint8_t>(c ^ 4); });
  EXPECT_TRUE(says(failures(dir), "codes:"));
}

TEST_F(SpoiltCase, DecodedValueByOneUlpFails) {
  for (const char* prefix : {"s031", "s081"}) {
    const fs::path dir = copy(prefix);
    spoil<float>(dir / "deq.npy", 77, one_ulp_more);
    EXPECT_TRUE(says(failures(dir), "1 values decode differently")) << prefix;
  }
  const fs::path gated = copy("s023");
  spoil<float>(gated / "deq_uniform.npy", 77, one_ulp_more);
  EXPECT_TRUE(says(failures(gated), "1 values decode differently"));
}

TEST_F(SpoiltCase, BestIterateFails) {
  const fs::path dir = copy("s010");
  spoil<std::int32_t>(dir / "sink_best_k.npy", 1, [](std::int32_t k) { return k - 1; });
  EXPECT_TRUE(says(failures(dir), "tile 1: best iterate"));
}

TEST_F(SpoiltCase, AnotherWeightFails) {
  const fs::path dir = copy("s012");
  spoil<float>(dir / "W.npy", 1000, [](float x) { return x + 0.05F; });
  EXPECT_NE(failures(dir), "");
}

TEST_F(SpoiltCase, GateThatShouldHaveFiredFails) {
  const fs::path dir = copy("s017");
  std::string json = sinq::test::read_bytes(dir / "case.json");
  const std::string field = "\"gate_branch\": \"rtn\"";
  json.replace(json.find(field), field.size(), "\"gate_branch\": \"method\"");
  std::ofstream(dir / "case.json") << json;
  EXPECT_TRUE(says(failures(dir), "gate fired"));
}

TEST_F(SpoiltCase, UnreadableFilesThrow) {
  const fs::path dir = copy("s010");
  fs::resize_file(dir / "s1.npy", 200);
  EXPECT_THROW(failures(dir), std::runtime_error);
  fs::remove(dir / "s1.npy");
  EXPECT_THROW(failures(dir), std::runtime_error);
  std::ofstream(dir / "case.json") << "{\"id\": ";
  EXPECT_THROW(failures(dir), std::runtime_error);
  EXPECT_THROW(sinq::test::case_folders(dir / "codes.npy"), std::runtime_error);
  EXPECT_THROW(sinq::test::case_folders(dir / "nowhere"), std::runtime_error);
}

}  // namespace
