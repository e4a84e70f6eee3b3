#include <sinq/dequantize.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/quantized_writer.hpp>
#include <sinq/io/reference_checkpoint.hpp>
#include <sinq/io/reference_writer.hpp>

#include "llm/evaluate.hpp"
#include "llm/quantize_model.hpp"
#include "outcome.hpp"
#include "paths.hpp"
#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

namespace llm::test {
namespace {

using sinq::io::NamedMatrix;

/// Writes the model of `folder` to `out` with these matrices quantized, the other tensors and files as they are.
void write_stored(const std::filesystem::path& folder, const std::vector<NamedMatrix>& matrices,
                  const std::filesystem::path& out) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") std::filesystem::copy(entry.path(), out / entry.path().filename());
  }
  const auto files = sinq::io::Checkpoint::open(folder);
  std::vector<sinq::io::TensorData> others;
  for (const auto& tensor : files.tensors()) {
    const bool quantized = std::any_of(matrices.begin(), matrices.end(),
                                       [&](const NamedMatrix& matrix) { return matrix.name == tensor.info.name; });
    if (!quantized) others.push_back({tensor.info.name, tensor.info.dtype, tensor.info.shape, tensor.bytes()});
  }
  sinq::io::write_quantized(out / "model.safetensors", matrices, others);
}

/// The linear layers of `model`, as `settings` say.
void write_quantized_model(const std::filesystem::path& folder, const QuantizeSettings& settings,
                           const std::filesystem::path& out) {
  const Model model = Model::open(folder);
  const auto matrices = quantize_linears(model, settings, 0);
  std::vector<NamedMatrix> named;
  for (const LinearId id : model.linears()) named.push_back({id.name() + ".weight", matrices[named.size()]});
  write_stored(folder, named, out);
}

/// Of the lines of a result, all but the first, which says what runs.
std::string without_model(const std::string& text) { return text.substr(text.find('\n')); }
/// And without that of the seconds.
std::string without_seconds(const std::string& text) { return without_model(text.substr(0, text.find("seconds"))); }

const std::vector<std::string> kData{
    "--tokens", (embedded_model() / "samples.safetensors").string(), "--context", "64", "--limit", "2"};

std::vector<std::string> with_data(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), kData.begin(), kData.end());
  return arguments;
}

struct StoredCase {
  std::string name;
  QuantizeSettings settings;
  std::vector<std::string> flags;
};

std::ostream& operator<<(std::ostream& out, const StoredCase& c) { return out << c.name; }

class StoredTest : public testing::TestWithParam<StoredCase> {};

// The figures of a stored model are those of the one that is quantized on the fly, to the last printed digit.
TEST_P(StoredTest, ScoresAsIfQuantizedNow) {
  const TemporaryFolder stored("stored");
  write_quantized_model(embedded_model(), GetParam().settings, stored.path());
  std::vector<std::string> now = with_data({"perplexity", embedded_model().string()});
  now.insert(now.end(), GetParam().flags.begin(), GetParam().flags.end());
  const Outcome expected = run(now);
  ASSERT_EQ(expected.status, 0) << expected.err;
  std::vector<std::string> then =
      with_data({"perplexity", stored.path().string(), "--baseline", embedded_model().string()});
  if (GetParam().settings.activations == sinq::Precision::kInt8) then.insert(then.end(), {"--activations", "int8"});
  const Outcome actual = run(then);
  ASSERT_EQ(actual.status, 0) << actual.err;
  EXPECT_EQ(without_seconds(actual.out), without_seconds(expected.out));
  EXPECT_THAT(actual.out, testing::HasSubstr(" open, 0.00 quantize"));
}

INSTANTIATE_TEST_SUITE_P(, StoredTest,
                         testing::Values(StoredCase{"defaults", {}, {}},
                                         StoredCase{"int8",
                                                    {.bits = 3, .activations = sinq::Precision::kInt8},
                                                    {"--bits", "3", "--activations", "int8"}},
                                         StoredCase{"nf4_u8",
                                                    {.quantizer = QuantizerName::kNf4, .aux = sinq::AuxFormat::kU8},
                                                    {"--method", "sinq-nf4", "--aux", "u8"}},
                                         StoredCase{"trellis",
                                                    {.quantizer = QuantizerName::kTrellis, .rate = 2.5},
                                                    {"--method", "sinq-trellis", "--rate", "2.5"}}),
                         [](const auto& test) { return test.param.name; });

