#include "gguf/program.hpp"

#include "gguf_models.hpp"
#include "llm/program.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace gguf::test {
namespace {

using testing::HasSubstr;

TEST(SinqGguf, DryRunSaysTheSizeAndWritesNothing) {
  const TemporaryFolder folder("gguf_dry");
  const std::string file = (folder.path() / "x.gguf").string();
  const std::vector<std::string> command{embedded_model().string(), "-o", file, "--type", "q4_0", "--fold"};
  auto dry = command;
  dry.emplace_back("--dry-run");
  const Outcome forecast = run(dry);
  ASSERT_EQ(forecast.status, 0) << forecast.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  const Outcome written = run(command);
  ASSERT_EQ(written.status, 0) << written.err;
  EXPECT_EQ(forecast.out, written.out);
  EXPECT_THAT(written.out, HasSubstr(std::to_string(std::filesystem::file_size(file)) + " bytes"));
}

TEST(SinqGguf, SinqLmScoresAndContinuesFromWhatItWrote) {
  const TemporaryFolder folder("gguf_lm");
  const std::string file = (folder.path() / "x.gguf").string();
  ASSERT_EQ(run({embedded_model().string(), "-o", file, "--type", "q8_0", "--embeddings", "q8_0"}).status, 0);
  std::ostringstream out, err;
  const std::string samples = (embedded_model() / "samples.safetensors").string();
  EXPECT_EQ(llm::run_program({"perplexity", file, "--tokens", samples, "--context", "64", "--limit", "2", "--baseline",
                              embedded_model().string()},
                             out, err),
            0)
      << err.str();
  EXPECT_THAT(out.str(), HasSubstr("kl               0.00"));
  EXPECT_EQ(llm::run_program({"generate", file, "--prompt", "The war", "--max-tokens", "4"}, out, err), 0) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("The war"));
}

TEST(SinqGguf, FoldEdgesAreWhatIsFolded) {
  const TemporaryFolder folder("gguf_edges");
  const auto bytes_with = [&](const std::string& edges) {
    const auto file = folder.path() / (edges + ".gguf");
    std::vector<std::string> command{embedded_model().string(), "-o", file.string(), "--type", "q4_0", "--name", "x"};
    if (!edges.empty()) command.insert(command.end(), {"--fold", "--fold-edges", edges});
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return sinq_test::content_of(file);
  };
  const auto plain = bytes_with(""), norms = bytes_with("norms"), rest = bytes_with("up-down,value-output");
  EXPECT_NE(norms, plain);
  EXPECT_NE(rest, plain);
  EXPECT_NE(norms, rest);
  EXPECT_EQ(norms.size(), plain.size());
}

TEST(SinqGguf, MistakesEndWithAMessageAndACode) {
  const TemporaryFolder folder("gguf_mistakes");
  const std::string model = embedded_model().string(), file = (folder.path() / "x.gguf").string();
  const auto mistake = [&](const std::vector<std::string>& arguments, const char* part) {
    const Outcome outcome = run(arguments);
    EXPECT_NE(outcome.status, 0) << part;
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  };
  mistake({}, "MODEL is required");
  mistake({model, "--type", "q4_0"}, "--output is required");
  mistake({model, "-o", file, "--type", "q4_k_x"},
          "--type: q4_k_x not in {bf16,f16,f32,iq3_m,iq3_s,iq3_xs,iq4_nl,iq4_xs,q2_k,q2_k_s,q3_k,q3_k_l,q3_k_m,q3_k_s,"
          "q4_0,q4_1,q4_k,q4_k_m,q4_k_s,q5_0,q5_1,q5_k,q5_k_m,q5_k_s,q6_k,q8_0}");
  mistake({model, "-o", file, "--pure"}, "--pure requires --type");
  mistake({model, "-o", file, "--type", "q4_k_m", "--pure"}, "--pure: q4_k_m is a mixture of types");
  mistake({model, "-o", file, "--type", "q4_0", "--max-size", "1MB"}, "excludes");
  mistake({model, "-o", file, "--max-bits-per-weight", "6", "--max-size", "1MB"}, "excludes");
  mistake({model, "-o", file, "--max-bits-per-weight", "0"}, "--max-bits-per-weight");
  mistake({model, "-o", file, "--max-size", "many"}, "--max-size");
  mistake({model, "-o", file, "--type", "q4_0", "--sensitivity", "x.json"}, "--sensitivity is of no use");
  mistake({model, "-o", file, "--sensitivity", "x.json"}, "x.json");
  mistake({model, "-o", file, "--type-of", "q4_0"}, "--type-of 'q4_0' is not PATTERN=TYPE");
  mistake({model, "-o", file, "--type-of", "*=q4_k_m"}, "--type-of '*=q4_k_m': the type is none of");
  mistake({model, "-o", file, "--type-of", "nothing=q4_0"}, "--type-of 'nothing' fits no tensor");
  mistake({model, "-o", file, "--max-bits-per-weight", "3"}, "least possible");
  mistake({model, "-o", file, "--fallback", "q8_0"}, "--fallback is of no use");
  mistake({model, "-o", file, "--type", "12"}, "--type: 12 not in");
  mistake({model, "-o", file, "--type", "f16", "--importance", "sinkhorn"}, "--importance is of no use: --type f16");
  mistake({model, "-o", file, "--type", "f16", "--fallback", "q8_0"}, "--fallback is of no use");
  mistake({model, "-o", file, "--type", "q4_0", "--calibrate-blocks", "4"}, "--calibrate-blocks requires --calibrate");
  mistake({model, "-o", file, "--type", "q4_0", "--fold-tile", "64"}, "--fold-tile requires --fold");
  mistake({model, "-o", file, "--type", "q4_0", "--fold", "--importance", "activations", "--calibrate", "no-text"},
          "no-text: cannot be opened");
  mistake({model, "-o", file, "--type", "q9_0"}, "q9_0");
  mistake({model, "-o", file, "--type", "f64"}, "f64");
  mistake({"nowhere", "-o", file, "--type", "q4_0"}, "nowhere");
  mistake({model, "-o", file, "--type", "q4_k", "--pure", "--fallback", "none"}, "not a multiple of 256");
  mistake({model, "-o", file, "--type", "f16", "--fallback", "none"}, "--fallback is of no use");
  mistake({model, "-o", file, "--type", "q8_0", "--requantize"}, "--requantize is of use with GGUF files only");
  mistake({model, "-o", file, "--type", "q8_0", "--split", "0"}, "--split 0");
  mistake({model, "-o", file, "--type", "q8_0", "--split", "many"}, "--split");
  mistake({model, "-o", file, "--type", "q8_0", "--imatrix", "none.dat"}, "none.dat: cannot open");
  mistake({model, "-o", file, "--type", "f16", "--imatrix", "none.dat"}, "--imatrix is of no use");
  mistake({model, "-o", file, "--type", "q8_0", "--imatrix", "x", "--importance", "sinkhorn"}, "excludes");
  mistake({model, "-o", file, "--type", "q4_0", "--importance", "activations"}, "--calibrate");
  mistake({model, "-o", file, "--type", "q4_0", "--calibrate", model}, "--importance activations only");
  mistake({model, "-o", file, "--type", "q4_0", "--fold-tile", "32"}, "--fold-tile requires --fold");
  mistake({model, "-o", file, "--type", "q4_0", "--fold", "--fold-repeats", "0"}, "repeats 0");
  mistake({model, "-o", file, "--type", "q4_0", "--fold", "--fold-edges", "norms,nothing"}, "nothing");
  mistake({model, "-o", (folder.path() / "none" / "x.gguf").string(), "--type", "q4_0"}, "none/x.gguf");
}

