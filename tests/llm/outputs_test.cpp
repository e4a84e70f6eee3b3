#include "outcome.hpp"
#include "paths.hpp"
#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace llm::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A copy of the embedded model, and a command that reads one block of its samples.
class LmOutputs : public testing::Test {
 protected:
  TemporaryFolder folder{"outputs"};
  fs::path model = folder.path() / "model", out = folder.path() / "out.json";

  LmOutputs() { fs::copy(embedded_model(), model); }

  [[nodiscard]] std::vector<std::string> command(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> line{name,        model.string(), "--tokens", (model / "samples.safetensors").string(),
                                  "--context", "64",           "--limit",  "1"};
    line.insert(line.end(), more.begin(), more.end());
    return line;
  }
  static std::string text_of(const fs::path& path) {
    return (std::ostringstream() << std::ifstream(path, std::ios::binary).rdbuf()).str();
  }
  /// The program ends with a message before it has printed anything.
  static void refused(const std::vector<std::string>& line, const std::string& why) {
    const Outcome outcome = run(line);
    EXPECT_NE(outcome.status, 0) << why;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_EQ(outcome.out, "") << why;
  }
};

TEST_F(LmOutputs, WhatIsReadStays) {
  const fs::path text = folder.path() / "text", link = folder.path() / "link", hard = folder.path() / "hard";
  write_text(text, "words");
  fs::create_symlink(model / "tokenizer.json", link);
  fs::create_hard_link(model / "model.safetensors", hard);
  for (const auto& [path, how] : {std::pair{model / "config.json", "lies in"}, std::pair{model / "new.json", "lies in"},
                                  std::pair{link, "lies in"}, std::pair{hard, "is the same file as"}}) {
    refused(command("perplexity", {"--force", "--json", path.string()}), how);
    refused(command("layers", {"--force", "--json", path.string()}), how);
    refused(command("compare", {"--force", "--json", path.string()}), how);
    refused(command("compare", {"--force", "--svg", path.string()}), how);
  }
  for (const char* flag : {"--calibration", "--calibrate"}) {
    refused(command("perplexity", {"--force", flag, text.string(), "--json", text.string()}), "would replace");
  }
  refused(
      {"perplexity", model.string(), "--text", text.string(), "--context", "64", "--force", "--json", text.string()},
      "would replace");
  const fs::path partial = folder.path() / "out.json.partial";
  write_text(partial, "words");
  refused({"perplexity", model.string(), "--text", partial.string(), "--context", "64", "--json", out.string()},
          "would replace");
  for (const auto& entry : fs::directory_iterator(embedded_model())) {
    EXPECT_EQ(text_of(model / entry.path().filename()), text_of(entry.path())) << entry.path();
  }
  EXPECT_EQ(text_of(text), "words");
  EXPECT_EQ(text_of(partial), "words");
}

TEST_F(LmOutputs, WhatExistsIsReplacedByForceOnly) {
  write_text(out, "old");
  refused(command("perplexity", {"--json", out.string()}), "out.json: exists already; --force replaces it");
  EXPECT_EQ(text_of(out), "old");
  EXPECT_EQ(run(command("perplexity", {"--json", out.string(), "--force"})).status, 0);
  EXPECT_THAT(text_of(out), HasSubstr("perplexity"));
  refused(command("compare", {"--json", out.string(), "--svg", out.string(), "--force"}), "--json and --svg both name");
}

TEST_F(LmOutputs, DevicesAreRefusedBeforeTheWork) {
  for (const char* device : {"/dev/full", "/dev/null"}) {
    if (!fs::exists(device)) continue;
    refused(command("perplexity", {"--json", device}), "is a device");
    refused(command("compare", {"--svg", device, "--force"}), "is a device");
    refused(command("layers", {"--json", device}), "is a device");
  }
  refused(command("layers", {"--json", folder.path().string()}), "is a folder");
}

TEST_F(LmOutputs, LostOutputIsAnError) {
  std::ofstream lost(folder.path() / "never");
  lost.setstate(std::ios::badbit);
  std::ostringstream err;
  for (const std::vector<std::string>& line :
       {command("perplexity", {}), {"generate", model.string(), "--prompt", "x"}, {"--help"}}) {
    EXPECT_EQ(run_program(line, lost, err), 1);
    EXPECT_THAT(err.str(), HasSubstr("standard output: cannot be written"));
  }
}

