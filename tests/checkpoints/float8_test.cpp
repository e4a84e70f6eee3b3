// A checkpoint in 8-bit floats is for every program what its weights stand for.
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/float8.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "fold/program.hpp"
#include "gguf/program.hpp"
#include "llm/json_file.hpp"
#include "llm/program.hpp"
#include "llm/tensors.hpp"
#include "quantize/linear_layers.hpp"
#include "quantize/program.hpp"
#include "support/outcome.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <list>
#include <sstream>

namespace float8_checkpoints_test {
namespace {

namespace fs = std::filesystem;
using llm::Json;
using sinq::Index;
using sinq::io::Checkpoint;
using sinq::io::DType;
using sinq_test::content_of;
using sinq_test::TemporaryFolder;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

const fs::path kModel = fs::path(SINQ_TEST_SOURCE_DIR) / "examples/data/lm1m";
constexpr Index kBlockRows = 64, kBlockCols = 32;

using sinq::test::Outcome;
using Program = int (*)(const std::vector<std::string>&, std::ostream&, std::ostream&);

Outcome run(Program program, const std::vector<std::string>& arguments) {
  return sinq::test::outcome_of(program, arguments);
}

/// A program that is no library, by its file.
Outcome run(const char* program, const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "out", err = folder.path() / "err";
  std::string command = std::string("'") + program + "'";
  for (const auto& argument : arguments) command += " '" + argument + "'";
  const int status = std::system((command + " >'" + out.string() + "' 2>'" + err.string() + "'").c_str());
  return {WEXITSTATUS(status), content_of(out), content_of(err)};
}

/// The code of the nearest value of E4M3.
std::uint8_t e4m3_of(float value) {
  int best = 0;
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7f) == 0x7f) continue;
    const auto distance = [&](int of) {
      return std::abs(sinq::io::e4m3_to_float(static_cast<std::uint8_t>(of)) - value);
    };
    if (distance(code) < distance(best)) best = code;
  }
  return static_cast<std::uint8_t>(best);
}

/// The embedded model in two forms: its linear layers as E4M3 with a scale per block, and the values of these in F32.
class Float8Programs : public testing::Test {
 protected:
  void SetUp() override { write(); }

  /// `bad_layer`: gets a NaN code at [3, 5].
  void write(const std::string& bad_layer = "") {
    const auto model = Checkpoint::open(kModel);
    std::list<std::vector<std::byte>> memory;
    std::vector<sinq::io::TensorData> coded, plain;
    for (const auto& tensor : model.tensors()) {
      const auto& info = tensor.info;
      if (!convert::is_linear_layer(info)) {
        coded.push_back({info.name, info.dtype, info.shape, tensor.bytes()});
        plain.push_back(coded.back());
        continue;
      }
      const Index rows = info.shape[0], cols = info.shape[1];
      const Index blocks_down = sinq::ceil_div(rows, kBlockRows), blocks_across = sinq::ceil_div(cols, kBlockCols);
      std::vector<float> weights(static_cast<std::size_t>(rows * cols));
      for (Index r = 0; r < rows; ++r) llm::read_row(info.name, tensor.matrix_view(), r, weights.data() + r * cols);
      std::vector<float> scales(static_cast<std::size_t>(blocks_down * blocks_across));
      const auto scale_at = [&](Index r, Index c) -> float& {
        return scales[static_cast<std::size_t>(r / kBlockRows * blocks_across + c / kBlockCols)];
      };
      for (Index i = 0; i < rows * cols; ++i) {
        float& scale = scale_at(i / cols, i % cols);
        scale = std::max(scale, std::abs(weights[static_cast<std::size_t>(i)]) / 448.0F);
      }
      auto& codes = memory.emplace_back(weights.size());
      for (Index i = 0; i < rows * cols; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const float scale = scale_at(i / cols, i % cols);
        const std::uint8_t code = e4m3_of(weights[at] / scale);
        codes[at] = std::byte{code};
        weights[at] = sinq::io::e4m3_to_float(code) * scale;
      }
      if (info.name == bad_layer) codes[static_cast<std::size_t>(3 * cols + 5)] = std::byte{0x7f};
      const auto keep = [&](const std::vector<float>& values) {
        const auto bytes = std::as_bytes(std::span(values));
        return std::span<const std::byte>(memory.emplace_back(bytes.begin(), bytes.end()));
      };
      coded.push_back({info.name, DType::kF8E4M3, info.shape, codes});
      coded.push_back({info.name + "_scale_inv", DType::kF32, {blocks_down, blocks_across}, keep(scales)});
      plain.push_back({info.name, DType::kF32, info.shape, keep(weights)});
    }
    Json config = llm::read_json(kModel / "config.json");
    write_model(plain_, plain, config);
    config["quantization_config"] = {
        {"quant_method", "fp8"}, {"activation_scheme", "dynamic"}, {"weight_block_size", {kBlockRows, kBlockCols}}};
    write_model(coded_, coded, config);
  }

