#include <sinq/any_config.hpp>
#include <sinq/dequantize.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "quantize_support.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace convert::test {
namespace {

using nlohmann::json;
using sinq::io::Checkpoint;
using sinq::io::DType;
using testing::HasSubstr;

const std::string kLayer = "model.layers.2.mlp.up_proj.weight";

std::vector<std::string> command(const std::filesystem::path& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{kModel.string(), "-o", out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

json read(const std::filesystem::path& path) { return json::parse(sinq_test::content_of(path)); }

TEST(Quantize, TheResultHoldsWhatQuantizeMakesAndEverythingElseAsItWas) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const Outcome outcome = run(command(out, {"--bits", "3", "--group-size", "32"}));
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  const auto input = Checkpoint::open(kModel);
  const auto output = Checkpoint::open(out);
  ASSERT_EQ(output.quantized_names().size(), 28U);
  const sinq::AnyConfig config = sinq::Config<>{.quantizer = {.bits = 3}, .group_size = 32};
  const sinq::QuantizedMatrix expected =
      sinq::quantize(input.at(kLayer).matrix_view(), config, {}, sinq::ThreadPool(1));
  const sinq::QuantizedView view = output.quantized(kLayer), expected_view = expected.view();
  EXPECT_EQ(view.layout(), expected.layout());
  const auto bytes = sinq::io::quantized_tensor_bytes(view);
  const auto expected_bytes = sinq::io::quantized_tensor_bytes(expected_view);
  ASSERT_EQ(bytes.size(), expected_bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_TRUE(std::ranges::equal(bytes[i], expected_bytes[i])) << i;

  std::size_t copied = 0;
  for (const auto& tensor : input.tensors()) {
    const auto* found = output.find(tensor.info.name);
    if (found == nullptr) continue;
    ++copied;
    EXPECT_TRUE(std::ranges::equal(found->bytes(), tensor.bytes())) << tensor.info.name;
  }
  EXPECT_EQ(copied, input.tensors().size() - 28);
  auto small = contents(out), source = contents(kModel);
  EXPECT_EQ(small["tokenizer.json"], source["tokenizer.json"]);
  EXPECT_FALSE(small.contains("samples.safetensors"));
  json description = read(out / "config.json");
  EXPECT_EQ(description["quantization_config"]["settings"][0]["bits"], 3);
  description.erase("quantization_config");
  EXPECT_EQ(description, json::parse(source["config.json"]));
}

TEST(Quantize, TheForecastIsWhatIsWritten) {
  const std::vector<std::vector<std::string>> settings{{"--max-bits-per-weight", "4.5"},
                                                       {"--aux", "u6", "--max-shard-size", "100KB"}};
  for (const auto& flags : settings) {
    const TemporaryFolder folder;
    const auto out = folder.path() / "out";
    const auto arguments = command(out, flags);
    auto dry = arguments;
    dry.push_back("--dry-run");
    const Outcome forecast = run(dry);
    ASSERT_EQ(forecast.status, kDone) << forecast.err;
    EXPECT_FALSE(std::filesystem::exists(out));
    ASSERT_EQ(run(arguments).status, kDone);
    const auto files = contents(out);
    EXPECT_THAT(forecast.out, HasSubstr("total " + std::to_string(total_bytes(files)) + " bytes in " +
                                        std::to_string(files.size()) + " files"));
    for (const auto& [name, content] : files) {
      if (!name.ends_with(".safetensors")) continue;
      EXPECT_THAT(forecast.out, HasSubstr(name + "  " + std::to_string(content.size()) + " bytes"));
    }
  }
}

TEST(Quantize, TheBytesAreThoseOfOneThread) {
  const TemporaryFolder folder;
  ASSERT_EQ(run(command(folder.path() / "1", {"--max-shard-size", "100KB", "--threads", "1"})).status, kDone);
  ASSERT_EQ(run(command(folder.path() / "5", {"--max-shard-size", "100KB", "--threads", "5"})).status, kDone);
  const auto files = contents(folder.path() / "1");
  EXPECT_GT(files.size(), 10U);
  expect_same(files, contents(folder.path() / "5"));
}

TEST(Quantize, PatternsSayWhatIsQuantizedAndHow) {
  const TemporaryFolder folder;
  const auto report = folder.path() / "report.json";
  const Outcome outcome = run(command(
      folder.path() / "out",
      {"--include", "*.mlp.*", "--include", "model.layers.?.self_attn.q_proj.weight", "--exclude", "*layers.0.*",
       "--for", "*.down_proj.weight=--bits 6 --group-size 32", "--for", "*.layers.3.mlp.down*=--quantizer nf4", "--for",
       "*.up_proj.*=--method fp32", "--report", report.string()}));
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  std::map<std::string, int> bits;
  const json written = read(report);
  for (const auto& layer : written["layers"]) bits[layer["name"]] = layer["bits"];
  std::map<std::string, int> expected;
  for (const std::string block : {"1", "2", "3"}) {
    expected["model.layers." + block + ".self_attn.q_proj.weight"] = 4;
    expected["model.layers." + block + ".mlp.gate_proj.weight"] = 4;
    expected["model.layers." + block + ".mlp.down_proj.weight"] = block == "3" ? 4 : 6;
  }
  EXPECT_EQ(bits, expected);
  const auto checkpoint = Checkpoint::open(folder.path() / "out");
  EXPECT_EQ(checkpoint.quantized("model.layers.3.mlp.down_proj.weight").layout().level_count, 16);
}

TEST(Quantize, AReportSaysWhatEachLayerLost) {
  const TemporaryFolder folder;
  const auto report = folder.path() / "report.json";
  ASSERT_EQ(run(command(folder.path() / "out", {"--report", report.string()})).status, kDone);
  const json written = read(report);
  ASSERT_EQ(written["layers"].size(), 28U);
  EXPECT_EQ(written["settings"][0]["quantizer"], "uniform");
  // The totals are those of the weights themselves.
  const auto input = Checkpoint::open(kModel), output = Checkpoint::open(folder.path() / "out");
  double square = 0, error = 0, weights = 0;
  for (const auto& name : output.quantized_names()) {
    const auto view = output.quantized(name);
    const sinq::MatrixView w = input.at(name).matrix_view();
    std::vector<float> decoded(static_cast<std::size_t>(w.rows * w.cols));
    sinq::dequantize_into(view, decoded);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const double x = static_cast<double>(sinq::bfloat16_to_float(static_cast<const std::uint16_t*>(w.data)[i]));
      square += x * x;
      error += (static_cast<double>(decoded[i]) - x) * (static_cast<double>(decoded[i]) - x);
    }
    weights += static_cast<double>(decoded.size());
  }
  // Sums in another order: 2^-53 times the square root of a million terms, and the report's digits.
  EXPECT_NEAR(written["totals"]["relative_error"].get<double>(), std::sqrt(error / square), 1e-9);
  EXPECT_EQ(written["totals"]["weights"].get<double>(), weights);
  EXPECT_GT(written["totals"]["relative_error"].get<double>(), 0.01);
}

TEST(Quantize, OtherShapesAndTypesAreCopiedAndCounted) {
  const TemporaryFolder folder;
  const std::string bytes(8 * 16 * 4, '\x3c');
  write_model(folder.path() / "model",
              {{"model.layers.0.q.weight", DType::kF32, {8, 16}, sinq_test::bytes_of(bytes)},
               {"model.layers.0.experts.weight", DType::kF32, {2, 4, 16}, sinq_test::bytes_of(bytes)},
               {"model.layers.0.ids.weight", DType::kI32, {8, 16}, sinq_test::bytes_of(bytes)},
               {"model.layers.0.mlp.gate.weight", DType::kF32, {8, 16}, sinq_test::bytes_of(bytes)},
               {"model.layers.0.none.weight", DType::kF32, {0, 16}, {}},
               {"model.embed_tokens.weight", DType::kF32, {8, 16}, sinq_test::bytes_of(bytes)}});
  const auto out = folder.path() / "out";
  const Outcome outcome = run({(folder.path() / "model").string(), "-o", out.string()});
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("6 tensors: 1 to quantize"));
  EXPECT_THAT(outcome.out, HasSubstr("5 to copy (1 of more than two dimensions)"));
  const auto checkpoint = Checkpoint::open(out);
  EXPECT_TRUE(std::ranges::equal(checkpoint.at("model.layers.0.experts.weight").bytes(), sinq_test::bytes_of(bytes)));
}

TEST(Quantize, TheDryRunSaysWhatIsKeptAndWhy) {
  const TemporaryFolder folder;
  const std::string bytes(8 * 16 * 4, '\x3c');
  const auto matrix = [&](const char* name, DType dtype = DType::kF32) {
    return sinq::io::TensorData{name, dtype, {8, 16}, sinq_test::bytes_of(bytes)};
  };
  write_model(folder.path() / "model",
              {matrix("model.layers.0.q.weight"),
               matrix("model.layers.0.mlp.gate.wg.weight"),
               matrix("model.layers.1.mlp.gate.wg.weight"),
               matrix("model.layers.0.ids.weight", DType::kI32),
               matrix("model.layers.0.out.weight"),
               matrix("model.embed_tokens.weight"),
               {"model.layers.0.norm.weight", DType::kF32, {128}, sinq_test::bytes_of(bytes)}});
  const std::vector<std::string> arguments{(folder.path() / "model").string(), "-o", (folder.path() / "out").string(),
                                           "--exclude", "*.out.*"};
  auto dry = arguments;
  dry.push_back("--dry-run");
  const Outcome forecast = run(dry);
  ASSERT_EQ(forecast.status, kDone) << forecast.err;
  const std::string unreadable = "  kept: 'model.layers.*.ids.weight' I32 [8, 16]: dtype I32\n";
  for (const std::string& line :
       {std::string("  kept: 'model.layers.*.mlp.gate.wg.weight' F32 [8, 16], 2 tensors: a router\n"),
        std::string("  kept: 'model.embed_tokens.weight' F32 [8, 16]: an embedding\n"),
        std::string("  kept: 'model.layers.*.norm.weight' F32 [128]: a vector\n"),
        std::string("  kept: 'model.layers.*.out.weight' F32 [8, 16]: matches --exclude\n"), unreadable}) {
    EXPECT_THAT(forecast.out, HasSubstr(line));
  }
  // What one would have expected to be quantized is said in any case.
  const Outcome outcome = run(arguments);
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, testing::AllOf(HasSubstr(unreadable), testing::Not(HasSubstr("a router"))));
}

