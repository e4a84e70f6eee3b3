#include "quantize_support.hpp"

#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace convert::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// A copy of the embedded model in a folder for one test.
struct CopiedModel {
  TemporaryFolder folder;
  fs::path model = folder.path() / "model", out = folder.path() / "out";
  CopiedModel() { fs::copy(kModel, model); }

  void refused(int status, const std::vector<std::string>& more, const std::string& why) const {
    std::vector<std::string> line{model.string()};
    line.insert(line.end(), more.begin(), more.end());
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(why));
    expect_same(contents(kModel), contents(model));
  }
};

TEST(QuantizeOutputs, WhatIsReadStays) {
  const CopiedModel in;
  fs::create_directory_symlink(in.model, in.folder.path() / "link");
  const std::string report = (in.folder.path() / "report.json").string();
  in.refused(kRefused, {"-o", in.model.string(), "--force"}, "would replace");
  in.refused(kRefused, {"-o", (in.folder.path() / "link").string(), "--force"}, "would replace");
  in.refused(kRefused, {"-o", (in.model / "quantized").string()}, "lies in");
  in.refused(kRefused, {"-o", (in.model / "quantized").string(), "--dry-run"}, "lies in");
  in.refused(kRefused, {"-o", in.folder.path().string(), "--force"}, "holds");
  in.refused(kRefused, {"-o", in.out.string(), "--report", (in.model / "config.json").string(), "--force"}, "lies in");
  in.refused(kRefused, {"-o", in.out.string(), "--report", (in.out / "config.json").string()}, "--report is a file of");
  fs::create_directory(in.out);
  fs::create_symlink(in.model / "config.json", in.out / "config.json");
  in.refused(kRefused, {"-o", in.out.string(), "--force"}, "is the same file as");
  fs::remove(in.out / "config.json");
  fs::create_directory_symlink(in.model, in.out / ".sinq-quantize");
  in.refused(kRefused, {"-o", in.out.string(), "--force"}, "leads to");
}

TEST(QuantizeOutputs, WhatExistsWantsForce) {
  const CopiedModel in;
  fs::create_directory(in.out);
  std::ofstream(in.out / "tokenizer.json") << "of another model";
  in.refused(kConflict, {"-o", in.out.string()}, "tokenizer.json: exists already; --force replaces it");
  EXPECT_EQ(sinq_test::content_of(in.out / "tokenizer.json"), "of another model");
  EXPECT_EQ(run({in.model.string(), "-o", in.out.string(), "--force"}).status, kDone);
  EXPECT_EQ(sinq_test::content_of(in.out / "tokenizer.json"), sinq_test::content_of(in.model / "tokenizer.json"));
}

TEST(QuantizeOutputs, AReportIsNotLostAndARunGoesOnWithItsOwn) {
  const CopiedModel in;
  const fs::path report = in.folder.file("report.json", "{\"of\": \"something else\"}");
  const std::vector<std::string> line{in.model.string(), "-o", in.out.string(), "--report", report.string()};
  const Outcome outcome = run(line);
  EXPECT_EQ(outcome.status, kRefused);
  EXPECT_THAT(outcome.err, HasSubstr("report.json: exists already; --force replaces it"));
  EXPECT_TRUE(contents(in.out).empty()) << "said before the work";
  fs::remove(report);
  EXPECT_EQ(run(line).status, kDone);
  const Outcome again = run(line);
  EXPECT_EQ(again.status, kDone) << again.err;
  EXPECT_THAT(again.out, HasSubstr("complete already"));
  in.refused(kSystem, {"-o", in.out.string(), "--report", "/dev/null"}, "is a device");
  in.refused(kSystem, {"-o", in.out.string(), "--report", (in.folder.path() / "none" / "r").string()}, "none/r");
}

TEST(QuantizeOutputs, ADryRunNeedsNoOutput) {
  const Outcome outcome = run({kModel.string(), "--dry-run"});
  EXPECT_EQ(outcome.status, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("total "));
}

TEST(QuantizeOutputs, FlagsThatContradictOrChangeNothingAreRefused) {
  const CopiedModel in;
  const std::string out = in.out.string();
  in.refused(kRefused, {"-o", out, "--method", "fp32", "--bits", "4"}, "--bits is of no use with --method fp32");
  in.refused(kRefused, {"-o", out, "--for", "*=--method fp32 --bits 4"}, "--bits is of no use with --method fp32");
  in.refused(kRefused, {"-o", out, "--method", "rtn", "--tile-cols", "64"}, "--tile-cols is of no use without");
  const Outcome merged = run({"-o", out, "--bits", "3", "merge", kModel.string(), "-o", out});
  EXPECT_EQ(merged.status, kUsage);
  EXPECT_THAT(merged.err, HasSubstr("merge"));
  // An override may quantize what the others leave.
  const Outcome some =
      run({in.model.string(), "--method", "fp32", "--for", "*.down_proj.weight=--method sinq --bits 3", "--dry-run"});
  EXPECT_THAT(some.out, HasSubstr("4 to quantize")) << some.err;
}

TEST(QuantizeOutputs, WhatIsThereInsteadOfAFolderIsNamed) {
  const TemporaryFolder folder, beside;
  const std::string out = (beside.path() / "out").string();
  EXPECT_THAT(run({folder.file("x.gguf", "GGUF").string(), "-o", out}).err, HasSubstr("is a GGUF file"));
  folder.file("model-00001-of-00002.safetensors", "");
  EXPECT_THAT(run({folder.path().string(), "-o", out}).err, HasSubstr("'model-00001-of-00002.safetensors'"));
}

TEST(QuantizeOutputs, NamesAreEscaped) {
  const TemporaryFolder folder;
  std::vector<float> bad(64 * 64, 0.5F);
  bad[70] = std::numeric_limits<float>::quiet_NaN();
  const std::string name = "layers.0.\x1b[31m'\n.weight";
  write_model(folder.path() / "model", {{name, sinq::io::DType::kF32, {64, 64}, std::as_bytes(std::span(bad))}});
  const Outcome outcome = run({(folder.path() / "model").string(), "-o", (folder.path() / "out").string()});
  EXPECT_EQ(outcome.status, kRefused);
  EXPECT_THAT(outcome.err, HasSubstr("tensor 'layers.0.\\x1b[31m\\x27\\x0a.weight'"));
  EXPECT_THAT(outcome.err, HasSubstr("row 1, column 6 is nan"));
}

}  // namespace
}  // namespace convert::test
