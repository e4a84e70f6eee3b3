// GGUF in, GGUF out.
#include "gguf/gguf_content.hpp"

#include "gguf/convert.hpp"
#include "gguf_models.hpp"
#include "llm/program.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <sstream>

namespace gguf::test {
namespace {

namespace fs = std::filesystem;
using sinq::io::GgufFile;
using sinq::io::GgufMetadata;
using sinq::io::GgufModel;
using sinq::io::GgufTensorInfo;
using sinq_test::content_of;
using sinq_test::expect_error;
using testing::HasSubstr;

/// A tensor of a file that no converter here makes.
struct Made {
  GgufTensorInfo info;
  std::vector<float> values{};  ///< empty: numbers from the name
};

std::vector<float> values_of(const Made& tensor) {
  if (!tensor.values.empty()) return tensor.values;
  std::size_t count = 1;
  for (const Index extent : tensor.info.shape) count *= static_cast<std::size_t>(extent);
  std::vector<float> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(0.1F * std::sin(static_cast<float>(i * 37 % 1009 + tensor.info.name.size())));
  }
  return out;
}

std::vector<std::byte> bytes_of(const Made& tensor) {
  std::vector<std::byte> out;
  const auto values = values_of(tensor);
  const auto put = [&](const auto& number) {
    const auto bytes = std::as_bytes(std::span(&number, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  switch (tensor.info.type) {
    case GgufType::kF32:
      for (const float value : values) put(value);
      break;
    case GgufType::kF16:
      for (const float value : values) put(sinq::float_to_half(value));
      break;
    case GgufType::kBf16:
      for (const float value : values) put(sinq::float_to_bfloat16(value));
      break;
    default:
      if (const auto format = sinq::io::block_format(tensor.info.type)) {
        out.resize(*tensor_bytes(tensor.info.type, tensor.info.shape));
        sinq::encode_row(*format, values, {}, out);
      } else {
        for (std::size_t i = 0; i < *tensor_bytes(tensor.info.type, tensor.info.shape); ++i) {
          out.push_back(static_cast<std::byte>(i * 7));
        }
      }
  }
  return out;
}

GgufMetadata metadata(const std::string& architecture = "qwen3vlmoe") {
  GgufMetadata out("made");
  out.add("general.architecture", architecture);
  out.add("general.name", "Made");
  out.add("general.file_type", std::uint32_t{1});
  out.add("some.array", sinq::io::GgufArray(std::vector<std::string>{"a", "b"}));
  out.add("some.flag", true);
  return out;
}

void write_file(const fs::path& path, const std::vector<Made>& tensors, const GgufMetadata& data = metadata()) {
  std::vector<GgufTensorInfo> infos;
  for (const Made& tensor : tensors) infos.push_back(tensor.info);
  sinq::io::GgufWriter writer(path, sinq::io::plan_gguf(data, infos));
  for (const Made& tensor : tensors) writer.write(bytes_of(tensor));
  writer.commit();
}

/// What a vision model with experts may hold.
std::vector<Made> all_kinds() {
  return {{{"token_embd.weight", GgufType::kF32, {64, 32}}},
          {{"blk.0.attn_norm.weight", GgufType::kF32, {32}}},
          {{"blk.0.attn_q.weight", GgufType::kBf16, {64, 32}}},
          {{"blk.0.ffn_gate_inp.weight", GgufType::kF32, {4, 32}}},
          {{"blk.0.ffn_up_exps.weight", GgufType::kF16, {4, 64, 32}}},
          {{"blk.0.ffn_up_exps.bias", GgufType::kF32, {4, 64}}},
          {{"blk.0.ffn_down_exps.weight", GgufType::kMxfp4, {4, 32, 64}}},
          {{"v.blk.0.ffn_up.weight", GgufType::kF16, {10, 40}}},
          {{"v.patch_embd.weight", GgufType::kF16, {8, 3, 4, 4}}},
          {{"ids", GgufType::kI32, {5}}},
          {{"empty.weight", GgufType::kF32, {0, 32}}}};
}

TEST(GgufContent, EncodesWhatLlamaCppEncodesAndKeepsTheRestAsItIs) {
  const TemporaryFolder folder("gguf_again");
  const auto tensors = all_kinds();
  const auto in = folder.path() / "in.gguf", out = folder.path() / "out.gguf";
  write_file(in, tensors);
  Conversion conversion({.model = in, .type = GgufType::kQ8_0});
  EXPECT_THAT(conversion.notes(), testing::ElementsAre(testing::AllOf(HasSubstr("1 tensors are f16, not q8_0"),
                                                                      HasSubstr("'v.blk.0.ffn_up")),
                                                       "kept, since their numbers cannot be read: 1 tensors of mxfp4"));
  conversion.write(out);
  const auto before = GgufFile::open(in), after = GgufFile::open(out);
  ASSERT_EQ(after.tensors().size(), tensors.size());
  EXPECT_EQ(fs::file_size(out), conversion.plans().front().file_bytes);
  const std::map<std::string, GgufType> changed{{"token_embd.weight", GgufType::kF16},
                                                {"blk.0.attn_q.weight", GgufType::kQ8_0},
                                                {"blk.0.ffn_up_exps.weight", GgufType::kQ8_0}};
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& info = after.tensors()[i];
    EXPECT_EQ(info.name, tensors[i].info.name);
    EXPECT_EQ(info.shape, tensors[i].info.shape);
    const auto change = changed.find(info.name);
    EXPECT_EQ(info.type, change == changed.end() ? tensors[i].info.type : change->second) << info.name;
    const auto bytes = after.bytes(info);
    if (change == changed.end()) {
      EXPECT_TRUE(std::ranges::equal(bytes, bytes_of(tensors[i]))) << info.name;
    } else {  // rows are encoded one by one, in any number of dimensions
      const auto view = before.rows_view(before.at(info.name));
      std::vector<float> values(static_cast<std::size_t>(view.rows * view.cols));
      sinq::detail::read_rect(view, {0, 0, view.rows, view.cols}, values.data(), view.cols);
      EXPECT_TRUE(std::ranges::equal(bytes, bytes_of({{info.name, info.type, info.shape}, values}))) << info.name;
    }
  }
  GgufMetadata expected = metadata();
  expected.set("general.file_type", std::uint32_t{7});
  expected.set("general.quantization_version", std::uint32_t{2});
  EXPECT_EQ(after.metadata().entries(), expected.entries());
}

TEST(GgufContent, FloatsBecomeTheFileThatTheFolderBecomes) {
  // Through f32, which holds all that the embedded model has.
  const TemporaryFolder folder("gguf_same");
  const auto floats = folder.path() / "f32.gguf", direct = folder.path() / "direct.gguf",
             again = folder.path() / "again.gguf";
  const auto options = [](const fs::path& model, bool fold) {
    ConvertOptions out{.model = model, .name = "x", .type = GgufType::kQ4_0};
    if (fold) out.fold.emplace();
    return out;
  };
  for (const char* architecture : {"Qwen3ForCausalLM", "LlamaForCausalLM"}) {
    const auto model = folder.path() / architecture;
    fs::create_directory(model);
    write_tiny_model(model, architecture, {{"tie_word_embeddings", false}});
    Conversion({.model = model, .name = "x", .type = GgufType::kF32}).write(floats);
    for (const bool fold : {false, true}) {
      Conversion(options(model, fold)).write(direct);
      Conversion(options(floats, fold)).write(again);
      if (!fold) {
        EXPECT_TRUE(content_of(direct) == content_of(again)) << architecture;
        continue;
      }
      // Llama's queries and keys are reordered there before their columns are measured: sums of another order.
      const auto a = GgufFile::open(direct), b = GgufFile::open(again);
      EXPECT_TRUE(a.metadata().entries() == b.metadata().entries());
      for (const auto& info : a.tensors()) {
        if (scalar_type(info.type)) {
          const auto x = a.rows_view(info), y = b.rows_view(b.at(info.name));
          std::vector<float> left(static_cast<std::size_t>(x.rows * x.cols)), right(left.size());
          sinq::detail::read_rect(x, {0, 0, x.rows, x.cols}, left.data(), x.cols);
          sinq::detail::read_rect(y, {0, 0, y.rows, y.cols}, right.data(), y.cols);
          for (std::size_t i = 0; i < left.size(); ++i)
            ASSERT_NEAR(left[i], right[i], 1e-4F * std::abs(left[i])) << info.name;
        }
      }
    }
  }
}

TEST(GgufContent, ThreadsChangeNothing) {
  const TemporaryFolder folder("gguf_again_threads");
  write_file(folder.path() / "in.gguf", all_kinds());
  const auto bytes = [&](int threads) {
    const auto out = folder.path() / std::to_string(threads);
    Conversion({.model = folder.path() / "in.gguf",
                .type = GgufType::kQ4_1,
                .importance = Importance::kSinkhorn,
                .threads = threads})
        .write(out);
    return content_of(out);
  };
  EXPECT_TRUE(bytes(1) == bytes(3));
}

TEST(GgufContent, BlocksAreEncodedAgainOnlyWhereThatIsAskedFor) {
  const TemporaryFolder folder("gguf_lossy");
  const auto in = folder.path() / "in.gguf", out = folder.path() / "out.gguf";
  write_file(in, {{{"token_embd.weight", GgufType::kQ8_0, {64, 32}}},
                  {{"blk.0.attn_q.weight", GgufType::kQ4_0, {64, 32}}},
                  {{"blk.0.attn_k.weight", GgufType::kQ8_0, {64, 32}}},
                  {{"blk.0.attn_v.weight", GgufType::kF16, {64, 32}}}});
  ConvertOptions options{.model = in, .type = GgufType::kQ4_0};
  expect_error(
      sinq::Errc::kBadConfig, [&] { static_cast<void>(Conversion(options)); },
      "in.gguf: tensor 'blk.0.attn_k.weight' is q8_0 already", "--requantize");
  options.requantize = true;
  Conversion conversion(options);
  EXPECT_THAT(conversion.notes(), testing::ElementsAre("lossy: encoded a second time are 1 tensors of q8_0"));
  conversion.write(out);
  const auto before = GgufFile::open(in), after = GgufFile::open(out);
  EXPECT_EQ(after.at("token_embd.weight").type, GgufType::kQ8_0) << "nobody asked for another type";
  EXPECT_TRUE(
      std::ranges::equal(after.bytes(after.at("blk.0.attn_q.weight")), before.bytes(before.at("blk.0.attn_q.weight"))));
  EXPECT_EQ(after.at("blk.0.attn_k.weight").type, GgufType::kQ4_0);
  options.embeddings = GgufType::kQ4_0;
  EXPECT_EQ(Conversion(options).plans().front().tensors[0].type, GgufType::kQ4_0);
}

TEST(GgufContent, FoldingIsRefusedByNameWhereNoPlanIsKnown) {
  const TemporaryFolder folder("gguf_no_plan");
  const auto in = folder.path() / "in.gguf";
  write_file(in, all_kinds());
  ConvertOptions options{.model = in, .type = GgufType::kQ8_0};
  options.fold.emplace();
  expect_error(
      sinq::Errc::kUnsupported, [&] { static_cast<void>(Conversion(options)); },
      "--fold: ", "general.architecture qwen3vlmoe is not supported (known: qwen3, llama, qwen2)");
  // A known architecture with a tensor that is not.
  const auto known = convert(folder, {.model = embedded_model(), .type = GgufType::kF16});
  const auto opened = GgufFile::open(known);
  std::vector<Made> more;
  for (const auto& info : opened.tensors()) more.push_back({{info.name, info.type, info.shape}});
  more.push_back({{"blk.0.ffn_up_exps.weight", GgufType::kF16, {4, 384, 128}}});
  write_file(in, more, opened.metadata());
  expect_error(
      sinq::Errc::kUnsupported, [&] { static_cast<void>(Conversion(options)); },
      "--fold: tensor 'blk.0.ffn_up_exps.weight'");
}

TEST(GgufContent, NumbersThatAreNoneAreRefusedByName) {
  const TemporaryFolder folder("gguf_again_nan");
  const auto in = folder.path() / "in.gguf", out = folder.path() / "out.gguf";
  const auto refused = [&](const std::string& tensor, std::size_t at, float value, GgufType type,
                           const std::string& why) {
    auto tensors = all_kinds();
    for (Made& made : tensors) {
      if (made.info.name != tensor) continue;
      made.values = values_of(made);
      made.values[at] = value;
    }
    write_file(in, tensors);
    expect_error(
        sinq::Errc::kBadData, [&] { Conversion({.model = in, .type = type}).write(out); },
        "in.gguf: tensor '" + tensor + "': " + why);
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(out.string() + ".partial"));
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  refused("blk.0.attn_q.weight", 3 * 32 + 7, nan, GgufType::kQ8_0, "row 3, column 7 is nan");
  refused("blk.0.attn_q.weight", 3 * 32 + 7, nan, GgufType::kBf16, "row 3, column 7 is nan");
  refused("blk.0.ffn_up_exps.weight", (2 * 64 + 5) * 32 + 1, -inf, GgufType::kQ4_0, "row 133, column 1 is -inf");
  refused("blk.0.attn_norm.weight", 4, inf, GgufType::kQ4_0, "row 0, column 4 is inf");
  refused("blk.0.attn_q.weight", 1, 1e6F, GgufType::kF16, "row 0, column 1 is 9");
  refused("v.patch_embd.weight", 17, nan, GgufType::kQ8_0, "row 4, column 1 is nan");
}

TEST(GgufContent, ShardsAreReadAndWritten) {
  const TemporaryFolder folder("gguf_split");
  const auto path = [&](const char* name) { return (folder.path() / name).string(); };
  write_file(path("in.gguf"), all_kinds());
  const Outcome whole = run({path("in.gguf"), "-o", path("whole.gguf"), "--type", "q4_0"});
  ASSERT_EQ(whole.status, 0) << whole.err;
  const Outcome split = run({path("in.gguf"), "-o", path("out.gguf"), "--type", "q4_0", "--split", "6KB"});
  ASSERT_EQ(split.status, 0) << split.err;
  EXPECT_FALSE(fs::exists(path("out.gguf")));
  const auto one = GgufModel::open(path("whole.gguf")), many = GgufModel::open(path("out-00001-of-00003.gguf"));
  EXPECT_THAT(split.out, HasSubstr("3 files      11 tensors"));
  ASSERT_EQ(one.tensors().size(), many.tensors().size());
  for (std::size_t i = 0; i < one.tensors().size(); ++i) {
    EXPECT_EQ(one.tensors()[i].info.name, many.tensors()[i].info.name);
    EXPECT_TRUE(std::ranges::equal(one.tensors()[i].bytes(), many.tensors()[i].bytes()));
  }
  // And back into one, and a plain file where one is enough.
  const Outcome joined =
      run({path("out-00002-of-00003.gguf"), "-o", path("joined.gguf"), "--type", "q4_0", "--split", "1GB"});
  ASSERT_EQ(joined.status, 0) << joined.err;
  EXPECT_TRUE(content_of(path("joined.gguf")) == content_of(path("whole.gguf")));
  // None of the files that are read is replaced, by whatever name, nor others without --force.
  const auto refused = [&](const std::string& output, const std::string& why, std::vector<std::string> more) {
    std::vector<std::string> line{path("out-00001-of-00003.gguf"), "-o", output, "--type", "q4_0"};
    line.insert(line.end(), more.begin(), more.end());
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.status, 1) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  };
  refused(path("out-00001-of-00003.gguf"), "would replace", {"--force"});
  refused(path("out-00002-of-00003.gguf"), "would replace", {"--force"});
  refused(path("out.gguf"), "would replace", {"--force", "--split", "6KB"});
  refused(path("out.gguf"), "would replace", {"--dry-run", "--split", "6KB"});
  refused(path("whole.gguf"), "exists already", {});
  const auto still = GgufModel::open(path("out-00002-of-00003.gguf"));
  EXPECT_EQ(still.files().size(), 3U);
}

TEST(GgufContent, SinqLmRunsWhatWasSplit) {
  const TemporaryFolder folder("gguf_split_lm");
  const auto path = [&](const char* name) { return (folder.path() / name).string(); };
  ASSERT_EQ(run({embedded_model().string(), "-o", path("f16.gguf"), "--type", "f16", "--split", "400KB"}).status, 0);
  EXPECT_FALSE(fs::exists(path("f16.gguf")));
  std::string first;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    if (entry.path().string().find("-00001-of-") != std::string::npos) first = entry.path().string();
  }
  const Outcome again = run({first, "-o", path("q8.gguf"), "--type", "q8_0", "--fold"});
  ASSERT_EQ(again.status, 0) << again.err;
  std::ostringstream a, b, err;
  const auto generate = [&](const std::string& model, std::ostream& out) {
    return llm::run_program({"generate", model, "--prompt", "The war", "--max-tokens", "8"}, out, err);
  };
  EXPECT_EQ(generate(first, a), 0) << err.str();
  EXPECT_EQ(generate(path("q8.gguf"), b), 0) << err.str();
  EXPECT_EQ(a.str(), b.str());
}

TEST(GgufContent, HostileFilesAreRefused) {
  const TemporaryFolder folder("gguf_hostile");
  const auto in = folder.path() / "in.gguf";
  write_file(in, all_kinds());
  const std::string whole = content_of(in);
  // A sample of cuts and changes: the reader's own tests try all.
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97) {
    llm::test::write_text(in, whole.substr(0, size));
    const Outcome outcome = run({in.string(), "-o", (folder.path() / "out.gguf").string(), "--type", "q8_0"});
    EXPECT_EQ(outcome.status, 1) << size;
    EXPECT_FALSE(fs::exists(folder.path() / "out.gguf"));
  }
  llm::test::write_text(in, "{\"a\": 1}");
  EXPECT_THAT(run({in.string(), "-o", (folder.path() / "out.gguf").string(), "--type", "q8_0"}).err,
              HasSubstr("in.gguf: byte 0: does not begin with \"GGUF\""));
}

}  // namespace
}  // namespace gguf::test