TEST(Quantize, AModelInWhichNothingIsQuantizedIsRefused) {
  const TemporaryFolder folder;
  const std::string bytes(8 * 16, '\x3c');
  write_model(folder.path() / "model", {{"layers.0.q.weight", DType::kI8, {8, 16}, sinq_test::bytes_of(bytes)},
                                        {"layers.1.q.weight", DType::kI8, {8, 16}, sinq_test::bytes_of(bytes)},
                                        {"layers.0.norm.weight", DType::kI8, {128}, sinq_test::bytes_of(bytes)}});
  const auto out = folder.path() / "out";
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--dry-run"}}) {
    std::vector<std::string> arguments{(folder.path() / "model").string(), "-o", out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, kRefused);
    EXPECT_THAT(outcome.err,
                testing::AllOf(HasSubstr("nothing to quantize"), HasSubstr("2: dtype I8 ('layers.0.q.weight')"),
                               HasSubstr("1: a vector ('layers.0.norm.weight')")));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
  EXPECT_EQ(run(command(out, {"--method", "fp32"})).status, kRefused);
}

TEST(Quantize, AModelThatWasGatedIsAsForecast) {
  // The gate of the reference changes the format of a matrix by what is in it.
  const TemporaryFolder folder;
  std::vector<float> spiky(64 * 128, 0.01F), flat(64 * 128);
  for (std::size_t i = 0; i < spiky.size(); ++i) {
    flat[i] = spiky[i] = 0.01F * static_cast<float>(i % 37);
    if (i % 1000 == 0) spiky[i] = 50.0F;
  }
  write_model(folder.path() / "model",
              {{"layers.0.spiky.weight", DType::kF32, {64, 128}, std::as_bytes(std::span(spiky))},
               {"layers.0.flat.weight", DType::kF32, {64, 128}, std::as_bytes(std::span(flat))}});
  const auto out = folder.path() / "out";
  const Outcome outcome = run({(folder.path() / "model").string(), "-o", out.string(), "--kurtosis-gate", "5"});
  ASSERT_EQ(outcome.status, kDone) << outcome.err;
  const auto checkpoint = Checkpoint::open(out);
  EXPECT_EQ(checkpoint.quantized("layers.0.spiky.weight").layout().col_scale, sinq::ColScaleKind::kNone);
  EXPECT_EQ(checkpoint.quantized("layers.0.flat.weight").layout().col_scale, sinq::ColScaleKind::kStored);
  EXPECT_THAT(outcome.out, HasSubstr(std::to_string(total_bytes(contents(out))) + " bytes in "));
}

