#include <sinq/io/reference_sidecar.hpp>

#include "io_support.hpp"

#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::io::parse_reference_sidecar;
using sinq::io::ReferenceMeta;
using sinq_test::bytes_of;
using sinq_test::expect_error;

sinq::io::ReferenceSidecar parse(std::string_view json) { return parse_reference_sidecar(bytes_of(json), "meta"); }

TEST(ReferenceSidecar, WhatTheReferenceWrites) {
  const auto layers = parse(R"({"model.layers.0.q": {"meta": {"nbits": 4, "group_size": 64, "shape": [128, 256],
    "scale.shape": [512, 1], "awq_scale": null, "zero.shape": [], "axis": 1, "packing": "4bit_u8",
    "method": "sinq_quantAux", "compute_dtype": "torch.bfloat16", "unpack_view_dtype": "torch.uint8",
    "view_as_float": false}}, "b": {"meta": {"nbits": 1.58, "shape": [8, 16], "packing": null, "view_as_float": true}}})");
  ASSERT_EQ(layers.size(), 2U);
  const ReferenceMeta& q = layers.at("model.layers.0.q");
  EXPECT_EQ(q.bits, 4.0);
  EXPECT_EQ(q.group_size, 64);
  EXPECT_EQ(q.shape, (std::vector<Index>{128, 256}));
  EXPECT_EQ(q.scale_shape, (std::vector<Index>{512, 1}));
  EXPECT_EQ(q.zero_shape, std::vector<Index>{});
  EXPECT_EQ(q.axis, 1);
  EXPECT_EQ(q.packing, "4bit_u8");
  EXPECT_EQ(q.method, "sinq_quantAux");
  EXPECT_FALSE(q.view_as_float);
  const ReferenceMeta& b = layers.at("b");
  EXPECT_EQ(b.bits, 1.58);
  EXPECT_EQ(b.zero_shape, std::nullopt);
  EXPECT_EQ(b.packing, "");
  EXPECT_TRUE(b.view_as_float);
}

TEST(ReferenceSidecar, WhatNobodyReadsIsSkipped) {
  const auto layers = parse(R"({"norm": {"eps": 1e-6, "x": [[{"meta": {"nbits": {}}}], -1]}, "rope": {},
    "q": {"more": {"meta": [1, {"a": null}]}, "meta": {"later": {"deep": [1, [true, "x"]]}, "negative": -3,
          "shape": [1, 2], "half": 0.5}, "and": "text"}})");
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers.at("q").shape, (std::vector<Index>{1, 2}));
}

TEST(ReferenceSidecar, WritingAndReadingGiveTheSame) {
  sinq::io::ReferenceSidecar layers;
  layers["a"] = {.bits = 3.0,
                 .shape = {5, 64},
                 .group_size = 64,
                 .scale_shape = std::vector<Index>{5, 1},
                 .zero_shape = std::vector<Index>{},
                 .packing = "3bit_32",
                 .method = "sinq_nf3",
                 .tiling_mode = "1D"};
  layers["\"b\\ü"] = {.bits = 1.58, .shape = {1, 1}, .view_as_float = true};
  EXPECT_EQ(parse(reference_sidecar_json(layers)), layers);
  EXPECT_THAT(reference_sidecar_json(layers), testing::HasSubstr(R"("unpack_view_dtype":"torch.int32")"));
  layers["\xff"] = {};
  expect_error(
      Errc::kBadConfig, [&] { static_cast<void>(reference_sidecar_json(layers)); }, "not UTF-8");
}

TEST(ReferenceSidecar, RefusesWhatIsNotItsForm) {
  const auto refuses = [](const std::string& json, const auto&... parts) {
    expect_error(
        Errc::kBadFile, [&] { static_cast<void>(parse(json)); }, "meta: JSON near byte ", parts...);
  };
  refuses("[]", "an array instead of an object");
  refuses("7", "a number instead of an object");
  refuses("null", "null instead of an object");
  refuses("");  // what is wrong with it, the parser words differently from version to version
  refuses(R"({"q": {"meta": {}})", "syntax error");
  refuses(R"({"q": [1]})", "layer 'q': unexpected an array instead of an object");
  refuses(R"({"q": "x"})", "layer 'q': unexpected a string instead of an object");
  refuses(R"({"q": {"meta": 4}})", "unexpected a number in 'meta'");
  refuses(R"({"q": {"meta": null}})", "unexpected null in 'meta'");
  refuses(R"({"q": {"meta": [{}]}})", "unexpected an array in 'meta'");
  const auto refuses_field = [&](const std::string& fields, const auto&... parts) {
    refuses("{\"q\": {\"meta\": {" + fields + "}}}", "layer 'q'", parts...);
  };
  refuses_field(R"("nbits": "4")", "unexpected a string in 'nbits'");
  refuses_field(R"("nbits": -4)", "a negative number in 'nbits'");
  refuses_field(R"("nbits": {})", "an object in 'nbits'");
  refuses_field(R"("shape": 4)", "a number in 'shape'");
  refuses_field(R"("shape": [4, [5]])", "an array in 'shape'");
  refuses_field(R"("shape": [4, {}])", "an object in 'shape'");
  refuses_field(R"("shape": [4, 0.5])", "a fraction in 'shape'");
  refuses_field(R"("shape": [4, -1])", "a negative number in 'shape'");
  refuses_field(R"("shape": [4, null])", "null in 'shape'");
  refuses_field(R"("shape": [18446744073709551615])", "beyond 2^63 in 'shape'");
  refuses_field(R"("scale.shape": null)", "null in 'scale.shape'");
  refuses_field(R"("axis": true)", "a boolean in 'axis'");
  refuses_field(R"("packing": 4)", "a number in 'packing'");
  refuses_field(R"("method": null)", "null in 'method'");
  refuses_field(R"("view_as_float": 1)", "a number in 'view_as_float'");
  refuses_field(R"("nbits": 4, "nbits": 4)", "has 'nbits' twice");
  refuses(R"({"q": {"meta": {}}, "q": {"meta": {}}})", "layer 'q' stands twice");
  refuses(R"({"q": {"meta": {}, "meta": {}}})", "layer 'q' stands twice");
}

TEST(ReferenceSidecar, DeepAndLongTextCostsNothing) {
  const std::string deep(1 << 20, '[');
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(parse("{\"q\":{\"x\":" + deep)); }, "more than 64 levels");
  std::string dimensions = "{\"q\":{\"meta\":{\"shape\":[1";
  for (int i = 0; i < 40; ++i) dimensions += ",1";
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(parse(dimensions)); }, "more dimensions than any tensor has");
}

}  // namespace