  static void write_model(const fs::path& folder, const std::vector<sinq::io::TensorData>& tensors,
                          const Json& config) {
    fs::create_directories(folder);
    sinq::io::write_safetensors(folder / "model.safetensors", tensors);
    std::ofstream(folder / "config.json") << config.dump(2);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "samples.safetensors"}) {
      fs::copy_file(kModel / name, folder / name, fs::copy_options::overwrite_existing);
    }
  }

  [[nodiscard]] std::string path(const char* name) const { return (folder_.path() / name).string(); }

  TemporaryFolder folder_;
  fs::path coded_ = folder_.path() / "coded", plain_ = folder_.path() / "plain";
};

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const auto first = Checkpoint::open(a), second = Checkpoint::open(b);
  ASSERT_EQ(first.tensors().size(), second.tensors().size());
  for (const auto& tensor : first.tensors()) {
    const auto& other = second.at(tensor.info.name);
    EXPECT_EQ(tensor.info.dtype, other.info.dtype) << tensor.info.name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), other.bytes())) << tensor.info.name;
  }
}

TEST_F(Float8Programs, SinqQuantizeWritesTheSameAsOfFloats) {
  for (const auto& [in, out] : {std::pair{coded_, "a"}, {plain_, "b"}}) {
    const Outcome outcome = run(convert::run_program, {in.string(), "-o", path(out)});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("28 to quantize"));
  }
  EXPECT_TRUE(content_of(path("a") + "/model.safetensors") == content_of(path("b") + "/model.safetensors"));
  EXPECT_EQ(content_of(path("a") + "/config.json"), content_of(path("b") + "/config.json"));
}

TEST_F(Float8Programs, WhatSinqQuantizeKeepsBecomesBfloat16) {
  const Outcome outcome = run(convert::run_program, {coded_.string(), "-o", path("a"), "--exclude", "*.up_proj.*"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto floats = Checkpoint::open(plain_), kept = Checkpoint::open(path("a"));
  const std::string name = "model.layers.2.mlp.up_proj.weight";
  const auto view = kept.at(name).matrix_view(), expected = floats.at(name).matrix_view();
  EXPECT_EQ(kept.at(name).info.dtype, DType::kBf16);
  EXPECT_EQ(kept.files()[0].find(name + "_scale_inv"), nullptr);
  std::vector<float> row(static_cast<std::size_t>(view.cols)), expected_row(row.size());
  for (Index r = 0; r < view.rows; ++r) {
    llm::read_row(name, view, r, row.data());
    llm::read_row(name, expected, r, expected_row.data());
    for (std::size_t c = 0; c < row.size(); ++c) {
      EXPECT_EQ(row[c], sinq::bfloat16_to_float(sinq::float_to_bfloat16(expected_row[c])));
    }
  }
  EXPECT_EQ(llm::read_json(fs::path(path("a")) / "config.json")["quantization_config"]["quant_method"], "sinq-packed");
}

TEST_F(Float8Programs, SinqGgufWritesTheSameAsOfFloats) {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{"--type", "q4_0"}, {"--type", "f16", "--fold"}}) {
    for (const auto& [in, out] : {std::pair{coded_, "a.gguf"}, {plain_, "b.gguf"}}) {
      std::vector<std::string> arguments{in.string(), "-o", path(out), "--name", "x"};
      arguments.insert(arguments.end(), flags.begin(), flags.end());
      const Outcome outcome = run(gguf::run_program, arguments);
      ASSERT_EQ(outcome.status, 0) << outcome.err;
    }
    EXPECT_TRUE(content_of(path("a.gguf")) == content_of(path("b.gguf"))) << flags[1];
    fs::remove(path("a.gguf"));
    fs::remove(path("b.gguf"));
  }
}

