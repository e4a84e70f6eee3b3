// Each way in which the parts of a layer may contradict each other, and each defect that is known of the writer.
#include <sinq/io/reference_layer.hpp>

#include "io_support.hpp"
#include "support/reference_files.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::Tiling;
using sinq::io::DType;
using sinq::io::ReferenceLevels;
using sinq::io::ReferencePacking;
using sinq::test::OpenReferenceFiles;
using sinq::test::ReferenceFiles;
using sinq_test::expect_error;

/// A layer "q" of 16 x 32 weights, 4 bits, groups of 16.
ReferenceFiles layer() {
  ReferenceFiles files;
  files.add("q.W_q", DType::kU8, {16, 16}, std::vector<std::byte>(256, std::byte{0x5a}));
  files.add("q.meta.scale", DType::kF16, {32, 1}, std::vector<float>(32, 0.5F));
  files.add("q.meta.zero", DType::kF16, {32, 1}, std::vector<float>(32, 7.5F));
  files.add("q.meta.scale2", DType::kF16, {1, 32}, std::vector<float>(32, 1.5F));
  files.sidecar["q"]["meta"] = {{"nbits", 4},           {"group_size", 64}, {"shape", {16, 32}},     {"axis", 1},
                                {"packing", "4bit_u8"}, {"method", "sinq"}, {"view_as_float", false}};
  return files;
}

/// The same with 8-bit aux.
ReferenceFiles coded_layer() {
  ReferenceFiles files = layer();
  files.remove("q.meta.scale");
  files.remove("q.meta.zero");
  files.add("q.meta.scale.x", DType::kU8, {32, 1}, std::vector<std::byte>(32));
  files.add("q.meta.scale.s", DType::kF16, {1, 1}, {0.0F});
  files.add("q.meta.scale.m", DType::kF16, {1, 1}, {0.5F});
  files.add("q.meta.zero.x", DType::kU8, {32, 1}, std::vector<std::byte>(32));
  files.add("q.meta.zero.s", DType::kF16, {1, 1}, {0.0F});
  files.add("q.meta.zero.m", DType::kF16, {1, 1}, {8.0F});
  files.sidecar["q"]["meta"]["scale.shape"] = {32, 1};
  files.sidecar["q"]["meta"]["zero.shape"] = {32, 1};
  return files;
}

/// The same in squares of 16 x 16.
ReferenceFiles square_layer() {
  ReferenceFiles files = layer();
  files.at("q.meta.scale").shape = {2, 16, 1};
  files.at("q.meta.zero").shape = {2, 16, 1};
  files.at("q.meta.scale2").shape = {2, 1, 16};
  return files;
}

void set(ReferenceFiles& files, const std::string& name, DType dtype, std::vector<Index> shape) {
  auto& tensor = files.at(name);
  tensor.bytes.assign(sinq::io::tensor_bytes(dtype, shape).value(), std::byte{0});
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
}

nlohmann::ordered_json& meta(ReferenceFiles& files) { return files.sidecar["q"]["meta"]; }

template <class... Parts>
void expect_refusal(Errc code, const ReferenceFiles& files, const Parts&... parts) {
  expect_error(
      code, [&] { const OpenReferenceFiles opened(files); }, parts...);
}

TEST(ReferenceLayer, StripsSquaresAndTheGroupThatWasUsed) {
  const OpenReferenceFiles strips(layer());
  const auto& one = strips->layers().at(0);
  EXPECT_EQ(one.name, "q");
  EXPECT_EQ(one.rows, 16);
  EXPECT_EQ(one.cols, 32);
  EXPECT_EQ(one.tile, 16);  // the meta data's 64 was halved until it divided the columns
  EXPECT_EQ(one.tiling, Tiling::kColumns);
  EXPECT_EQ(one.packing, ReferencePacking::k4BitU8);
  EXPECT_EQ(one.levels, ReferenceLevels::kCodes);
  EXPECT_EQ(one.bits, 4);
  EXPECT_TRUE(one.repairs.empty());
  const OpenReferenceFiles squares(square_layer());
  EXPECT_EQ(squares->layers()[0].tiling, Tiling::kSquare);
  EXPECT_EQ(squares->layers()[0].scale_index(3, 1), 19U);
  EXPECT_EQ(one.scale_index(3, 1), 7U);
}

