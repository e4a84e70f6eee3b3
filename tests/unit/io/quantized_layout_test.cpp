#include <sinq/io/quantized_layout.hpp>

#include "io_support.hpp"
#include "support/quantized_layouts.hpp"

#include <string>

namespace {

using sinq::Errc;
using sinq::Layout;
using sinq::io::layout_text;
using sinq::io::detail::check_quantized_version;
using sinq::io::detail::parse_layout;
using sinq::io::detail::Presence;
using sinq::test::every_layout;
using sinq_test::expect_error;

constexpr const char* kText =
    R"({"rows":2,"cols":8,"bits":3,"group_size":8,"row_block":2,"level_count":0,"offset":"zero_point",)"
    R"("aux":"f16","col_scale":"stored","shared_zero_point":0})";
const Layout kLayout{.rows = 2, .cols = 8, .bits = 3, .group_size = 8, .row_block = 2};

/// kText with `from` replaced.
std::string changed(std::string_view from, std::string_view to) {
  std::string text = kText;
  return text.replace(text.find(from), from.size(), to);
}

void refused(const std::string& text, std::string_view part) {
  SCOPED_TRACE(text);
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(parse_layout(text, "f: layout of tensor 'w'")); },
      "f: layout of tensor 'w'", part);
}

TEST(QuantizedLayout, TextIsFixed) {
  EXPECT_EQ(layout_text(kLayout), kText);
  EXPECT_EQ(parse_layout(kText, "f"), kLayout);
}

TEST(QuantizedLayout, EveryLayoutComesBack) {
  for (auto [name, layout] : every_layout()) {
    layout.matrix_scale = 1.0F;  // is not in the text
    EXPECT_EQ(parse_layout(layout_text(layout), "f"), layout) << name;
  }
}

TEST(QuantizedLayout, FloatsComeBackExactly) {
  for (const float zero : {0.0F, -0.0F, 7.5F, -1.0F, 0.1F, 3e38F, 1e-45F, 123456789.0F}) {
    Layout layout = kLayout;
    layout.shared_zero_point = zero;
    EXPECT_EQ(parse_layout(layout_text(layout), "f").shared_zero_point, zero) << layout_text(layout);
  }
}

TEST(QuantizedLayout, AnyOrderAndSpacesAreRead) {
  EXPECT_EQ(parse_layout(R"( {"shared_zero_point":0.0, "aux":"f16","col_scale":"stored","offset":"zero_point",
      "level_count":0,"row_block":2,"group_size":8,"bits":3,"cols":8,"rows":2} )",
                         "f"),
            kLayout);
}

TEST(QuantizedLayout, EveryFieldMustBeThereOnce) {
  sinq::io::detail::for_each_field(
      kLayout, [](std::string_view name, const auto&, Presence presence = Presence::kAlways) {
        if (presence == Presence::kNotZero) return;
        std::string text = kText;
        const auto at = text.find("\"" + std::string(name) + "\"");
        const auto end = text.find_first_of(",}", at);
        const std::string field = text.substr(at, end - at);
        refused(changed(field, field + "," + field), "'" + std::string(name) + "' stands twice");
        // With the comma behind it, or, of the last one, before it.
        text[end] == ',' ? text.erase(at, end - at + 1) : text.erase(at - 1, end - at + 1);
        refused(text, "'" + std::string(name) + "' is missing");
      });
}

/// What version 1 did not have stands only where it says something.
TEST(QuantizedLayout, TheRateOfATrellisMayBeMissing) {
  const std::string zero = changed("}", ",\"quarter_bits\":0}");
  EXPECT_EQ(parse_layout(zero, "f"), kLayout);
  const Layout trellis{.rows = 2,
                       .cols = 8,
                       .bits = 0,
                       .quarter_bits = 10,
                       .group_size = 16,
                       .row_block = 2,
                       .level_count = 48,
                       .offset = sinq::OffsetKind::kShared};
  EXPECT_EQ(layout_text(trellis),
            R"({"rows":2,"cols":8,"bits":0,"group_size":16,"row_block":2,"level_count":48,"offset":"shared",)"
            R"("aux":"f16","col_scale":"stored","shared_zero_point":0,)"
            R"("quarter_bits":10})");
  EXPECT_EQ(parse_layout(layout_text(trellis), "f"), trellis);
  refused(changed("}", ",\"quarter_bits\":0,\"quarter_bits\":0}"), "'quarter_bits' stands twice");
  refused(changed("}", ",\"quarter_bits\":10}"), "bits 3 is not 0 beside quarter_bits 10");
  refused(changed("}", ",\"quarter_bits\":20}"), "quarter_bits 20 is not in 6..18");
}