TEST_F(Float8Programs, SinqFoldWritesTheSameAsOfFloats) {
  for (const std::string type : {"float32", "bfloat16"}) {
    for (const auto& [in, out] : {std::pair{coded_, "a"}, {plain_, "b"}}) {
      const Outcome outcome = run(fold_program::run_program, {in.string(), "-o", path(out) + type, "--dtype", type});
      ASSERT_EQ(outcome.status, 0) << outcome.err;
    }
    expect_same_tensors(path("a") + type, path("b") + type);
    EXPECT_EQ(content_of(path("a") + type + "/config.json"), content_of(path("b") + type + "/config.json"));
  }
  // Their own type is not there for folded weights.
  const Outcome outcome = run(fold_program::run_program, {coded_.string(), "-o", path("c"), "--check", "--limit", "1"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto folded = Checkpoint::open(path("c"));
  for (const auto& tensor : folded.tensors()) EXPECT_EQ(tensor.info.dtype, DType::kBf16) << tensor.info.name;
  EXPECT_FALSE(llm::read_json(fs::path(path("c")) / "config.json").contains("quantization_config"));
}

TEST_F(Float8Programs, SinqLmRunsThem) {
  const std::vector<std::string> text{
      "--tokens", (kModel / "samples.safetensors").string(), "--context", "64", "--limit", "2"};
  std::vector<std::string> perplexities;
  for (const std::vector<std::string>& flags : {std::vector<std::string>{"--method", "fp32"}, {"--bits", "4"}}) {
    for (const fs::path& model : {coded_, plain_}) {
      std::vector<std::string> arguments{"perplexity", model.string()};
      arguments.insert(arguments.end(), text.begin(), text.end());
      arguments.insert(arguments.end(), flags.begin(), flags.end());
      const Outcome outcome = run(llm::run_program, arguments);
      ASSERT_EQ(outcome.status, 0) << outcome.err;
      const auto at = outcome.out.find("perplexity ");
      ASSERT_NE(at, std::string::npos) << outcome.out;
      perplexities.push_back(outcome.out.substr(at, outcome.out.find('\n', at) - at));
    }
  }
  EXPECT_EQ(perplexities[0], perplexities[1]);
  EXPECT_EQ(perplexities[2], perplexities[3]);
  EXPECT_NE(perplexities[0], perplexities[2]);
}

TEST_F(Float8Programs, WriteReferenceWritesTheSameAsOfFloats) {
  for (const auto& [in, out] : {std::pair{coded_, "a"}, {plain_, "b"}}) {
    const Outcome outcome = run(SINQ_WRITE_REFERENCE, {in.string(), "-o", path(out)});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("28 layers"));
  }
  expect_same_tensors(path("a"), path("b"));
  EXPECT_EQ(content_of(path("a") + "/config.json"), content_of(path("b") + "/config.json"));
}

TEST_F(Float8Programs, QuantizeModelMeasuresTheSame) {
  // All but the speed.
  const auto figures = [](const Outcome& outcome) {
    std::istringstream lines(outcome.out.substr(std::min(outcome.out.find("Total of"), outcome.out.size())));
    std::string out;
    for (std::string line; std::getline(lines, line);) out += line.substr(0, 60) + "\n";
    return out;
  };
  const Outcome coded = run(SINQ_QUANTIZE_MODEL, {coded_.string(), "--only-totals", "--bits", "4"});
  const Outcome plain = run(SINQ_QUANTIZE_MODEL, {plain_.string(), "--only-totals", "--bits", "4"});
  ASSERT_EQ(coded.status, 0) << coded.err;
  EXPECT_THAT(coded.out, HasSubstr("Total of 28 linear layers"));
  EXPECT_EQ(figures(coded), figures(plain));
}

TEST_F(Float8Programs, NanCodesAreRefusedByNameRowAndColumn) {
  const std::string layer = "model.layers.1.mlp.down_proj.weight";
  write(layer);
  const auto refused = [&](const Outcome& outcome) {
    EXPECT_EQ(outcome.status, 1) << outcome.out;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(layer), HasSubstr("row 3, column 5 is nan")));
  };
  refused(run(convert::run_program, {coded_.string(), "-o", path("a")}));
  refused(run(convert::run_program, {coded_.string(), "-o", path("b"), "--exclude", "*.down_proj.*"}));
  refused(run(fold_program::run_program, {coded_.string(), "-o", path("c")}));
  refused(run(gguf::run_program, {coded_.string(), "-o", path("d.gguf"), "--type", "f16"}));
}

