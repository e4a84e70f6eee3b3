#include <sinq/io/checkpoint.hpp>

#include "llm/model_identity.hpp"
#include "llm/sensitivity.hpp"
#include "quantize/linear_layers.hpp"
#include "quantize_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace convert::test {
namespace {

using sinq::io::Checkpoint;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kTable = "model.embed_tokens.weight";

/// The embedded model, and sensitivities that make queries matter most.
class BudgetedModel : public testing::Test {
 protected:
  BudgetedModel() {
    const auto checkpoint = Checkpoint::open(kModel);
    llm::Sensitivities file{.model = {{"name", "lm1m"}, {"files", llm::model_identity(checkpoint)}},
                            .measured = llm::Json::object(),
                            .matrices = {}};
    for (const auto& tensor : checkpoint.tensors()) {
      if (tensor.info.shape.size() != 2) continue;
      const bool is_query = tensor.info.name.find("q_proj") != std::string::npos;
      file.matrices.push_back({.name = tensor.info.name, .alpha = is_query ? 64.0 : 1.0, .kl = 1.0, .error = 1.0});
    }
    write(file);
    file_ = file;
  }
  void write(const llm::Sensitivities& file) { std::ofstream(path_) << llm::to_json(file).dump(); }

  Outcome quantize(const std::vector<std::string>& more) {
    std::vector<std::string> arguments{kModel.string(), "-o", out_.string(), "--report", report_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  llm::Json report(const std::vector<std::string>& more) {
    const Outcome outcome = quantize(more);
    EXPECT_EQ(outcome.status, kDone) << outcome.err;
    said_ = outcome.out;
    return llm::read_json(report_);
  }
  void refused(int status, const std::vector<std::string>& more, const std::string& why) {
    const Outcome outcome = quantize(more);
    EXPECT_EQ(outcome.status, status) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  }

  TemporaryFolder folder_;
  std::filesystem::path out_ = folder_.path() / "out", report_ = folder_.path() / "report.json",
                        path_ = folder_.path() / "s.json";
  llm::Sensitivities file_;
  std::string said_;
};

TEST_F(BudgetedModel, EachMatrixGetsItsRecipeAndTheReportSaysWhich) {
  const llm::Json json = report({"--max-bits-per-weight", "3.5", "--sensitivity", path_.string()});
  EXPECT_LE(json["totals"]["bits_per_weight"].get<double>(), 3.5);
  EXPECT_GT(json["totals"]["bits_per_weight"].get<double>(), 3.45);
  ASSERT_EQ(json["allocations"].size(), 1U);
  const llm::Json& allocation = json["allocations"][0];
  EXPECT_EQ(allocation["sensitivity"], "s.json");
  EXPECT_GT(allocation["predicted_kl"].get<double>(), 0.0);
  ASSERT_EQ(allocation["matrices"].size(), 28U);
  std::map<std::string, llm::Json> chosen;
  for (const auto& matrix : allocation["matrices"]) chosen[matrix["name"]] = matrix;
  double least_query = 100.0, most_other = 0.0;
  for (const auto& layer : json["layers"]) {
    const llm::Json& matrix = chosen.at(layer["name"]);
    const llm::Json& settings = json["settings"][layer["recipe"].get<std::size_t>()];
    EXPECT_EQ(settings["recipe"], matrix["recipe"]);
    EXPECT_EQ(settings["max_bits_per_weight"], 3.5);
    const auto bits = layer["bits_per_weight"].get<double>();
    EXPECT_NEAR(bits, matrix["bits_per_weight"].get<double>(), 1e-12);
    const bool is_query = layer["name"].get<std::string>().find("q_proj") != std::string::npos;
    (is_query ? least_query : most_other) = is_query ? std::min(least_query, bits) : std::max(most_other, bits);
  }
  EXPECT_GT(least_query, most_other + 1.0);
  EXPECT_THAT(said_, AllOf(HasSubstr("predicted KL"), Not(HasSubstr("share of loss"))));
  // Called again, it is complete; by other sensitivities it is another conversion.
  EXPECT_THAT(quantize({"--max-bits-per-weight", "3.5", "--sensitivity", path_.string()}).out,
              HasSubstr("complete already"));
  for (auto& matrix : file_.matrices) matrix.alpha = 1.0;
  write(file_);
  std::filesystem::remove(report_);
  refused(kConflict, {"--max-bits-per-weight", "3.5", "--sensitivity", path_.string()}, "another conversion");
}

TEST_F(BudgetedModel, TheDryRunShowsTheTable) {
  const Outcome measured = quantize({"--max-bits-per-weight", "3.5", "--sensitivity", path_.string(), "--dry-run"});
  EXPECT_THAT(measured.out, AllOf(HasSubstr("share of loss"), HasSubstr("model.layers.2.mlp.up_proj.weight"),
                                  HasSubstr("trellis-"), HasSubstr("predicted KL"), HasSubstr(path_.string())));
  const Outcome by_default = quantize({"--max-bits-per-weight", "3.5", "--dry-run"});
  EXPECT_THAT(by_default.out,
              AllOf(HasSubstr("share of loss"), HasSubstr("default sensitivities"), HasSubstr("KL not predicted")));
  const Outcome one = quantize({"--max-bits-per-weight", "3.5", "--one-recipe", "--dry-run"});
  EXPECT_THAT(one.out, AllOf(HasSubstr("28 to quantize"), Not(HasSubstr("share of loss"))));
  EXPECT_FALSE(std::filesystem::exists(out_));
}

TEST_F(BudgetedModel, EmbeddingsTakePartIfAsked) {
  const llm::Json json = report({"--max-bits-per-weight", "3.5", "--include-embeddings"});
  EXPECT_EQ(json["allocations"][0]["matrices"].size(), 29U);
  EXPECT_LE(json["totals"]["bits_per_weight"].get<double>(), 3.5);
  const auto written = Checkpoint::open(out_);
  EXPECT_EQ(written.quantized(kTable).rows(), 2048);
  // With other flags, too.
  const llm::Json plain = report({"--bits", "4", "--include-embeddings", "--force"});
  EXPECT_EQ(plain["totals"]["layers"], 29);
  refused(kUsage, {"--include-embeddings", "--include", "*.mlp.*", "--force"}, "--include");
  EXPECT_TRUE(is_embedding_or_head("lm_head.weight") && is_embedding_or_head(kTable));
  EXPECT_FALSE(is_embedding_or_head("model.norm.weight") || is_embedding_or_head("visual.embed.weight"));
}

TEST_F(BudgetedModel, OverridesAreNoPartOfIt) {
  const llm::Json json = report({"--max-bits-per-weight", "3.0", "--fixed", "*.q_proj.weight=learned-5-g64", "--for",
                                 "*.down_proj.weight=--bits 8", "--for", "*.0.mlp.up*=--max-bits-per-weight 2.5"});
  ASSERT_EQ(json["allocations"].size(), 2U);
  EXPECT_EQ(json["allocations"][0]["matrices"].size(), 23U);
  EXPECT_EQ(json["allocations"][1]["matrices"].size(), 1U);
  for (const auto& matrix : json["allocations"][0]["matrices"]) {
    const bool is_query = matrix["name"].get<std::string>().find("q_proj") != std::string::npos;
    EXPECT_EQ(matrix["fixed"], is_query);
    EXPECT_EQ(matrix["recipe"] == "learned-5-g64", is_query);
  }
  double bits = 0.0, weights = 0.0;
  for (const auto& layer : json["layers"]) {
    const std::string name = layer["name"];
    const double count = layer["rows"].get<double>() * layer["cols"].get<double>();
    if (name.find("down_proj") != std::string::npos) {
      EXPECT_EQ(layer["bits"], 8);
    } else if (name.find(".0.mlp.up") != std::string::npos) {
      EXPECT_LE(layer["bits_per_weight"].get<double>(), 2.5);
      EXPECT_EQ(json["settings"][layer["recipe"].get<std::size_t>()]["for"], "*.0.mlp.up*");
    } else {
      bits += layer["bits_per_weight"].get<double>() * count;
      weights += count;
    }
  }
  EXPECT_LE(bits, 3.0 * weights);
}

TEST_F(BudgetedModel, MistakesAreNamed) {
  refused(kUsage, {"--sensitivity", path_.string()}, "--max-bits-per-weight");
  refused(kUsage, {"--max-bits-per-weight", "3", "--sensitivity", "nowhere"}, "nowhere");
  refused(kUsage, {"--max-bits-per-weight", "3", "--one-recipe", "--sensitivity", path_.string()}, "--one-recipe");
  refused(kRefused, {"--max-bits-per-weight", "0.7"}, "max_bits_per_weight 0.7");
  refused(kRefused, {"--max-bits-per-weight", "3", "--fixed", "*=best"}, "recipe 'best'");
  const auto with = [&](const llm::Sensitivities& file) {
    write(file);
    return std::vector<std::string>{"--max-bits-per-weight", "3", "--sensitivity", path_.string()};
  };
  llm::Sensitivities wrong = file_;
  wrong.matrices.erase(wrong.matrices.begin() + 3);
  refused(kRefused, with(wrong), "has no sensitivity of");
  wrong = file_;
  wrong.model["files"]["model.safetensors"]["samples_xxh64"] = "0";
  refused(kRefused, with(wrong), "was measured on another model, 'lm1m': model.safetensors.samples_xxh64 was \"0\"");
  EXPECT_FALSE(std::filesystem::exists(out_));
}

}  // namespace
}  // namespace convert::test
