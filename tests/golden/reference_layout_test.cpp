// The reference's own packings and 8-bit aux against the golden cases, bit for bit in both directions.
#include <sinq/io/reference_aux.hpp>
#include <sinq/io/reference_packing.hpp>

#include "golden_dirs.hpp"
#include "support/golden_case.hpp"

#include <gtest/gtest.h>

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
  EXPECT_EQ(coded.codes, c.bytes(file + "_x"));
  EXPECT_EQ(coded.step, c.floats(file + "_s"));
  EXPECT_EQ(coded.minimum, c.floats(file + "_m"));
  std::vector<float> decoded(raw.size());
  decode_reference_aux({rows, coded.cols, c.bytes(file + "_x"), c.floats(file + "_s"), c.floats(file + "_m")},
                       DType::kF32, decoded);
  EXPECT_EQ(decoded, c.floats(values));
}

/// Cases of `folders` that have a packed file, and those with 8-bit aux.
struct Checked {
  int packed = 0;
  int aux = 0;
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
}

TEST(ReferenceLayoutOnGolden, AllCases) {
  const auto dir = sinq::test::full_golden_dir();
  if (!dir) GTEST_SKIP() << "no full golden set here (set SINQ_GOLDEN_DIR)";
  const Checked checked = check(sinq::test::case_folders(*dir));
  EXPECT_EQ(checked.packed, 81);
  EXPECT_EQ(checked.aux, 10);
}

}  // namespace