TEST(ReferenceLayer, AOneGroupTileMayBeAnyWidth) {
  ReferenceFiles files;
  files.add("q.W_q", DType::kU8, {1, 13}, std::vector<std::byte>(13));
  files.add("q.meta.scale", DType::kF32, {1, 1}, {1.0F});
  files.add("q.meta.zero", DType::kF32, {}, {1.0F});
  files.sidecar["q"]["meta"] = {{"nbits", 8}, {"shape", {1, 13}}};
  const OpenReferenceFiles opened(files);
  EXPECT_EQ(opened->layers()[0].tile, 13);
  EXPECT_EQ(opened->quantized("q").layout().group_size, 16);
}

TEST(ReferenceLayer, MissingTensorsAreNamed) {
  for (const std::string name : {"q.W_q", "q.meta.scale", "q.meta.zero"}) {
    ReferenceFiles files = layer();
    files.remove(name);
    expect_refusal(Errc::kBadFile, files, "memory.safetensors", "no tensor '" + name + "'");
  }
  for (const std::string name : {"q.meta.scale.s", "q.meta.scale.m", "q.meta.zero.s", "q.meta.zero.m"}) {
    ReferenceFiles files = coded_layer();
    files.remove(name);
    expect_refusal(Errc::kBadFile, files, "no tensor '" + name + "'");
  }
  ReferenceFiles no_col_scale = layer();  // all ones
  no_col_scale.remove("q.meta.scale2");
  EXPECT_EQ(OpenReferenceFiles(no_col_scale)->layers()[0].col_scale, nullptr);
}

TEST(ReferenceLayer, TensorsOfTheWrongTypeOrShape) {
  const auto refuses = [](const ReferenceFiles& base, Errc code, const std::string& name, DType dtype,
                          std::vector<Index> shape, const std::string& text) {
    ReferenceFiles files = base;
    set(files, name, dtype, std::move(shape));
    expect_refusal(code, files, text);
  };
  const ReferenceFiles plain = layer(), coded = coded_layer(), square = square_layer();
  refuses(plain, Errc::kBadFile, "q.W_q", DType::kU8, {16, 15}, "memory.safetensors: tensor 'q.W_q' at byte ");
  refuses(plain, Errc::kBadFile, "q.W_q", DType::kI8, {16, 16}, "I8 [16, 16] is not U8 [16, 16], as 4bit_u8");
  refuses(plain, Errc::kBadFile, "q.W_q", DType::kU8, {256}, "[256] is not U8 [16, 16]");
  refuses(plain, Errc::kUnsupported, "q.meta.scale", DType::kU8, {32, 1}, "dtype U8 is not F16");
  refuses(plain, Errc::kBadFile, "q.meta.scale", DType::kF16, {32}, "scales of shape [32] do not divide");
  refuses(plain, Errc::kBadFile, "q.meta.scale", DType::kF16, {1, 32}, "scales of shape [1, 32] do not divide");
  refuses(plain, Errc::kBadFile, "q.meta.scale", DType::kF16, {31, 1}, "scales of shape [31, 1] do not divide");
  refuses(plain, Errc::kBadFile, "q.meta.scale", DType::kF16, {0, 1}, "scales of shape [0, 1] do not divide");
  refuses(plain, Errc::kBadFile, "q.meta.scale", DType::kF16, {1, 1}, "scales of shape [1, 1] do not divide");
  refuses(plain, Errc::kUnsupported, "q.meta.scale", DType::kF16, {128, 1},
          "groups of 4 columns are not a multiple of 8");
  refuses(plain, Errc::kBadFile, "q.meta.zero", DType::kF16, {2, 1},
          "2 zero points are neither one nor one per scale (32)");
  refuses(plain, Errc::kBadFile, "q.meta.zero", DType::kF16, {0}, "0 zero points");
  refuses(plain, Errc::kUnsupported, "q.meta.zero", DType::kI64, {32, 1}, "dtype I64");
  refuses(plain, Errc::kBadFile, "q.meta.scale2", DType::kF16, {32, 1}, "shape [32, 1] is not [1, 32]");
  refuses(plain, Errc::kUnsupported, "q.meta.scale2", DType::kF64, {1, 32}, "dtype F64");
  refuses(square, Errc::kBadFile, "q.meta.scale2", DType::kF16, {1, 32}, "[1, 32] is not [2, 1, 16]");
  refuses(square, Errc::kBadFile, "q.meta.scale", DType::kF16, {1, 32, 1}, "[1, 32, 1] do not divide");
  refuses(square, Errc::kBadFile, "q.meta.scale", DType::kF16, {2, 8, 1}, "[2, 8, 1] do not divide");
  refuses(coded, Errc::kUnsupported, "q.meta.scale.x", DType::kI8, {32, 1}, "dtype I8 is not U8");
  refuses(coded, Errc::kBadFile, "q.meta.scale.x", DType::kU8, {32}, "[32] is not a matrix");
  refuses(coded, Errc::kBadFile, "q.meta.scale.s", DType::kF16, {1, 2}, "[1, 2] is not [1, 1]");
  refuses(coded, Errc::kBadFile, "q.meta.zero.m", DType::kF16, {1}, "[1] is not [1, 1]");
  refuses(coded, Errc::kUnsupported, "q.meta.zero.m", DType::kF32, {1, 1}, "dtype F32 is not that of the steps, F16");
  ReferenceFiles twice = coded_layer();
  twice.add("q.meta.zero", DType::kF16, {32, 1}, std::vector<float>(32));
  expect_refusal(Errc::kBadFile, twice, "'q.meta.zero'", "beside the same values in 8 bits");
}

