// Numbers that are not finite, on the way into GGUF files and out of them; and that float files run as they are.
#include <sinq/io/gguf_writer.hpp>

#include "gguf/program.hpp"
#include "gguf_models.hpp"
#include "llm/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace gguf::test {
namespace {

using llm::test::TinyModel;
using sinq::io::DType;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Outcome sinq_lm(const std::vector<std::string>& arguments) {
  return sinq::test::outcome_of(&llm::run_program, arguments);
}

Json whole_config() {
  Json config = llm::test::tiny_config("LlamaForCausalLM");
  config.update({{"vocab_size", 2048}, {"hidden_size", 64}, {"intermediate_size", 96}, {"eos_token_id", 0}});
  config.update({{"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 16}});
  config.update({{"attention_bias", true}, {"mlp_bias", true}, {"tie_word_embeddings", false}});
  return config;
}

TEST(GgufNonfinite, InAnyTensorOfAnyTypeIsRefusedByName) {
  const TemporaryFolder folder("gguf_nonfinite"), out("gguf_nonfinite_out");
  write_tiny_model(folder.path(), "LlamaForCausalLM");
  const std::vector<DType> stored{DType::kF32, DType::kF16, DType::kBf16, DType::kF64};
  const std::vector<std::vector<std::string>> types{{"f32"},
                                                    {"f16"},
                                                    {"bf16"},
                                                    {"q8_0"},
                                                    {"q4_0", "--fold"},
                                                    {"f32", "--fold"},
                                                    {"q4_0", "--importance", "sinkhorn"}};
  std::size_t next = 0;
  for (const auto& [name, unused] : llm::test::make_tiny_model(whole_config(), 1).tensors) {
    if (name.find("layers.0") != std::string::npos) continue;  // one layer stands for both
    TinyModel model = llm::test::make_tiny_model(whole_config(), 1, {stored[next % stored.size()]});
    auto& tensor = model.tensors.at(name);
    const sinq::Index cols = tensor.shape.back(), col = static_cast<sinq::Index>(next) % cols;
    const sinq::Index row = tensor.shape.size() == 1 ? 0 : 3;
    const bool is_nan = next++ % 2 == 0;
    tensor.values[static_cast<std::size_t>(row * cols + col)] = is_nan ? kNan : kInf;
    write_model(model, folder.path());
    for (const auto& type : types) {
      std::vector<std::string> command{folder.path().string(), "-o", (out.path() / "x.gguf").string(), "--type"};
      command.insert(command.end(), type.begin(), type.end());
      const Outcome answer = run(command);
      EXPECT_EQ(answer.status, 1) << name << " as " << type[0];
      EXPECT_THAT(answer.err, HasSubstr("tensor '" + name + "': row " + std::to_string(row) + ", column " +
                                        std::to_string(col) + " is " + (is_nan ? "nan" : "inf")));
      EXPECT_TRUE(std::filesystem::is_empty(out.path()));
    }
  }
}

TEST(GgufNonfinite, NumbersBeyondATypeAreToldFromNoNumbers) {
  const TemporaryFolder folder("gguf_beyond"), out("gguf_beyond_out");
  write_tiny_model(folder.path(), "LlamaForCausalLM");
  const auto err = [&](const std::string& name, double value, const std::string& type) {
    TinyModel model = llm::test::make_tiny_model(whole_config(), 1, {DType::kF64});
    model.tensors.at(name).values[5] = value;
    write_model(model, folder.path());
    const auto file = out.path() / "x.gguf";
    const Outcome answer = run({folder.path().string(), "-o", file.string(), "--type", type});
    std::filesystem::remove(file);
    return answer.err;
  };
  const std::string matrix = "model.layers.1.mlp.up_proj.weight", norm = "model.norm.weight";
  for (const std::string type : {"f32", "f16", "q8_0"}) {
    EXPECT_THAT(err(matrix, 1e300, type), HasSubstr("row 0, column 5 is 1e+300, which is beyond float32"));
    EXPECT_THAT(err(norm, -1e300, type), HasSubstr("row 0, column 5 is -1e+300, which is beyond float32"));
  }
  EXPECT_THAT(err(matrix, 70000, "f16"),
              AllOf(HasSubstr("tensor '" + matrix + "': row 0, column 5 is 70000"), HasSubstr("beyond f16")));
  EXPECT_THAT(err(matrix, 3.39e38, "f16"), HasSubstr("column 5 is 3.39e+38, which is beyond f16"));
  // Float32 has this number, and bfloat16 has one near it.
  EXPECT_THAT(err(matrix, 3.38e38, "bf16"), testing::Not(HasSubstr("beyond")));
  EXPECT_THAT(err(matrix, 3.39e38, "f32"), testing::Not(HasSubstr("beyond")));
}

/// The file with `bytes` at `at` of a tensor.
void patch(const std::filesystem::path& file, const std::string& tensor, std::size_t at, std::uint64_t bits,
           std::size_t size) {
  const auto opened = sinq::io::GgufFile::open(file);
  const auto begin = opened.at(tensor).begin;
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(static_cast<std::streamoff>(begin + at));
  stream.write(reinterpret_cast<const char*>(&bits), static_cast<std::streamsize>(size));
}

TEST(GgufNonfinite, FilesThatHoldSuchAreRefusedByName) {
  const TemporaryFolder folder("gguf_read");
  const auto refused = [&](GgufType type, const std::string& tensor, std::size_t at, std::uint64_t bits,
                           std::size_t size, const std::string& what) {
    const auto file = convert(folder, {.model = embedded_model(), .type = type, .embeddings = type});
    patch(file, tensor, at, bits, size);
    const std::string samples = (embedded_model() / "samples.safetensors").string();
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"generate", file.string(), "--prompt", "The war"},
          std::vector<std::string>{"perplexity", file.string(), "--tokens", samples, "--context", "16", "--limit", "1"},
          std::vector<std::string>{"layers", file.string(), "--tokens", samples, "--context", "16", "--limit", "1",
                                   "--baseline", embedded_model().string()}}) {
      const Outcome answer = sinq_lm(command);
      EXPECT_NE(answer.status, 0) << command[0] << ": " << what;
      EXPECT_THAT(answer.err, HasSubstr(what)) << command[0];
    }
  };
  refused(GgufType::kF32, "output_norm.weight", 4 * 7, 0x7fc00000, 4, "'output_norm.weight': row 0, column 7 is nan");
  refused(GgufType::kF32, "blk.1.attn_norm.weight", 0, 0xff800000, 4, "row 0, column 0 is -inf");
  refused(GgufType::kF16, "blk.2.ffn_up.weight", 2 * (128 + 9), 0x7c00, 2,
          "'model.layers.2.mlp.up_proj.weight': row 1, column 9 is inf");
  refused(GgufType::kQ8_0, "blk.2.ffn_up.weight", 34 * 5, 0x7e00, 2,  // the scale of row 1's second block
          "'model.layers.2.mlp.up_proj.weight': row 1, column 32 is nan");
}

TEST(GgufFloats, RunAsTheyAreUnlessAFlagAsksForMore) {
  const TemporaryFolder folder("gguf_as_stored");
  const std::string samples = (embedded_model() / "samples.safetensors").string();
  const auto json_file = folder.path() / "result.json";
  const auto scored = [&](const std::filesystem::path& model, const std::vector<std::string>& more) {
    std::vector<std::string> command{"perplexity", model.string(), "--tokens", samples,  "--context",
                                     "64",         "--limit",      "2",        "--json", json_file.string(),
                                     "--force"};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome answer = sinq_lm(command);
    EXPECT_EQ(answer.status, 0) << answer.err;
    return answer.out;
  };
  const std::vector<std::string> against{"--baseline", embedded_model().string()};
  static_cast<void>(scored(embedded_model(), {"--method", "fp32"}));
  const double original = llm::read_json(json_file)["perplexity"].get<double>();
  for (const auto& [type, bits] : {std::pair("f32", 32.0), std::pair("f16", 16.0), std::pair("bf16", 16.0)}) {
    const auto file = folder.path() / (std::string(type) + ".gguf");
    ASSERT_EQ(run({embedded_model().string(), "-o", file.string(), "--type", type}).status, 0);
    EXPECT_THAT(scored(file, against), StartsWith("model            " + file.string() + ", " + type + " as stored\n"));
    const Json json = llm::read_json(json_file);
    EXPECT_EQ(json["settings"], (Json{{"method", "fp32"}}));
    EXPECT_EQ(json["bits_per_weight"], bits);
    EXPECT_NEAR(json["perplexity"].get<double>(), original, 1e-3 * original);
    EXPECT_NEAR(json["kl"].get<double>(), 0.0, 1e-4);
    // The embedded model is bf16: f16 alone rounds, what is small.
    EXPECT_NEAR(json["weight_error"].get<double>(), 0.0, 1e-4);
    EXPECT_EQ(json["weight_error"].get<double>() == 0.0, std::string(type) != "f16") << type;
    EXPECT_THAT(scored(file, {"--bits", "4"}), HasSubstr(std::string(type) + " quantized now: uniform"));
    EXPECT_LT(llm::read_json(json_file)["bits_per_weight"].get<double>(), 5.0);
    EXPECT_THAT(scored(file, {"--method", "rtn"}), HasSubstr("quantized now"));
    const Outcome layers = sinq_lm({"layers", file.string(), "--tokens", samples, "--context", "64", "--limit", "1",
                                    "--baseline", embedded_model().string()});
    EXPECT_EQ(layers.status, 0) << layers.err;
    EXPECT_THAT(layers.out, HasSubstr("output error 0.000"));
    const Outcome alone = sinq_lm({"layers", file.string(), "--tokens", samples, "--context", "64", "--limit", "1"});
    EXPECT_NE(alone.status, 0);
    EXPECT_THAT(alone.err, HasSubstr("--baseline: this model runs as it is stored"));
    const Outcome words = sinq_lm({"generate", file.string(), "--prompt", "The war", "--max-tokens", "8"});
    const Outcome expected = sinq_lm(
        {"generate", embedded_model().string(), "--prompt", "The war", "--max-tokens", "8", "--method", "fp32"});
    EXPECT_EQ(words.out, expected.out);
  }
  const auto blocks = folder.path() / "q8_0.gguf";
  ASSERT_EQ(run({embedded_model().string(), "-o", blocks.string(), "--type", "q8_0"}).status, 0);
  EXPECT_THAT(scored(blocks, against), StartsWith("model            " + blocks.string() + ", q8_0 as stored\n"));
}

TEST(GgufSource, TensorsThatNobodyAskedForAreRefusedByName) {
  const TemporaryFolder folder("gguf_unknown");
  const auto file = convert(folder, {.model = embedded_model(), .type = GgufType::kQ8_0});
  const auto opened = sinq::io::GgufFile::open(file);
  for (const std::string name : {"blk.1.attn_q.bias", "blk.3.ffn_up.scale", "output.bias", "blk.4.attn_norm.weight"}) {
    auto tensors = opened.tensors();
    tensors.push_back({name, GgufType::kF32, {128}});
    const auto path = folder.path() / "unknown.gguf";
    sinq::io::GgufWriter writer(path, sinq::io::plan_gguf(opened.metadata(), tensors));
    for (const auto& tensor : writer.plan().tensors) writer.write(std::vector<std::byte>(tensor.end - tensor.begin));
    writer.commit();
    const Outcome answer = sinq_lm({"generate", path.string(), "--prompt", "The war"});
    EXPECT_NE(answer.status, 0);
    EXPECT_THAT(answer.err, HasSubstr("unknown.gguf: tensor '" + name + "'"));
  }
}

}  // namespace
}  // namespace gguf::test