TEST(SinqGguf, TheInputStaysAndOtherFilesWantForce) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder("gguf_outputs");
  const fs::path model = folder.path() / "model", file = folder.path() / "x.gguf";
  fs::copy(embedded_model(), model);
  const auto refused = [&](const fs::path& output, const char* why, std::vector<std::string> more = {"--force"}) {
    std::vector<std::string> line{model.string(), "-o", output.string(), "--type", "q8_0"};
    line.insert(line.end(), more.begin(), more.end());
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.status, 1) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_EQ(outcome.out, "");
  };
  refused(model / "model.safetensors", "lies in");
  refused(model / "config.json", "lies in");
  refused(model / "config.json", "lies in", {"--dry-run"});
  refused(model / "new.gguf", "lies in");
  fs::create_symlink(model / "model.safetensors", folder.path() / "link.gguf");
  refused(folder.path() / "link.gguf", "lies in");
  fs::create_hard_link(model / "model.safetensors", folder.path() / "hard.gguf");
  refused(folder.path() / "hard.gguf", "is the same file as");
  const fs::path text = folder.path() / "text";
  llm::test::write_text(text, "words");
  refused(text, "would replace", {"--force", "--importance", "activations", "--calibrate", text.string()});
  for (const auto& entry : fs::directory_iterator(embedded_model())) {
    EXPECT_EQ(sinq_test::content_of(model / entry.path().filename()), sinq_test::content_of(entry.path()));
  }
  llm::test::write_text(file, "old");
  refused(file, "x.gguf: exists already; --force replaces it", {});
  EXPECT_EQ(sinq_test::content_of(file), "old");
  EXPECT_EQ(run({model.string(), "-o", file.string(), "--type", "q8_0", "--force"}).status, 0);
  EXPECT_EQ(sinq_test::content_of(file).substr(0, 4), "GGUF");
  refused("/dev/null", "is a device");
}

TEST(SinqGguf, ADryRunNeedsNoOutput) {
  const Outcome outcome = run({embedded_model().string(), "--type", "q4_0", "--dry-run"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("q4_0         28 tensors"));
}

TEST(SinqGguf, ADryRunShowsWhichTypeEachTensorGets) {
  const Outcome usual = run({embedded_model().string(), "--dry-run"});
  EXPECT_EQ(usual.status, 0) << usual.err;
  EXPECT_THAT(usual.out, HasSubstr("q4_k_m: at most "));
  EXPECT_THAT(usual.out, HasSubstr("a type for each tensor by errors measured on it and default sensitivities"));
  EXPECT_THAT(usual.out, HasSubstr("  token_embd.weight "));
  EXPECT_THAT(usual.out, HasSubstr("share of loss"));
  const Outcome named = run({embedded_model().string(), "--dry-run", "--type", "Q4_K_M"});
  EXPECT_EQ(named.out, usual.out);
  const Outcome sized =
      run({embedded_model().string(), "--dry-run", "--max-size", "0.9MiB", "--type-of", "*_q.*=q8_0"});
  EXPECT_EQ(sized.status, 0) << sized.err;
  EXPECT_THAT(sized.out, HasSubstr("at most 943718 bytes"));
  EXPECT_THAT(sized.out, HasSubstr("  blk.0.attn_q.weight       "));
  EXPECT_THAT(sized.out, HasSubstr("%  fixed"));
}

}  // namespace
}  // namespace gguf::test