TEST(ReferenceLayer, MetaDataThatContradictTheTensors) {
  const auto refuses = [](Errc code, const std::function<void(nlohmann::ordered_json&)>& change, const auto&... parts) {
    ReferenceFiles files = coded_layer();
    change(meta(files));
    expect_refusal(code, files, "memory.meta.json", "layer 'q'", parts...);
  };
  refuses(
      Errc::kBadFile, [](auto& m) { m.erase("shape"); }, "'shape' [] is not that of a matrix");
  refuses(
      Errc::kBadFile, [](auto& m) { m["shape"] = {16}; }, "'shape' [16]");
  refuses(
      Errc::kBadFile,
      [](auto& m) {
        m["shape"] = {16, 0};
      },
      "'shape' [16, 0]");
  refuses(
      Errc::kBadFile,
      [](auto& m) {
        m["shape"] = {std::int64_t{1} << 40, 1024};
      },
      "'shape' [1099511627776, 1024]");
  refuses(
      Errc::kBadFile,
      [](auto& m) {
        m["shape"] = {16, 33};
      },
      "do not divide a matrix [16, 33]");
  refuses(
      Errc::kUnsupported, [](auto& m) { m["axis"] = 0; }, "'axis' 0 is not 1");
  refuses(
      Errc::kBadFile, [](auto& m) { m.erase("scale.shape"); }, "no 'scale.shape'");
  refuses(
      Errc::kBadFile,
      [](auto& m) {
        m["zero.shape"] = {31, 1};
      },
      "'zero.shape' [31, 1] is not of 32 values");
  refuses(
      Errc::kUnsupported, [](auto& m) { m["nbits"] = 7; }, "'nbits' 7 is not");
  refuses(
      Errc::kUnsupported, [](auto& m) { m["nbits"] = 1e300; }, "'nbits' 1e+300 is not");
  refuses(
      Errc::kUnsupported, [](auto& m) { m.erase("nbits"); }, "'nbits' 0 is not");
  refuses(
      Errc::kUnsupported, [](auto& m) { m["packing"] = "4bit_32"; }, "'packing' '4bit_32' is not 4bit_u8");
  refuses(
      Errc::kUnsupported, [](auto& m) { m["method"] = "nf4_nf3"; }, "names two tables");
  ReferenceFiles other = layer();
  other.sidecar["r"]["meta"] = meta(other);
  expect_refusal(Errc::kBadFile, other, "no tensor 'r.W_q'");
  ReferenceFiles none = layer();
  none.sidecar.clear();
  expect_refusal(Errc::kBadFile, none, "tensor 'q.W_q' at byte", "memory.meta.json says nothing of its layer");
  ReferenceFiles unknown = layer();
  unknown.add("q.meta.zero_scale", DType::kF16, {1}, {1.0F});
  expect_refusal(Errc::kUnsupported, unknown, "'q.meta.zero_scale'", "no known part of a quantized layer");
}

