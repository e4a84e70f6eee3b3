#include "llm/measure_sensitivity.hpp"

#include <sinq/measure_error.hpp>
#include <sinq/presets.hpp>

#include "llm/decoded_matrix.hpp"
#include "llm/drawn_blocks.hpp"
#include "llm/tensors.hpp"
#include "outcome.hpp"
#include "paths.hpp"
#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace llm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct TinySensitivity {
  explicit TinySensitivity(bool tied) {
    Json config = tiny_config("Qwen3ForCausalLM");
    config["tie_word_embeddings"] = tied;
    write_model(make_tiny_model(config, 5), folder.path());
    model = Model::open(folder.path());
    blocks = draw_blocks(model, 3, 20, 1, 1);
  }
  TemporaryFolder folder{"tiny"};
  Model model;
  TokenBlocks blocks;
};

/// The long way: the whole model with one matrix changed.
MatrixSensitivity expected(const Model& model, const TokenBlocks& blocks, const std::string& name) {
  const auto recipes = sinq::presets::recipes();
  const auto probe = std::find_if(recipes.begin(), recipes.end(), [](const auto& r) { return r.name == kProbeRecipe; });
  Model changed = model;
  Linear* linear = nullptr;
  for (const LinearId id : model.linears()) {
    if (id.name() + ".weight" == name) linear = &changed.linear(id);
  }
  const bool is_table = linear == nullptr;
  const Index rows = is_table ? model.config.vocab_size : linear->weight->rows();
  const Index cols = is_table ? model.config.hidden_size : linear->weight->cols();
  const sinq::MatrixView w = model.tensors->matrix(name, rows, cols);
  const sinq::QuantizedMatrix q = sinq::quantize(w, probe->config);
  const DecodedMatrix decoded(q.view());
  const auto weight = std::make_shared<DenseWeight>(pack(name, decoded.view()));
  if (!is_table) linear->weight = weight;
  if (is_table && (name == kHeadName || model.config.tied_head)) changed.head.weight = weight;
  if (name == kEmbeddingName) changed.embedding = decoded.view();
  const Baseline baseline = read_baseline(model, blocks, 0, 1);
  const double error = sinq::measure_error(w, q).relative_frobenius;
  const double kl = evaluate(changed, blocks, &baseline, 1).kl;
  return {.name = name, .alpha = kl / (error * error), .kl = kl, .error = error * error};
}

TEST(MeasureSensitivity, IsWhatTheWholeModelWithOneMatrixQuantizedSays) {
  for (const bool tied : {true, false}) {
    const TinySensitivity tiny(tied);
    const auto measured = measure_sensitivities(tiny.model, tiny.blocks, {}, 2);
    ASSERT_EQ(measured.size(), 1U + 14U + (tied ? 0U : 1U));
    EXPECT_EQ(measured.front().name, kEmbeddingName);
    for (const MatrixSensitivity& matrix : measured) {
      const MatrixSensitivity whole = expected(tiny.model, tiny.blocks, matrix.name);
      EXPECT_EQ(matrix.error, whole.error) << matrix.name;
      EXPECT_GT(matrix.kl, 0.0) << matrix.name;
      EXPECT_NEAR(matrix.kl, whole.kl, 1e-4 * whole.kl) << matrix.name;
      EXPECT_NEAR(matrix.alpha, whole.alpha, 1e-4 * whole.alpha) << matrix.name;
    }
  }
}

TEST(MeasureSensitivity, ThreadsChangeNothing) {
  const TinySensitivity tiny(true);
  const auto one = measure_sensitivities(tiny.model, tiny.blocks, {}, 1);
  const auto many = measure_sensitivities(tiny.model, tiny.blocks, {}, 3);
  ASSERT_EQ(one.size(), many.size());
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_EQ(to_json(one[i]), to_json(many[i]));
}