/// The linear layers of `model`, as `settings` say, in the layout of the SINQ reference.
void write_reference_model(const std::filesystem::path& folder, const QuantizeSettings& settings,
                           const std::filesystem::path& out) {
  const Model model = Model::open(folder);
  const auto matrices = quantize_linears(model, settings, 0);
  const auto files = sinq::io::Checkpoint::open(folder);
  sinq::io::ReferenceSidecar sidecar;
  std::vector<sinq::io::OwnedTensor> layers;
  std::vector<sinq::io::TensorData> tensors;
  for (const LinearId id : model.linears()) {
    auto layer = reference_layer_data(id.name(), matrices[sidecar.size()], sinq::io::ReferenceAux::kF16);
    sidecar.emplace(id.name(), layer.meta);
    std::move(layer.tensors.begin(), layer.tensors.end(), std::back_inserter(layers));
  }
  for (const auto& [info, bytes] : layers) tensors.push_back({info.name, info.dtype, info.shape, bytes});
  for (const auto& tensor : files.tensors()) {
    const std::string name = tensor.info.name.substr(0, tensor.info.name.rfind('.'));
    if (!sidecar.contains(name))
      tensors.push_back({tensor.info.name, tensor.info.dtype, tensor.info.shape, tensor.bytes()});
  }
  sinq::io::write_safetensors(out / "model.safetensors", tensors);
  std::ofstream(out / sinq::io::kReferenceSidecarName) << reference_sidecar_json(sidecar);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) std::filesystem::copy(folder / name, out / name);
  std::ostringstream config;
  config << std::ifstream(folder / "config.json").rdbuf();
  std::ofstream(out / "config.json") << sinq::io::reference_config_json(config.str(), sidecar.begin()->second);
}

// f16 aux and powers of two: the reference's layout holds the same weights.
TEST(StoredModelTest, TheReferencesLayoutScoresAsIfQuantizedNow) {
  const TemporaryFolder stored("reference");
  write_reference_model(embedded_model(), {}, stored.path());
  const Outcome expected = run(with_data({"perplexity", embedded_model().string()}));
  const Outcome actual =
      run(with_data({"perplexity", stored.path().string(), "--baseline", embedded_model().string()}));
  ASSERT_EQ(actual.status, 0) << actual.err;
  // Bits per weight differ: matrix_scale is not stored.
  const auto figures = [](const std::string& text) { return text.substr(text.find("perplexity"), 60); };
  EXPECT_EQ(figures(actual.out), figures(expected.out));
}

TEST(StoredModelTest, OpeningTouchesNoWeight) {
  const TemporaryFolder stored("untouched");
  write_quantized_model(embedded_model(), {}, stored.path());
  const Model model = Model::open(stored.path());
  EXPECT_TRUE(model.tensors->is_quantized());
  // The codes are those of the file, not a copy.
  const auto files = sinq::io::Checkpoint::open(stored.path());
  const auto codes = model.tensors->quantized(LinearId{0, 0}.name() + ".weight");
  ASSERT_TRUE(codes.has_value());
  EXPECT_EQ(codes->layout(), files.quantized(LinearId{0, 0}.name() + ".weight").layout());
  EXPECT_EQ(model.stored_bits_per_weight(), quantize_model(Model::open(embedded_model()), {}, 0).bits_per_weight());
}