TEST_F(LmOutputs, AFailureLeavesNoEmptyFile) {
  refused(command("perplexity", {"--json", out.string(), "--baseline", "nowhere"}), "nowhere");
  refused(command("perplexity", {"--json", out.string(), "--calibration", "nowhere"}), "nowhere");
  EXPECT_FALSE(fs::exists(out));
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
}

TEST_F(LmOutputs, FlagsThatContradictOrChangeNothingAreRefused) {
  const std::string text = (model / "tokenizer.json").string();
  for (const std::vector<std::string>& flags : std::vector<std::vector<std::string>>{{"--bits", "4"},
                                                                                     {"--group-size", "64"},
                                                                                     {"--aux", "u8"},
                                                                                     {"--tile-cols", "64"},
                                                                                     {"--tiling", "square"},
                                                                                     {"--zero-point", "real"},
                                                                                     {"--iterations", "4"},
                                                                                     {"--kurtosis-gate", "5"},
                                                                                     {"--reference"},
                                                                                     {"--calibrate", text},
                                                                                     {"--activations", "int8"}}) {
    std::vector<std::string> line{"--method", "fp32"};
    line.insert(line.end(), flags.begin(), flags.end());
    refused(command("perplexity", line), flags[0] + " is of no use with --method fp32");
  }
  refused(command("perplexity", {"--method", "fp32", "--kl-blocks", "1"}),
          "--kl-blocks is of use with --baseline only");
  refused(command("perplexity", {"--method", "fp32", "--calibration", text}),
          "--calibration is of use with --baseline");
  refused(command("perplexity", {"--kl-blocks", "-1"}), "--kl-blocks: -1 is not 0 or a positive number");
  refused(command("perplexity", {"--calibration-blocks", "3"}), "--calibration-blocks requires --calibration");
  refused(command("perplexity", {"--calibrate-with", "gptq"}), "--calibrate-with requires --calibrate");
  refused(command("compare", {"--calibrate-with", "gptq"}), "--calibrate-with requires --calibrate");
  refused(command("perplexity", {"--calibrate-blocks", "3"}), "--calibrate-blocks requires --calibrate");
  for (const char* command_name : {"perplexity", "layers"}) {
    refused(command(command_name, {"--calibrate", text, "--calibrate-with", "importance"}),
            "uniform weighs all columns");
    refused(command(command_name, {"--calibrate", text, "--calibrate-with", "asinq", "--method", "rtn"}),
            "without a normalizer there are none");
  }
  refused(command("compare", {"--calibrate", text, "--calibrate-with", "importance"}),
          "uniform weighs all columns alike");
  refused(command("perplexity", {"--method", "rtn", "--tile-cols", "64"}), "--tile-cols is of no use without");
  refused(command("compare", {"--methods", "nf4,nf3", "--bits", "3"}), "--bits is of no use");
  refused(command("compare", {"--reference-prefix", "x"}), "--reference-prefix requires --reference-points");
  refused(command("compare", {"--reference-points", text}), "--reference-points requires --svg");
  for (const char* flag : {"--seed", "--top-k"}) {
    refused({"generate", model.string(), "--prompt", "x", flag, "3"},
            std::string(flag) + " is of use with a --temperature");
  }
}

TEST_F(LmOutputs, WhatIsNotSupportedIsCalledSo) {
  Json config = read_json(model / "config.json");
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4}};
  write_text(model / "config.json", config.dump());
  refused({"generate", model.string(), "--prompt", "x"}, "rope_type yarn is not supported (known: default, llama3)");
  config["rope_scaling"] = {{"rope_type", "\x1b[31m"}};
  write_text(model / "config.json", config.dump());
  refused({"generate", model.string(), "--prompt", "x"}, "rope_type \\x1b[31m is not supported");
  config.erase("rope_scaling");
  write_text(model / "config.json", config.dump());
  fs::create_directory(folder.path() / "other");
  write_text(folder.path() / "other" / "model.gguf", "GGUF");
  refused(command("compare", {"--baseline", (folder.path() / "other").string()}), "it holds 'model.gguf'");
}

}  // namespace
}  // namespace llm::test