TEST(MeasureSensitivity, GoesOnWhereARunWasKilled) {
  const TinySensitivity tiny(false);
  std::vector<std::vector<MatrixSensitivity>> kept;
  const auto whole =
      measure_sensitivities(tiny.model, tiny.blocks, {}, 1, [&](const auto& all) { kept.push_back(all); });
  ASSERT_EQ(kept.size(), 4U);  // embeddings, two layers, head
  EXPECT_EQ(kept[1].size(), 8U);
  for (const auto& known : kept) {
    const auto again = measure_sensitivities(tiny.model, tiny.blocks, known, 1);
    ASSERT_EQ(again.size(), whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(to_json(again[i]), to_json(whole[i]));
  }
}

TEST(MeasureSensitivity, AMatrixOfZerosDoesNotMatter) {
  TinyModel tiny = make_tiny_model(tiny_config("Qwen3ForCausalLM"), 5);
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  std::ranges::fill(tiny.tensors.at(name).values, 0.0);
  const TemporaryFolder folder("zeros");
  write_model(tiny, folder.path());
  const Model model = Model::open(folder.path());
  for (const auto& matrix : measure_sensitivities(model, draw_blocks(model, 1, 8, 1, 1), {}, 1)) {
    if (matrix.name != name) continue;
    EXPECT_EQ(to_json(matrix), to_json(MatrixSensitivity{.name = name}));
  }
}

// The program, on the embedded model.
class SensitivityCommand : public testing::Test {
 protected:
  std::vector<std::string> command(const std::vector<std::string>& more = {}) {
    std::vector<std::string> out{
        "sensitivity", embedded_model().string(), "-o", file_.string(), "--blocks", "2", "--context", "24"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  /// What the file says after a run.
  Json measured(const std::vector<std::string>& more = {}) {
    const Outcome outcome = run(command(more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    said_ = outcome.out;
    return read_json(file_);
  }

  TemporaryFolder folder_{"command"};
  std::filesystem::path file_ = folder_.path() / "s.json";
  std::filesystem::path work_ = folder_.path() / ".s.json.sinq-sensitivity";
  std::string said_;
};

TEST_F(SensitivityCommand, WritesWhatItMeasuredAndWithWhat) {
  const Json json = measured();
  EXPECT_EQ(json["measured"]["seed"], 1);
  EXPECT_EQ(json["measured"]["tokens"], 48);
  EXPECT_EQ(json["measured"]["text"], "drawn from the model");
  EXPECT_EQ(json["measured"]["recipe"], kProbeRecipe);
  EXPECT_EQ(json["model"]["name"], "lm1m");
  EXPECT_TRUE(json["model"]["files"].contains("model.safetensors"));
  const Sensitivities read = read_sensitivities(file_);
  EXPECT_EQ(read.matrices.size(), 1U + 28U);
  for (const auto& matrix : read.matrices) EXPECT_GT(matrix.alpha, 0.0) << matrix.name;
  EXPECT_THAT(said_, AllOf(HasSubstr("29 matrices, 48 tokens"), HasSubstr("down")));
  EXPECT_FALSE(std::filesystem::exists(work_));
  // All alphas are on the scale of the model quantized at four bits.
  const Json& whole = json["measured"]["whole"];
  const double scale = whole["kl"].get<double>() / whole["sum"].get<double>();
  EXPECT_GT(scale, 0.3);
  EXPECT_LT(scale, 1.5);
  for (const auto& matrix : read.matrices)
    EXPECT_NEAR(matrix.alpha, scale * matrix.kl / matrix.error, 1e-9) << matrix.name;

  EXPECT_EQ(measured({"--force"}), json);
  EXPECT_NE(measured({"--force", "--seed", "2"})["matrices"], json["matrices"]);
}

TEST_F(SensitivityCommand, ReadsATextInstead) {
  const auto text = folder_.path() / "text.txt";
  std::string words;
  for (int i = 0; i < 60; ++i) words += "The war began in the year " + std::to_string(1700 + i) + ". ";
  write_text(text, words);
  const Json json = measured({"--text", text.string()});
  EXPECT_EQ(json["measured"]["text"], "text.txt");
  EXPECT_FALSE(json["measured"].contains("seed"));
  EXPECT_EQ(json["measured"]["tokens"], 48);
}

TEST_F(SensitivityCommand, GoesOnWithWhatAKilledRunLeft) {
  const Json whole = measured();
  std::filesystem::remove(file_);
  Json identity{{"model", whole["model"]["files"]}, {"measured", whole["measured"]}};
  identity["measured"].erase("tokens");
  identity["measured"].erase("whole");
  Json known(whole["matrices"].begin(), whole["matrices"].begin() + 8);
  for (Json& matrix : known) matrix["alpha"] = matrix["kl"].get<double>() / matrix["error"].get<double>();
  known[3]["kl"] = 77.0;  // what is known is not measured again
  const auto tokens = draw_blocks(Model::open(embedded_model()), 2, 24, 1, 0).tokens;
  const auto leave = [&] {
    write_text(work_, Json{{"identity", identity}, {"tokens", tokens}, {"matrices", known}}.dump());
  };
  leave();
  Json expected = whole;
  expected["matrices"][3]["kl"] = 77.0;
  EXPECT_EQ(measured(), expected);
  EXPECT_THAT(said_, HasSubstr("8 matrices that were measured before"));
  EXPECT_FALSE(std::filesystem::exists(work_));

  std::filesystem::remove(file_);
  identity["measured"]["seed"] = 9;
  leave();
  const Outcome refused = run(command());
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("measured.seed was 9 and is 1"), HasSubstr("--force")));
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_EQ(measured({"--force"}), whole);

  std::filesystem::remove(file_);
  write_text(work_, "{\"identity\"");  // damaged: all is done again
  EXPECT_EQ(measured(), whole);
}

TEST_F(SensitivityCommand, MistakesAreNamed) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& why) {
    const Outcome outcome = run(command(more));
    EXPECT_NE(outcome.status, 0) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  };
  refused({"--blocks", "0"}, "--blocks");
  refused({"--text", "nowhere"}, "nowhere");
  refused({"--text", (embedded_model() / "config.json").string(), "--seed", "3"}, "--seed is of no use with --text");
  const Outcome too_long = run({"sensitivity", embedded_model().string(), "-o", file_.string(), "--context", "100000"});
  EXPECT_NE(too_long.status, 0);
  EXPECT_THAT(too_long.err, HasSubstr("context 100000"));
  EXPECT_NE(run({"sensitivity", embedded_model().string()}).status, 0);
  write_text(file_, "mine");
  refused({}, "--force");
  EXPECT_NE(run({"sensitivity", "nowhere", "-o", (folder_.path() / "t").string()}).status, 0);
}

}  // namespace
}  // namespace llm::test
