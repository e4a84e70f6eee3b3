#include "llm/evaluate.hpp"

#include "llm/layer_report.hpp"
#include "llm/quantize_model.hpp"
#include "paths.hpp"
#include "reference_forward.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace llm::test {
namespace {

Vector log_softmax(const Vector& logits) {
  double total = 0;
  for (const double v : logits) total += std::exp(v);
  Vector out;
  for (const double v : logits) out.push_back(v - std::log(total));
  return out;
}

TokenBlocks random_blocks(Index count, Index context, Index vocab) {
  sinq::test::Random random(17);
  TokenBlocks blocks{.context = context, .tokens = {}};
  for (Index i = 0; i < count * context; ++i) {
    blocks.tokens.push_back(static_cast<Token>(random.between(0, vocab - 1)));
  }
  return blocks;
}

/// Of the embedded model on the first 64 of its own samples.
constexpr double kPinnedPerplexity = 28.70945;

struct TinyPair {
  TinyModel first = make_tiny_model(tiny_config("Qwen3ForCausalLM"), 1);
  TinyModel second = make_tiny_model(tiny_config("Qwen3ForCausalLM"), 2);
  TemporaryFolder first_folder{"first"}, second_folder{"second"};

  TinyPair() {
    write_model(first, first_folder.path());
    write_model(second, second_folder.path());
  }
};

TEST(EvaluateTest, AgreesWithDoublePrecision) {
  const TinyPair pair;
  const Model baseline_model = Model::open(pair.first_folder.path()), model = Model::open(pair.second_folder.path());
  const TokenBlocks blocks = random_blocks(3, 10, 37);
  const Baseline baseline = read_baseline(baseline_model, blocks, 2, 1);  // KL over two of three blocks
  const Evaluation actual = evaluate(model, blocks, &baseline, 1);

  double log_likelihood = 0, divergence = 0;
  int flips = 0;
  for (Index i = 0; i < 3; ++i) {
    const std::vector<Token> block(blocks.block(i).begin(), blocks.block(i).end());
    const auto base = ReferenceForward(pair.first).logits(block), logits = ReferenceForward(pair.second).logits(block);
    for (std::size_t t = 0; t < block.size(); ++t) {
      const Vector p = log_softmax(base[t]), q = log_softmax(logits[t]);
      const auto best = [](const Vector& v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
      if (i < 2 && best(p) != best(q)) ++flips;
      if (t + 1 < block.size()) log_likelihood += q[static_cast<std::size_t>(block[t + 1])];
      for (std::size_t v = 0; i < 2 && v < p.size(); ++v) divergence += std::exp(p[v]) * (p[v] - q[v]);
    }
  }
  EXPECT_EQ(actual.scored_tokens, 3 * 9);
  EXPECT_EQ(actual.kl_positions, 2 * 10);
  // Logits agree to 1e-4 (forward_test.cpp), so do means of log-probabilities.
  EXPECT_NEAR(std::log(actual.perplexity), -log_likelihood / 27, 1e-4);
  EXPECT_NEAR(actual.kl, divergence / 20, 1e-4 * (1 + divergence / 20));
  EXPECT_GT(flips, 10);  // two models that have nothing to do with each other
  EXPECT_EQ(actual.flips, flips / 20.0);
}

TEST(EvaluateTest, AModelDoesNotDifferFromItself) {
  const TinyPair pair;
  const Model model = Model::open(pair.first_folder.path());
  const TokenBlocks blocks = random_blocks(4, 12, 37);
  const Baseline baseline = read_baseline(model, blocks, 0, 2);
  EXPECT_EQ(evaluate(model, blocks, &baseline, 2).kl, 0.0);
  EXPECT_EQ(evaluate(model, blocks, &baseline, 2).flips, 0.0);
  EXPECT_EQ(evaluate(model, blocks, nullptr, 2).kl, 0.0);
}

TEST(EvaluateTest, ThreadsChangeNothing) {
  const TinyPair pair;
  const Model model = Model::open(pair.first_folder.path());
  const TokenBlocks blocks = random_blocks(7, 12, 37);
  const QuantizedModel one = quantize_model(model, {.bits = 3}, 1);
  const QuantizedModel many = quantize_model(model, {.bits = 3}, 3);
  const Baseline baseline = read_baseline(model, blocks, 0, 1), other = read_baseline(model, blocks, 0, 3);
  const Evaluation a = evaluate(one.model, blocks, &baseline, 1), b = evaluate(many.model, blocks, &other, 3);
  EXPECT_EQ(a.perplexity, b.perplexity);
  EXPECT_EQ(a.kl, b.kl);
  EXPECT_EQ(overall(output_errors(model, one, blocks, 1)), overall(output_errors(model, many, blocks, 3)));
}

TEST(EvaluateTest, RefusesABaselineOfAnotherVocabulary) {
  const TinyPair pair;
  Json config = tiny_config("Qwen3ForCausalLM");
  config["vocab_size"] = 40;
  const TemporaryFolder folder("vocab");
  write_model(make_tiny_model(config, 1), folder.path());
  const TokenBlocks blocks = random_blocks(1, 4, 37);
  const Baseline baseline = read_baseline(Model::open(folder.path()), blocks, 0, 1);
  EXPECT_THROW(static_cast<void>(evaluate(Model::open(pair.first_folder.path()), blocks, &baseline, 1)), sinq::Error);
}

TEST(EvaluateTest, EmbeddedModelOnItsSamples) {
  const Model model = Model::open(embedded_model());
  TokenBlocks blocks = blocks_from_tokens(embedded_model() / "samples.safetensors", 256);
  ASSERT_EQ(blocks.count(), 256);
  blocks.limit(64);
  const Evaluation fp32 = evaluate(model, blocks, nullptr, 0);
  // Pinned; instruction sets differ by float rounding only, which the mean over 16320 tokens averages out.
  EXPECT_NEAR(fp32.perplexity, kPinnedPerplexity, 1e-3);
}

TEST(EvaluateTest, EmbeddedModelOnKnownText) {
  const auto text = shared_folder() / "text" / "wikitext2_test.txt";
  if (!std::filesystem::exists(text)) GTEST_SKIP() << "no " << text;
  const TokenBlocks blocks = blocks_from_text(Tokenizer::open(embedded_model()), text, 256);
  // Measured with another implementation: 20.205.
  EXPECT_NEAR(evaluate(Model::open(embedded_model()), blocks, nullptr, 0).perplexity, 20.205, 0.02);
}

TEST(QuantizeModelTest, CountsTheBlocksLinearLayersOnly) {
  const Model model = Model::open(embedded_model());
  const QuantizedModel quantized = quantize_model(model, {.bits = 4, .aux = sinq::AuxFormat::kF32}, 0);
  EXPECT_EQ(quantized.layers.size(), 4U * 7U);
  // Codes 4, scale and zero point 2 * 32 / 64, a column scale of 32 bits for 128 (q, o, down), 64 (k, v) or 384 (gate,
  // up) rows, and 32 bits of matrix scale.
  const double weights = 2 * 128 * 128 + 2 * 64 * 128 + 3 * 384 * 128;
  const double col_scales = 32 * (4 * 128 + 2 * 128 + 384);
  EXPECT_NEAR(quantized.bits_per_weight(), 4 + 1 + (col_scales + 7 * 32) / weights, 1e-12);
  EXPECT_EQ(model.stored_bits_per_weight(), 16.0);
}

TEST(QuantizeModelTest, ErrorsAreThoseOfTheWeights) {
  const TinyPair pair;
  const Model model = Model::open(pair.first_folder.path());
  const QuantizedModel quantized = quantize_model(model, {.bits = 2}, 1);
  double error = 0, norm = 0;
  for (const LinearId id : model.linears()) {
    const Index cols = model.linear(id).weight->cols(), rows = model.linear(id).weight->rows();
    std::vector<float> unit(static_cast<std::size_t>(cols)), w(static_cast<std::size_t>(rows)), q(w.size());
    for (std::size_t c = 0; c < unit.size(); ++c) {  // columns, out of the layers' own products
      std::fill(unit.begin(), unit.end(), 0.0F);
      unit[c] = 1.0F;
      model.linear(id).weight->multiply(unit.data(), 1, w.data());
      quantized.model.linear(id).weight->multiply(unit.data(), 1, q.data());
      for (std::size_t r = 0; r < w.size(); ++r) {
        error += std::pow(static_cast<double>(q[r]) - static_cast<double>(w[r]), 2);
        norm += std::pow(static_cast<double>(w[r]), 2);
      }
    }
  }
  EXPECT_NEAR(quantized.weight_error(), std::sqrt(error / norm), 1e-6);
  EXPECT_GT(quantized.weight_error(), 0.1);
}

TEST(QuantizeModelTest, OutputErrorsAreThoseOfTheOutputs) {
  const TinyPair pair;
  const Model model = Model::open(pair.first_folder.path());
  const QuantizedModel quantized = quantize_model(model, {.bits = 3}, 1);
  const TokenBlocks blocks = random_blocks(1, 9, 37);
  const auto errors = output_errors(model, quantized, blocks, 1);
  ASSERT_EQ(errors.size(), 14U);
  // The first layer's inputs are the normalized embeddings.
  const auto& norm = model.blocks[0].attention_norm;
  std::vector<float> hidden(9 * 24), x(9 * 24), y(9 * 48), approximate(9 * 48);
  for (Index t = 0; t < 9; ++t) model.embed(blocks.tokens[static_cast<std::size_t>(t)], hidden.data() + t * 24);
  rms_norm(hidden.data(), norm, 1e-5, 9, x.data());
  model.blocks[0].query.apply(x.data(), 9, y.data());
  quantized.model.blocks[0].query.apply(x.data(), 9, approximate.data());
  double error = 0, output = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    error += std::pow(static_cast<double>(approximate[i]) - static_cast<double>(y[i]), 2);
    output += std::pow(static_cast<double>(y[i]), 2);
  }
  EXPECT_NEAR(errors[0].relative(), std::sqrt(error / output), 1e-12);
}

TEST(TokenBlocksTest, CutsAndDropsTails) {
  const TemporaryFolder folder("tokens");
  TinyModel::Tensor tokens{{2, 7}, {}, DType::kI32};
  for (int i = 0; i < 14; ++i) tokens.values.push_back(i);
  write_tensors(folder.path() / "t.safetensors", {{"tokens", tokens}});
  TokenBlocks blocks = blocks_from_tokens(folder.path() / "t.safetensors", 3);
  EXPECT_EQ(blocks.tokens, (std::vector<Token>{0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12}));
  EXPECT_EQ(blocks.count(), 4);
  blocks.limit(2);
  EXPECT_EQ(blocks.count(), 2);
  blocks.limit(0);
  EXPECT_EQ(blocks.count(), 2);
  tokens.shape = {14};
  tokens.dtype = DType::kI64;
  write_tensors(folder.path() / "u.safetensors", {{"tokens", tokens}});
  EXPECT_EQ(blocks_from_tokens(folder.path() / "u.safetensors", 5).tokens.size(), 10U);
  EXPECT_THROW(static_cast<void>(blocks_from_tokens(folder.path() / "u.safetensors", 15)), sinq::Error);
  EXPECT_THROW(static_cast<void>(blocks_from_tokens(folder.path() / "u.safetensors", 1)), sinq::Error);
  tokens.values[3] = -1;
  write_tensors(folder.path() / "v.safetensors", {{"tokens", tokens}});
  EXPECT_THROW(static_cast<void>(blocks_from_tokens(folder.path() / "v.safetensors", 5)), sinq::Error);
  tokens.dtype = DType::kF32;
  write_tensors(folder.path() / "w.safetensors", {{"tokens", tokens}});
  EXPECT_THROW(static_cast<void>(blocks_from_tokens(folder.path() / "w.safetensors", 5)), sinq::Error);
  write_tensors(folder.path() / "x.safetensors", {{"ids", tokens}});
  EXPECT_THROW(static_cast<void>(blocks_from_tokens(folder.path() / "x.safetensors", 5)), sinq::Error);
}

}  // namespace
}  // namespace llm::test