TEST(ReferenceLayer, AMissingOrStalePackingFlagIsRepaired) {
  ReferenceFiles missing = layer();
  meta(missing).erase("packing");
  EXPECT_THAT(OpenReferenceFiles(missing)->layers()[0].repairs,
              testing::ElementsAre("'packing' is missing, and taken from 'nbits'"));
  // What the reference drops when it loads 8 bits, and then misses.
  ReferenceFiles eight = layer();
  meta(eight)["nbits"] = 8;
  meta(eight)["packing"] = nullptr;
  set(eight, "q.W_q", DType::kU8, {32, 16});
  EXPECT_TRUE(OpenReferenceFiles(eight)->layers()[0].repairs.empty());
  ReferenceFiles unpacked = layer();
  set(unpacked, "q.W_q", DType::kU8, {32, 16});
  unpacked.at("q.W_q").bytes[17] = std::byte{15};
  const OpenReferenceFiles opened(unpacked);
  EXPECT_EQ(opened->layers()[0].packing, ReferencePacking::k8BitU8);
  EXPECT_THAT(opened->layers()[0].repairs, testing::ElementsAre("the codes are not packed, though 'nbits' is 4"));
  EXPECT_EQ(opened->quantized("q").layout().bits, 4);
  unpacked.at("q.W_q").bytes[17] = std::byte{16};
  expect_error(
      Errc::kBadData, [&] { static_cast<void>(OpenReferenceFiles(unpacked)->quantized("q")); }, "'q.W_q'",
      "code 16 at byte", "is above 15");
}

TEST(ReferenceLayer, CodesTypedAsFloatsAreTakenAsTheyAre) {
  ReferenceFiles files = layer();
  files.at("q.W_q").dtype = DType::kBf16;
  files.at("q.W_q").shape = {16, 8};
  expect_refusal(Errc::kBadFile, files, "BF16 [16, 8] is not U8 [16, 16]");
  meta(files)["view_as_float"] = true;
  EXPECT_EQ(OpenReferenceFiles(files)->layers()[0].packing, ReferencePacking::k4BitU8);
}

TEST(ReferenceLayer, RowsThatThePackerCorruptsAreRefused) {
  ReferenceFiles files;  // 3 rows of 4-bit codes: the reference adds one row to two
  files.add("q.W_q", DType::kU8, {2, 16}, std::vector<std::byte>(32));
  files.add("q.meta.scale", DType::kF16, {3, 1}, std::vector<float>(3, 1.0F));
  files.add("q.meta.zero", DType::kF16, {3, 1}, std::vector<float>(3, 1.0F));
  files.sidecar["q"]["meta"] = {{"nbits", 4}, {"shape", {3, 16}}, {"packing", "4bit_u8"}};
  expect_refusal(Errc::kUnsupported, files, "3 rows of codes are no whole number of 4bit_u8 words");
}

TEST(ReferenceLayer, NumbersThatAreNotFiniteAreNamed) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::string name : {"q.meta.scale", "q.meta.zero", "q.meta.scale2"}) {
    for (const float value : {-inf, nan}) {
      ReferenceFiles files = layer();
      auto& bytes = files.at(name).bytes;
      const std::uint16_t half = sinq::float_to_half(value);
      std::memcpy(bytes.data() + 2 * 5, &half, 2);
      expect_error(
          Errc::kBadData, [&] { static_cast<void>(OpenReferenceFiles(files)->quantized("q")); }, name,
          "element 5, at byte", std::isnan(value) ? "nan" : "-inf");
    }
  }
  ReferenceFiles files = coded_layer();
  files.remove("q.meta.scale.s");
  files.add("q.meta.scale.s", DType::kF16, {1, 1}, {65504.0F});
  files.at("q.meta.scale.x").bytes[3] = std::byte{2};
  expect_error(
      Errc::kBadData, [&] { static_cast<void>(OpenReferenceFiles(files)->quantized("q")); }, "'q.meta.scale.x'",
      "element 3 decodes to inf");
}