/// Versions 1 and 2 said of every layout what a code stands for.
TEST(QuantizedLayout, FormerFieldsOfScalarCodesAreRead) {
  EXPECT_EQ(parse_layout(changed("}", ",\"vector_dim\":1,\"signs\":\"in_levels\"}"), "f"), kLayout);
  EXPECT_EQ(parse_layout(changed("\"rows\"", "\"signs\":\"in_levels\",\"rows\""), "f"), kLayout);
  EXPECT_EQ(parse_layout(changed("}", ",\"vector_dim\":1}"), "f"), kLayout);
  refused(changed("}", ",\"vector_dim\":1,\"vector_dim\":1}"), "'vector_dim' stands twice");
  refused(changed("}", ",\"signs\":\"in_levels\",\"signs\":\"in_levels\"}"), "'signs' stands twice");
  refused(changed("}", ",\"vector_dim\":\"1\"}"), "unexpected a string in 'vector_dim'");
  refused(changed("}", ",\"vector_dim\":-1}"), "unexpected a negative number in 'vector_dim'");
  refused(changed("}", ",\"vector_dim\":1.5}"), "unexpected a fraction in 'vector_dim'");
  refused(changed("}", ",\"signs\":1}"), "unexpected a number in 'signs'");
}

TEST(QuantizedLayout, VectorCodesAreRefused) {
  for (const char* field : {R"("vector_dim":2)", R"("vector_dim":4)", R"("vector_dim":8)", R"("signs":"separate")"}) {
    expect_error(
        Errc::kUnsupported,
        [&] { static_cast<void>(parse_layout(changed("}", "," + std::string(field) + "}"), "f: layout of 'w'")); },
        "f: layout of 'w'", "vector codes were removed", "quantize the matrix again, with the lane trellis");
  }
}

TEST(QuantizedLayout, OtherTextsAreRefusedByField) {
  refused("", "");
  refused("[]", "unexpected an array instead of an object");
  refused("3", "unexpected a number instead of an object");
  refused("{}", "'rows' is missing");
  refused(kText + std::string("{}"), "");
  refused(std::string(kText).substr(0, 50), "");
  refused(changed("\"rows\"", "\"lines\""), "unknown field 'lines'");
  refused(changed("\"rows\":2", "\"rows\":\"2\""), "unexpected a string in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":2.5"), "unexpected a fraction in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":-2"), "unexpected a negative number in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":null"), "unexpected null in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":true"), "unexpected a boolean in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":[2]"), "unexpected an array in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":{\"rows\":2}"), "unexpected an object in 'rows'");
  refused(changed("\"rows\":2", "\"rows\":0"), "rows 0 is not at least 1");
  refused(changed("\"rows\":2", "\"rows\":9223372036854775807"), "more than 2^40 weights");
  refused(changed("\"rows\":2", "\"rows\":9223372036854775808"), "'rows' is 9223372036854775808");
  refused(changed("\"rows\":2", "\"rows\":99999999999999999999"), "in 'rows'");
  refused(changed("\"bits\":3", "\"bits\":4294967299"), "'bits' is 4294967299, which is more than 2147483647");
  refused(changed("\"bits\":3", "\"bits\":9"), "bits 9 is not in 1..8");
  refused(changed("\"group_size\":8", "\"group_size\":12"), "group_size 12");
  refused(changed("\"row_block\":2", "\"row_block\":3"), "row_block 3");
  refused(changed("\"level_count\":0", "\"level_count\":7"), "level_count 7");
  refused(changed("zero_point\",", "offset\","), "'offset' is 'offset', which is none of its values");
  refused(changed("\"aux\":\"f16\"", "\"aux\":0"), "unexpected a number in 'aux'");
  refused(changed("\"aux\":\"f16\"", "\"aux\":\"stored\""), "'aux' is 'stored'");
  refused(changed("zero_point\":0", "zero_point\":\"0\""), "unexpected a string in 'shared_zero_point'");
  refused(changed("zero_point\":0", "zero_point\":0.1"), "0.1, which float32 does not have");
  refused(changed("zero_point\":0", "zero_point\":1e39"), "which float32 does not have");
  refused(changed("zero_point\":0", "zero_point\":16777217"), "which float32 does not have");
  refused("{" + std::string(1'000'000, '['), "");
}

TEST(QuantizedLayout, OtherVersionsAreNotRead) {
  const auto check = [](const sinq::io::Metadata& metadata) { check_quantized_version(metadata, "f"); };
  EXPECT_NO_THROW(check({}));
  EXPECT_NO_THROW(check({{"format", "pt"}, {"sinq.layouts", "x"}}));
  EXPECT_NO_THROW(check({{"sinq.version", "1"}, {"sinq.layout.w", "{}"}}));
  EXPECT_NO_THROW(check({{"sinq.version", "2"}, {"sinq.layout.w", "{}"}}));
  EXPECT_NO_THROW(check({{"sinq.version", "3"}, {"sinq.layout.w", "{}"}}));
  for (const char* version : {"4", "0", "-1", "", "1.0", "01", "10"}) {
    expect_error(
        Errc::kUnsupported,
        [&] {
          check({{"sinq.version", version}});
        },
        "f", version, "reads versions 1 to 3");
  }
  expect_error(
      Errc::kBadFile,
      [&] {
        check({{"sinq.layout.w", "{}"}});
      },
      "'sinq.layout.w'", "no 'sinq.version'");
}

}  // namespace