// Embedding and head in codes, too: rows of the table are decoded when they are looked up.
TEST(StoredModelTest, EmbeddingAndHeadMayBeQuantized) {
  const TinyModel tiny = make_tiny_model(tiny_config("Qwen3ForCausalLM"), 3);
  const TemporaryFolder folder("dense"), stored("table"), decoded_folder("decoded");
  write_model(tiny, folder.path());
  sinq::Layout layout{.rows = 37, .cols = 24, .group_size = 8, .row_block = 37, .col_scale = sinq::ColScaleKind::kNone};
  layout.offset = sinq::OffsetKind::kShared;
  layout.shared_zero_point = 7.5F;
  sinq::QuantizedMatrix q(layout);
  sinq::test::Random random(1);
  for (std::byte& b : q.region(sinq::Region::kCodes)) b = static_cast<std::byte>(random.between(0, 255));
  for (std::size_t i = 1; i < q.region(sinq::Region::kGroupScale).size(); i += 2) {
    q.region(sinq::Region::kGroupScale)[i] = std::byte{0x30};  // 2^-3
  }
  const std::string name = "model.embed_tokens.weight";
  write_stored(folder.path(), {{name, q}}, stored.path());
  TinyModel decoded = tiny;
  std::vector<float> floats(37 * 24);
  sinq::dequantize_into(q, floats);
  decoded.tensors[name].values.assign(floats.begin(), floats.end());
  write_model(decoded, decoded_folder.path());

  const Model codes = Model::open(stored.path()), dense = Model::open(decoded_folder.path());
  std::vector<float> a(24), b(24);
  for (Token token = 0; token < 37; ++token) {
    codes.embed(token, a.data());
    dense.embed(token, b.data());
    ASSERT_EQ(a, b) << token;
  }
  std::vector<float> x(37), y(37);
  codes.head.apply(a.data(), 1, x.data());
  dense.head.apply(a.data(), 1, y.data());
  // Sums of 24 products of at most 1 in another order: 48 roundings of partial sums of at most 24.
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 48 * 24 * 0x1p-24) << i;
}

TEST(StoredModelTest, CommandsSayWhatCannotBe) {
  const TemporaryFolder stored("commands");
  write_quantized_model(embedded_model(), {}, stored.path());
  const std::string model = stored.path().string();
  const auto refused = [&](const std::vector<std::string>& arguments, const char* what) {
    const Outcome outcome = run(arguments);
    EXPECT_NE(outcome.status, 0) << what;
    EXPECT_THAT(outcome.err, testing::AllOf(testing::HasSubstr(what), testing::HasSubstr("quantized already")));
  };
  refused(with_data({"perplexity", model, "--bits", "4"}), "--bits");
  refused(with_data({"perplexity", model, "--method", "sinq"}), "--method");
  refused(with_data({"perplexity", model, "--max-bits-per-weight", "4.5"}), "--max-bits-per-weight");
  const std::string text = (embedded_model() / "tokenizer.json").string();
  refused(with_data({"perplexity", model, "--calibrate", text, "--calibrate-with", "gptq"}), "--calibrate-with");
  refused({"generate", model, "--prompt", "The", "--aux", "u8"}, "--aux");
  refused(with_data({"compare", model}), "compare");
  refused(with_data({"layers", model}), "--baseline");
  refused(with_data({"layers", embedded_model().string(), "--baseline", model}), "--baseline");

  // Without the original, what is said is what is known.
  const Outcome alone = run(with_data({"perplexity", model, "--method", "fp32"}));
  ASSERT_EQ(alone.status, 0) << alone.err;
  EXPECT_THAT(alone.out, testing::Not(testing::HasSubstr("kl")));
  EXPECT_THAT(alone.out, testing::Not(testing::HasSubstr("weight error")));

  const Outcome words = run({"generate", model, "--prompt", "The war", "--max-tokens", "8"});
  const Outcome expected = run({"generate", embedded_model().string(), "--prompt", "The war", "--max-tokens", "8"});
  EXPECT_EQ(words.status, 0) << words.err;
  EXPECT_EQ(words.out, expected.out);

  const Outcome layers = run(with_data({"layers", model, "--baseline", embedded_model().string()}));
  EXPECT_EQ(layers.status, 0) << layers.err;
  EXPECT_THAT(layers.out, testing::StartsWith("model            " + model + ", 4-bit codes as stored\n"));
  EXPECT_EQ(without_model(layers.out), without_model(run(with_data({"layers", embedded_model().string()})).out));
}

TEST(StoredModelTest, DamagedFoldersAreRefusedByName) {
  const TinyModel tiny = make_tiny_model(tiny_config("Qwen3ForCausalLM"), 1);
  const TemporaryFolder folder("whole"), stored("other_shape");
  write_model(tiny, folder.path());
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const sinq::QuantizedMatrix q({.rows = 24, .cols = 40, .row_block = 24});
  write_stored(folder.path(), {{name, q}}, stored.path());
  try {
    static_cast<void>(Model::open(stored.path()));
    FAIL();
  } catch (const sinq::Error& e) {
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr(name), testing::HasSubstr("[24, 40]"),
                                         testing::HasSubstr("[40, 24]")));
  }
}

}  // namespace
}  // namespace llm::test
