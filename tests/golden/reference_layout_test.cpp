// The reference's own packings, 8-bit aux and checkpoint layout against the golden cases, bit for bit in both
// directions.
#include <sinq/dequantize.hpp>
#include <sinq/io/reference_aux.hpp>
#include <sinq/io/reference_checkpoint.hpp>
#include <sinq/io/reference_packing.hpp>
#include <sinq/io/reference_writer.hpp>

#include "golden_dirs.hpp"
#include "support/golden_case.hpp"
#include "support/reference_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace {

using sinq::Index;
using sinq::io::DType;
using sinq::test::CaseKind;
using sinq::test::GoldenCase;

template <class T>
std::vector<std::byte> as_bytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> packed_file(const GoldenCase& c, DType word) {
  return word == DType::kU8 ? as_bytes(c.bytes("packed")) : as_bytes(c.ints("packed"));
}

void check_packing(const GoldenCase& c) {
  const auto packing = sinq::io::reference_packing_from_name(c.json.at("packing").get<std::string>());
  ASSERT_TRUE(packing.has_value());
  EXPECT_EQ(packed_bits(*packing), c.bits);
  const auto codes = c.bytes("codes");
  const auto expected = packed_file(c, packed_dtype(*packing));
  const auto rows = packed_rows(*packing, c.rows * c.groups());
  ASSERT_EQ(rows, c.json.at("packed").at("shape").at(0).get<Index>());
  std::vector<std::byte> packed(expected.size());
  pack_reference(*packing, codes, packed);
  EXPECT_EQ(packed, expected);
  std::vector<std::uint8_t> unpacked(codes.size());
  unpack_reference(*packing, expected, unpacked);
  EXPECT_EQ(unpacked, codes);
}

void check_aux(const GoldenCase& c, const std::string& file, const std::string& values) {
  const auto raw = c.floats(values + "_raw");
  const Index rows = file == "scale" ? sinq::io::kReferenceScaleRows : static_cast<Index>(raw.size());
  const auto coded = encode_reference_aux(raw, rows, DType::kF32);
  const auto codes = c.bytes(file + "_x");
  const auto step = c.floats(file + "_s");
  const auto minimum = c.floats(file + "_m");
  EXPECT_THAT(coded.codes, testing::ElementsAreArray(codes));
  EXPECT_THAT(coded.step, testing::ElementsAreArray(step));
  EXPECT_THAT(coded.minimum, testing::ElementsAreArray(minimum));
  std::vector<float> decoded(raw.size());
  decode_reference_aux(
      {rows, coded.cols, {codes.begin(), codes.end()}, {step.begin(), step.end()}, {minimum.begin(), minimum.end()}},
      DType::kF32, decoded);
  EXPECT_EQ(decoded, c.floats(values));
}

/// The case as the layer "layer" of a checkpoint that the reference would write.
sinq::test::ReferenceFiles as_checkpoint(const GoldenCase& c, DType type) {
  sinq::test::ReferenceFiles files;
  const Index scales = c.rows * c.groups();
  const auto& packed = c.json.at("packed");
  const bool is_u8 = packed.at("dtype") == "uint8";
  files.add("layer.W_q", is_u8 ? DType::kU8 : DType::kI32, packed.at("shape"),
            packed_file(c, is_u8 ? DType::kU8 : DType::kI32));
  nlohmann::ordered_json meta{{"nbits", c.bits}, {"group_size", c.group_size}, {"shape", {c.rows, c.cols}}};
  const auto aux_shape = c.square ? std::vector<Index>{scales / c.tile, c.tile, 1} : std::vector<Index>{scales, 1};
  const auto zero_shape = c.json.at("zero_is_scalar") ? std::vector<Index>{} : aux_shape;
  if (c.has("scale_x")) {
    const Index zeros = static_cast<Index>(c.bytes("zero_x").size());
    files.add("layer.meta.scale.x", DType::kU8, {32, scales / 32}, as_bytes(c.bytes("scale_x")));
    files.add("layer.meta.scale.s", type, {1, scales / 32}, c.floats("scale_s"));
    files.add("layer.meta.scale.m", type, {1, scales / 32}, c.floats("scale_m"));
    files.add("layer.meta.zero.x", DType::kU8, {zeros, 1}, as_bytes(c.bytes("zero_x")));
    files.add("layer.meta.zero.s", type, {1, 1}, c.floats("zero_s"));
    files.add("layer.meta.zero.m", type, {1, 1}, c.floats("zero_m"));
    meta["scale.shape"] = aux_shape;
    meta["zero.shape"] = zero_shape;
  } else {
    files.add("layer.meta.scale", type, aux_shape, c.floats("s1"));
    files.add("layer.meta.zero", type, zero_shape, c.floats("zero"));
  }
  files.add("layer.meta.scale2", type,
            c.square ? std::vector<Index>{scales / c.tile, 1, c.tile} : std::vector<Index>{1, c.cols}, c.floats("s2"));
  meta["awq_scale"] = nullptr;
  meta["axis"] = 1;
  meta["packing"] = c.json.at("packing");
  meta["method"] = c.method;
  meta["compute_dtype"] = "torch.bfloat16";
  meta["view_as_float"] = false;
  files.sidecar["layer"]["meta"] = meta;
  return files;
}