/// `zero` in all groups, `method`, column scales all `col_scale`.
ReferenceFiles table_layer(const std::string& method, float zero, float col_scale) {
  ReferenceFiles files = layer();
  files.remove("q.meta.zero");
  files.remove("q.meta.scale2");
  files.add("q.meta.zero", DType::kF16, {32, 1}, std::vector<float>(32, zero));
  files.add("q.meta.scale2", DType::kF16, {1, 32}, std::vector<float>(32, col_scale));
  meta(files)["method"] = method;
  return files;
}

TEST(ReferenceLayer, GatedTablesAreUniformCodes) {
  const auto levels = [](const ReferenceFiles& files) { return OpenReferenceFiles(files)->layers()[0].levels; };
  const auto repairs = [](const ReferenceFiles& files) {
    return OpenReferenceFiles(files)->layers()[0].repairs.size();
  };
  EXPECT_EQ(levels(table_layer("sinq_nf4", 0.25F, 1.5F)), ReferenceLevels::kNf4);
  EXPECT_EQ(levels(table_layer("sinq_nf4", 0.25F, 1.0F)), ReferenceLevels::kNf4);  // a fraction: not gated
  EXPECT_EQ(levels(table_layer("sinq_nf4", 8.0F, 1.5F)), ReferenceLevels::kNf4);   // the normalizer ran: not gated
  EXPECT_EQ(levels(table_layer("nf4", 8.0F, 1.0F)), ReferenceLevels::kNf4);        // without "sinq" there is no gate
  EXPECT_EQ(repairs(table_layer("nf4", 8.0F, 1.0F)), 0U);
  EXPECT_EQ(levels(table_layer("SINQ_NF4", 8.0F, 1.0F)), ReferenceLevels::kCodes);
  EXPECT_EQ(repairs(table_layer("sinq_nf4", 8.0F, 1.0F)), 1U);
  expect_refusal(Errc::kUnsupported, table_layer("sinq_nf4", 0.0F, 1.0F), "layer 'q'", "nothing tells which");
  EXPECT_EQ(levels(table_layer("sinq_nf4_hqq", 0.25F, 1.5F)), ReferenceLevels::kCodes);
  EXPECT_EQ(levels(table_layer("nf4_noz", 0.25F, 1.5F)), ReferenceLevels::kCodes);
  ReferenceFiles coded = coded_layer();  // zero points of 8: the minimum is exact
  meta(coded)["method"] = "sinq_nf4_quantAux";
  coded.remove("q.meta.scale2");
  EXPECT_EQ(levels(coded), ReferenceLevels::kCodes);
}

TEST(ReferenceLayer, TablesInOtherWidths) {
  ReferenceFiles cut = table_layer("sinq_nf4", 0.25F, 1.5F);
  meta(cut)["nbits"] = 3;
  meta(cut)["packing"] = "3bit_32";
  set(cut, "q.W_q", DType::kI32, {4, 16});
  expect_refusal(Errc::kUnsupported, cut, "'sinq_nf4' does not fit 3 bits");
  // NF3 in 4 bits: codes beyond the table mean its last entry.
  const OpenReferenceFiles wide(table_layer("sinq_nf3", 0.25F, 1.5F));
  EXPECT_EQ(wide->layers()[0].bits, 3);
  const auto q = wide->quantized("q");
  EXPECT_EQ(q.layout().level_count, 8);
  EXPECT_EQ(sinq::code_at(q.view().codes(0), 0, 3), 5U);  // 0x5 in the upper half
  EXPECT_EQ(sinq::code_at(q.view().codes(8), 0, 3), 7U);  // 0xa in the lower
}

}  // namespace