TEST_F(Float8Programs, OtherQuantizationsAreNotTakenForFloats) {
  for (const Json& other :
       {Json{{"quant_method", "gptq"}, {"bits", 4}}, Json{{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}},
        Json{{"quant_method", "compressed-tensors"},
             {"config_groups", {{"group_0", {{"weights", {{"type", "int"}, {"num_bits", 8}}}}}}}},
        Json{{"quant_method", "compressed-tensors"},
             {"transform_config", {{"config_groups", {{"R1", Json::object()}}}}},
             {"config_groups", {{"group_0", {{"weights", {{"type", "float"}, {"num_bits", 8}}}}}}}}}) {
    Json config = llm::read_json(plain_ / "config.json");
    config["quantization_config"] = other;
    std::ofstream(plain_ / "config.json") << config.dump();
    for (const Outcome& outcome : {run(convert::run_program, {plain_.string(), "-o", path("a")}),
                                   run(fold_program::run_program, {plain_.string(), "-o", path("a")}),
                                   run(gguf::run_program, {plain_.string(), "-o", path("a"), "--type", "f16"}),
                                   run(SINQ_WRITE_REFERENCE, {plain_.string(), "-o", path("a")})}) {
      EXPECT_EQ(outcome.status, 1);
      EXPECT_THAT(outcome.err, HasSubstr("quantization_config")) << other;
      EXPECT_FALSE(fs::exists(path("a")));
    }
  }
}

TEST_F(Float8Programs, AModelInWhichNothingIsQuantizedIsRefused) {
  const std::string bytes(8 * 16, '\x3c');
  sinq::io::write_safetensors(
      coded_ / "model.safetensors",
      std::vector<sinq::io::TensorData>{{"layers.0.q_proj.weight", DType::kI8, {8, 16}, sinq_test::bytes_of(bytes)}});
  std::ofstream(coded_ / "config.json") << "{}";
  for (const Outcome& outcome :
       {run(convert::run_program, {coded_.string(), "-o", path("a")}),
        run(SINQ_WRITE_REFERENCE, {coded_.string(), "-o", path("a")}), run(SINQ_QUANTIZE_MODEL, {coded_.string()})}) {
    EXPECT_EQ(outcome.status, 1);
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr("nothing to quantize"), HasSubstr("1: dtype I8 ('layers.0.q_proj.weight')")));
    EXPECT_FALSE(fs::exists(path("a")));
  }
}

}  // namespace
}  // namespace float8_checkpoints_test