void check_reading(const GoldenCase& c, DType type) {
  const bool gated_table = c.has("deq_uniform");
  const auto deq = c.floats(gated_table ? "deq_uniform" : "deq");
  if (!std::all_of(deq.begin(), deq.end(), [](float v) { return std::isfinite(v); })) return;
  const sinq::test::OpenReferenceFiles files(as_checkpoint(c, type));
  ASSERT_EQ(files->layers().size(), 1U);
  const auto& layer = files->layers()[0];
  EXPECT_EQ(layer.tile, c.tile);
  EXPECT_EQ(layer.tiling, c.square ? sinq::Tiling::kSquare : sinq::Tiling::kColumns);
  EXPECT_EQ(layer.repairs.size(), gated_table ? 1U : 0U);
  const auto q = files->quantized("layer");
  EXPECT_EQ(q.layout().aux, type == DType::kF16 ? sinq::AuxFormat::kF16 : sinq::AuxFormat::kF32);
  std::vector<float> decoded(deq.size());
  dequantize_into(q, decoded);
  std::size_t different = 0;
  for (std::size_t i = 0; i < deq.size(); ++i) {
    // (-0 and 0 are one.)
    different += std::bit_cast<std::uint32_t>(decoded[i] + 0.0F) != std::bit_cast<std::uint32_t>(deq[i] + 0.0F);
  }
  EXPECT_EQ(different, 0U);
  // And back: the same tensors, 8-bit aux aside, which are coded from values that were not.
  const auto aux = type == DType::kF16 ? sinq::io::ReferenceAux::kF16 : sinq::io::ReferenceAux::kF32;
  // (One row of squares is the same as strips, and written so.)
  if (c.square && c.rows == c.tile) return;
  auto original = as_checkpoint(c, type);
  for (const auto& tensor : reference_layer_data("layer", q, aux).tensors) {
    if (c.quant_aux && tensor.info.name.find(".meta.") != std::string::npos) continue;
    EXPECT_EQ(tensor.info.shape, original.at(tensor.info.name).shape) << tensor.info.name;
    EXPECT_EQ(tensor.info.dtype, original.at(tensor.info.name).dtype) << tensor.info.name;
    EXPECT_EQ(tensor.bytes, original.at(tensor.info.name).bytes) << tensor.info.name;
  }
}

/// Cases of `folders` that have a packed file, and those with 8-bit aux.
struct Checked {
  int packed = 0;
  int aux = 0;
  int read = 0;
};

Checked check(const std::vector<std::filesystem::path>& folders) {
  Checked checked;
  for (const auto& folder : folders) {
    const GoldenCase c = sinq::test::load_case(folder);
    SCOPED_TRACE(c.id);
    if (c.kind == CaseKind::kSinkhorn) continue;
    if (c.has("packed")) {
      check_packing(c);
      ++checked.packed;
      if (c.has("deq") || c.has("deq_uniform")) {
        check_reading(c, DType::kF32);
        if (c.half_meta) check_reading(c, DType::kF16);
        ++checked.read;
      }
    }
    if (c.has("scale_x")) {
      check_aux(c, "scale", "s1");
      check_aux(c, "zero", "zero");
      ++checked.aux;
    }
  }
  return checked;
}

TEST(ReferenceLayoutOnGolden, EmbeddedCases) {
  const Checked checked = check(sinq::test::embedded_cases());
  EXPECT_EQ(checked.packed, 6) << "one of each width";
  EXPECT_EQ(checked.aux, 1);
  EXPECT_EQ(checked.read, 1);
}

TEST(ReferenceLayoutOnGolden, AllCases) {
  const auto dir = sinq::test::full_golden_dir();
  if (!dir) GTEST_SKIP() << "no full golden set here (set SINQ_GOLDEN_DIR)";
  const Checked checked = check(sinq::test::case_folders(*dir));
  EXPECT_EQ(checked.packed, 81);
  EXPECT_EQ(checked.aux, 10);
  EXPECT_EQ(checked.read, 81);
}

}  // namespace