TEST(Quantize, MistakesAreNamedAndLeaveNothing) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const auto refused = [&](int status, const std::vector<std::string>& arguments, const std::string& text) {
    SCOPED_TRACE(text);
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_TRUE(contents(out).empty());
  };
  refused(kUsage, command(out, {"--bogus"}), "--bogus");
  refused(kUsage, {}, "MODEL_DIR");
  refused(kUsage, {kModel.string()}, "--output");
  refused(kUsage, command(out, {"--shard", "5/4"}), "1 <= i <= n");
  refused(kUsage, command(out, {"--shard", "1"}), "1 <= i <= n");
  refused(kUsage, command(out, {"--max-shard-size", "many"}), "--max-shard-size");
  refused(kRefused, command(out, {"--bits", "9"}), "bits 9");
  refused(kRefused, command(out, {"--group-size", "44"}), "group_size 44 is not a multiple of 8");
  refused(kRefused, command(out, {"--include", "*.none.*"}), "--include '*.none.*' matches no matrix");
  refused(kRefused, command(out, {"--exclude", "*embed*"}), "--exclude '*embed*' matches no");
  refused(kRefused, command(out, {"--for", "*norm*=--bits 3"}), "--for '*norm*'");
  refused(kRefused, command(out, {"--for", "*=--bogus 3"}), "--bogus");
  refused(kRefused, command(out, {"--for", "*=--bits 9"}), "bits 9");
  refused(kRefused, command(out, {"--for", "*"}), "is not PATTERN=FLAGS");
  refused(kRefused, {kModel.string(), "-o", (kModel / "." / "").string()}, "would replace");
  refused(kSystem, {"nowhere", "-o", out.string()}, "nowhere: no such folder");
  refused(kSystem, command(folder.file("file", "") / "out"), "file");
  std::filesystem::create_directories(folder.path() / "empty");
  folder.file("empty/model.safetensors", "");
  refused(kRefused, {(folder.path() / "empty").string(), "-o", out.string()}, "header length at byte 0 needs 8 bytes");
}

