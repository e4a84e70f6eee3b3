// Numbers that are not finite, in tensors that are quantized and in those that are copied, by every program that writes
// or reads matrices of a folder.
#include "quantize_support.hpp"

#include <bit>
#include <cstdio>
#include <cstring>
#include <tuple>

namespace convert::test {
namespace {

using sinq::Index;
using sinq::io::DType;
using testing::HasSubstr;

/// A folder with a matrix that is quantized and tensors that are copied, `count` bytes at `at` of `tensor` replaced.
void write_damaged(const std::filesystem::path& folder, DType type, const std::string& tensor, std::size_t at,
                   std::uint64_t bits) {
  const auto width = static_cast<std::size_t>(sinq::io::dtype_bytes(type));
  std::vector<std::byte> matrix(64 * 64 * width);  // 1s and 2s of every type
  for (std::size_t i = 0; i < 64 * 64; ++i) {
    const std::uint64_t one = type == DType::kF16    ? 0x3c00
                              : type == DType::kBf16 ? 0x3f80
                              : type == DType::kF32  ? 0x3f800000
                                                     : 0x3ff0000000000000;
    std::memcpy(&matrix[i * width], &one, width);
  }
  std::vector<std::byte> table = matrix, norm(64 * width, std::byte{0}), conv = matrix;
  std::map<std::string, std::vector<std::byte>*> tensors{{"model.layers.0.mlp.up_proj.weight", &matrix},
                                                         {"model.embed_tokens.weight", &table},
                                                         {"model.norm.weight", &norm},
                                                         {"model.vision.weight", &conv}};
  std::memcpy(tensors.at(tensor)->data() + at * width, &bits, width);
  write_model(folder, {{"model.layers.0.mlp.up_proj.weight", type, {64, 64}, matrix},
                       {"model.embed_tokens.weight", type, {64, 64}, table},
                       {"model.norm.weight", type, {64}, norm},
                       {"model.vision.weight", type, {4, 16, 64}, conv}});
}

/// The status of a program, and what it says on standard error.
Outcome shell(const std::string& program, const std::vector<std::string>& arguments) {
  std::string line = program;
  for (const auto& argument : arguments) line += " '" + argument + "'";
  std::FILE* pipe = ::popen((line + " 2>&1 >/dev/null").c_str(), "r");
  Outcome out;
  char text[256];
  while (std::fgets(text, sizeof text, pipe) != nullptr) out.err += text;
  out.status = WEXITSTATUS(::pclose(pipe));
  return out;
}

TEST(QuantizeNonfinite, InAnyTensorOfAnyTypeIsRefusedByName) {
  const TemporaryFolder folder;
  const auto in = folder.path() / "in";
  struct Case {
    DType type;
    std::uint64_t bits;
    const char* name;
  };
  int run_number = 0;
  for (const Case& c : {Case{DType::kF16, 0x7e00, "nan"}, Case{DType::kBf16, 0xff80, "-inf"},
                        Case{DType::kF32, 0x7f800000, "inf"}, Case{DType::kF64, 0x7ff8000000000000, "nan"}}) {
    for (const auto& [tensor, at, place] :
         {std::tuple("model.layers.0.mlp.up_proj.weight", 64 * 5 + 7, "row 5, column 7"),
          std::tuple("model.embed_tokens.weight", 64 * 63 + 63, "row 63, column 63"),
          std::tuple("model.norm.weight", 9, "row 0, column 9"),
          std::tuple("model.vision.weight", 64 * 17 + 1, "row 17, column 1")}) {
      write_damaged(in, c.type, tensor, static_cast<std::size_t>(at), c.bits);
      const std::string said = std::string("tensor '") + tensor + "': " + place + " is " + c.name;
      const auto out = (folder.path() / std::to_string(run_number++)).string();
      const Outcome quantized = run({in.string(), "-o", out});
      EXPECT_NE(quantized.status, 0) << said;
      EXPECT_THAT(quantized.err, HasSubstr(said));
      EXPECT_FALSE(std::filesystem::exists(out + "/config.json"));
      const Outcome reference = shell(WRITE_REFERENCE, {in.string(), "-o", out + "-reference"});
      EXPECT_EQ(reference.status, 1) << said;
      EXPECT_THAT(reference.err, HasSubstr(said));
      EXPECT_FALSE(std::filesystem::exists(out + "-reference/config.json"));
      if (std::string(tensor).find("up_proj") == std::string::npos) continue;  // of the others it reads nothing
      const Outcome table = shell(QUANTIZE_MODEL, {in.string(), "--bits", "4"});
      EXPECT_EQ(table.status, 1) << said;
      EXPECT_THAT(table.err, HasSubstr(said));
    }
  }
}

// A double that float32 has not can be copied, and cannot be quantized.
TEST(QuantizeNonfinite, DoublesBeyondFloatAreToldFromNoNumbers) {
  const TemporaryFolder folder;
  const auto in = folder.path() / "in";
  const auto bits = std::bit_cast<std::uint64_t>(1e300);
  write_damaged(in, DType::kF64, "model.norm.weight", 3, bits);
  EXPECT_EQ(run({in.string(), "-o", (folder.path() / "copied").string()}).status, 0);
  write_damaged(in, DType::kF64, "model.layers.0.mlp.up_proj.weight", 64, bits);
  const char* said = "tensor 'model.layers.0.mlp.up_proj.weight': row 1, column 0 is 1e+300, which is beyond float32";
  EXPECT_THAT(run({in.string(), "-o", (folder.path() / "out").string()}).err, HasSubstr(said));
  EXPECT_THAT(shell(WRITE_REFERENCE, {in.string(), "-o", (folder.path() / "reference").string()}).err, HasSubstr(said));
  EXPECT_THAT(shell(QUANTIZE_MODEL, {in.string()}).err, HasSubstr(said));
  // Float32 has this one.
  write_damaged(in, DType::kF64, "model.layers.0.mlp.up_proj.weight", 64, std::bit_cast<std::uint64_t>(3.39e38));
  EXPECT_EQ(run({in.string(), "-o", (folder.path() / "large").string()}).status, 0);
}

}  // namespace
}  // namespace convert::test
