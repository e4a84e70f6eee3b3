#include "llm/sensitivity.hpp"

#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SensitivityFile : public testing::Test {
 protected:
  SensitivityFile() {
    whole_.model = {{"name", "m"}, {"files", Json::object()}};
    whole_.measured = {{"seed", 1}};
    whole_.matrices = {{.name = "a", .alpha = 0.125, .kl = 0.01, .error = 0.08},
                       {.name = "b", .alpha = 0.0, .kl = 0.0, .error = 0.0}};
  }

  /// Reads the file as `change` leaves it.
  Sensitivities read(const std::function<void(Json&)>& change) {
    Json json = to_json(whole_);
    change(json);
    write_text(file_, json.dump());
    return read_sensitivities(file_);
  }
  void refused(const std::function<void(Json&)>& change, const std::string& why) {
    try {
      static_cast<void>(read(change));
      ADD_FAILURE() << why;
    } catch (const sinq::Error& error) {
      EXPECT_EQ(error.code(), sinq::Errc::kBadFile);
      EXPECT_THAT(error.what(), AllOf(HasSubstr(file_.string()), HasSubstr(why)));
    }
  }

  TemporaryFolder folder_{"sensitivity"};
  std::filesystem::path file_ = folder_.path() / "s.json";
  Sensitivities whole_;
};

TEST_F(SensitivityFile, IsReadAsItWasWritten) {
  const Sensitivities read = this->read([](Json&) {});
  EXPECT_EQ(to_json(read), to_json(whole_));
  ASSERT_EQ(read.matrices.size(), 2U);
  EXPECT_EQ(read.matrices[0].name, "a");
  EXPECT_EQ(read.matrices[0].alpha, 0.125);
}

TEST_F(SensitivityFile, WhatIsWrongIsNamed) {
  refused([](Json& json) { json = Json::array(); }, "no file of sensitivities");
  refused([](Json& json) { json["format"] = "other"; }, "no file of sensitivities");
  refused([](Json& json) { json["version"] = 2; }, "version 2");
  refused([](Json& json) { json.erase("version"); }, "version: missing");
  refused([](Json& json) { json.erase("model"); }, "model: missing");
  refused([](Json& json) { json["model"].erase("files"); }, "model: files: missing");
  refused([](Json& json) { json.erase("measured"); }, "measured: missing");
  refused([](Json& json) { json.erase("matrices"); }, "matrices: missing");
  refused([](Json& json) { json["matrices"] = 3; }, "matrices: is no list");
  refused([](Json& json) { json["matrices"][1] = 3; }, "matrices[1]: name: missing");
  refused([](Json& json) { json["matrices"][1]["name"] = "a"; }, "'a': stands twice");
  refused([](Json& json) { json["matrices"][1].erase("alpha"); }, "'b': alpha: missing");
  refused([](Json& json) { json["matrices"][1]["alpha"] = std::nan(""); }, "'b': alpha: missing");  // null in JSON
  refused([](Json& json) { json["matrices"][0]["alpha"] = -1; }, "'a': alpha -1");
  refused([](Json& json) { json["matrices"][0]["alpha"] = "much"; }, "'a': alpha: unexpected value");
  refused([](Json& json) { json["matrices"][0]["error"] = true; }, "'a': error: unexpected value");
  write_text(file_, R"({"format": "sinq-sensitivity", "matrices": [{"alpha": 1e999}]})");
  EXPECT_THROW(static_cast<void>(read_sensitivities(file_)), sinq::Error);
  EXPECT_THROW(static_cast<void>(read_sensitivities(folder_.path() / "nowhere")), sinq::Error);
}

}  // namespace
}  // namespace llm::test