TEST(Quantize, ANanInAWeightIsNamedAndNothingHasAFinalName) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  std::vector<float> good(64 * 64, 0.5F), bad = good;
  bad[70] = std::numeric_limits<float>::quiet_NaN();
  write_model(folder.path() / "model", {{"layers.0.a.weight", DType::kF32, {64, 64}, std::as_bytes(std::span(good))},
                                        {"layers.0.b.weight", DType::kF32, {64, 64}, std::as_bytes(std::span(bad))}});
  const Outcome outcome =
      run({(folder.path() / "model").string(), "-o", out.string(), "--max-shard-size", "1KB", "--threads", "1"});
  EXPECT_EQ(outcome.status, kRefused);
  EXPECT_THAT(outcome.err, testing::AllOf(HasSubstr("layers.0.b.weight"), HasSubstr("row 1, column 6 is nan")));
  EXPECT_TRUE(contents(out).empty());
}

TEST(Quantize, AQuantizedModelIsNotQuantizedAgain) {
  const TemporaryFolder folder;
  const auto once = folder.path() / "once";
  ASSERT_EQ(run(command(once)).status, kDone);
  const Outcome outcome = run({once.string(), "-o", (folder.path() / "twice").string()});
  EXPECT_EQ(outcome.status, kRefused);
  EXPECT_THAT(outcome.err, HasSubstr("quantized already"));
}

}  // namespace
}  // namespace convert::test
