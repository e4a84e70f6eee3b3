#include <sinq/dequantize.hpp>
#include <sinq/io/reference_writer.hpp>

#include "io_support.hpp"
#include "support/reference_files.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::ColScaleKind;
using sinq::Errc;
using sinq::Index;
using sinq::Layout;
using sinq::OffsetKind;
using sinq::QuantizedMatrix;
using sinq::Region;
using sinq::io::DType;
using sinq::io::ReferenceAux;
using sinq::io::ReferenceLayerData;
using sinq::test::OpenReferenceFiles;
using sinq::test::ReferenceFiles;
using sinq_test::expect_error;

void put(QuantizedMatrix& q, Region region, AuxFormat format, const std::function<float(Index)>& value) {
  const auto bytes = q.region(region);
  const Index width = format == AuxFormat::kF32 ? 4 : 2;
  for (Index i = 0; i < static_cast<Index>(bytes.size()) / width; ++i) {
    const float number = value(i);
    const std::uint16_t half = sinq::float_to_half(number);
    std::memcpy(bytes.data() + i * width, width == 4 ? static_cast<const void*>(&number) : &half,
                static_cast<std::size_t>(width));
  }
}

/// Some codes and numbers for `layout`, all of them float16 numbers, scales of 2^-3 to 1.
QuantizedMatrix matrix(const Layout& layout) {
  QuantizedMatrix q(layout);
  auto* codes = reinterpret_cast<std::uint8_t*>(q.region(Region::kCodes).data());
  for (Index r = 0; r < layout.rows; ++r) {
    for (Index c = 0; c < layout.cols; ++c) {
      sinq::put_code(codes + sinq::detail::ScalarCodes(layout).code_offset(r, 0), c, layout.bits,
                     static_cast<std::uint32_t>((r * 7 + c * 5) % (Index{1} << layout.bits)));
    }
  }
  put(q, Region::kGroupScale, layout.aux, [](Index i) { return static_cast<float>(8 + i % 57) / 64; });
  put(q, Region::kOffset, layout.aux, [](Index i) { return static_cast<float>(i % 31) / 4; });
  put(q, Region::kColScale, layout.col_scale_format(), [](Index i) { return static_cast<float>(32 + i % 23) / 32; });
  if (layout.level_count == 16) {
    std::memcpy(q.region(Region::kLevels).data(), sinq::codebooks::kNf4Levels.data(), 64);
  } else if (layout.level_count == 8) {
    std::memcpy(q.region(Region::kLevels).data(), sinq::codebooks::kNf3Levels.data(), 32);
  }
  return q;
}

ReferenceFiles files_of(const ReferenceLayerData& data) {
  ReferenceFiles files;
  for (const auto& tensor : data.tensors) {
    files.add(tensor.info.name, tensor.info.dtype, tensor.info.shape, tensor.bytes);
  }
  files.sidecar = nlohmann::ordered_json::parse(sinq::io::reference_sidecar_json({{"q", data.meta}}));
  return files;
}

std::vector<float> decoded(const QuantizedMatrix& q) {
  std::vector<float> out(static_cast<std::size_t>(q.rows() * q.cols()));
  dequantize_into(q, out);
  return out;
}

/// Written and read back: the same weights, bit for bit. Returns what was written.
ReferenceLayerData expect_exact(const Layout& layout, ReferenceAux aux) {
  const QuantizedMatrix q = matrix(layout);
  ReferenceLayerData data = reference_layer_data("q", q, aux);
  const auto infos = reference_tensor_infos("q", layout, aux);
  EXPECT_EQ(infos.size(), data.tensors.size());
  for (std::size_t i = 0; i < infos.size(); ++i) EXPECT_EQ(infos[i], data.tensors[i].info);
  const OpenReferenceFiles opened(files_of(data));
  EXPECT_EQ(decoded(opened->quantized("q")), decoded(q));
  return data;
}

TEST(ReferenceWriter, EveryWidthComesBackAsItWas) {
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8}) {
    SCOPED_TRACE(bits);
    const auto data =
        expect_exact({.rows = 8, .cols = 48, .bits = bits, .group_size = 16, .row_block = 8}, ReferenceAux::kF16);
    EXPECT_EQ(data.meta.bits, bits == 7 ? 8 : bits);
    EXPECT_EQ(data.meta.packing.empty(), bits >= 7) << "the reference's loader stumbles over the name of 8-bit codes";
    EXPECT_EQ(data.meta.method, "sinq");
    EXPECT_EQ(data.meta.tiling_mode, "1D");
    EXPECT_EQ(data.meta.group_size, 16);
  }
}

TEST(ReferenceWriter, SquaresTablesAndSharedZeroPoints) {
  const auto squares = expect_exact({.rows = 32, .cols = 48, .group_size = 16, .row_block = 16}, ReferenceAux::kF16);
  EXPECT_EQ(squares.meta.tiling_mode, "2D");
  EXPECT_EQ(squares.tensors.back().info.shape, (std::vector<Index>{6, 1, 16}));
  const auto nf4 =
      expect_exact({.rows = 8, .cols = 32, .group_size = 16, .row_block = 8, .level_count = 16}, ReferenceAux::kF16);
  EXPECT_EQ(nf4.meta.method, "sinq_nf4");
  EXPECT_EQ(nf4.meta.tiling_mode, "1D_nf4");
  const auto nf3 = expect_exact({.rows = 8,
                                 .cols = 32,
                                 .bits = 3,
                                 .group_size = 16,
                                 .row_block = 8,
                                 .level_count = 8,
                                 .offset = OffsetKind::kShared,
                                 .col_scale = ColScaleKind::kNone,
                                 .shared_zero_point = 0.25F},
                                ReferenceAux::kF16);
  EXPECT_EQ(nf3.meta.method, "nf3");
  const auto shared = expect_exact({.rows = 8,
                                    .cols = 32,
                                    .group_size = 16,
                                    .row_block = 8,
                                    .offset = OffsetKind::kShared,
                                    .shared_zero_point = 7.5F},
                                   ReferenceAux::kF16);
  EXPECT_EQ(shared.meta.method, "sinq_noz");
  EXPECT_TRUE(shared.tensors[2].info.shape.empty());
}

TEST(ReferenceWriter, Float32IsKeptAndFloat16IsNearest) {
  Layout layout{.rows = 8, .cols = 32, .group_size = 16, .row_block = 8, .aux = AuxFormat::kF32};
  QuantizedMatrix q = matrix(layout);
  put(q, Region::kGroupScale, AuxFormat::kF32, [](Index i) { return std::sqrt(static_cast<float>(i + 2)); });
  EXPECT_EQ(decoded(OpenReferenceFiles(files_of(reference_layer_data("q", q, ReferenceAux::kF32)))->quantized("q")),
            decoded(q));
  const auto half = OpenReferenceFiles(files_of(reference_layer_data("q", q, ReferenceAux::kF16)))->quantized("q");
  float scale = 0.0F;
  half.view().group_scales(1, {3, 4}, &scale);
  EXPECT_EQ(scale, sinq::half_to_float(sinq::float_to_half(std::sqrt(13.0F))));
}

TEST(ReferenceWriter, MatrixScaleGoesWhereFloat16HoldsIt) {
  for (const float matrix_scale : {0x1p-30F, 0x1p-7F, 1.0F, 0x1p+20F}) {
    SCOPED_TRACE(matrix_scale);
    const Layout layout{.rows = 8, .cols = 32, .group_size = 16, .row_block = 8, .matrix_scale = matrix_scale};
    expect_exact(layout, ReferenceAux::kF16);
    expect_exact(layout, ReferenceAux::kF32);
  }
  // No place left in column scales.
  const Layout far{.rows = 8, .cols = 32, .group_size = 16, .row_block = 8, .matrix_scale = 0x1p-60F};
  const QuantizedMatrix q = matrix(far);
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(reference_layer_data("q", q, ReferenceAux::kF16)); }, "layer 'q'",
      "column scale", "is beyond F16");
}

TEST(ReferenceWriter, EightBitAuxAreNear) {
  const Layout layout{.rows = 32, .cols = 48, .group_size = 16, .row_block = 32};
  const QuantizedMatrix q = matrix(layout);
  const auto data = reference_layer_data("q", q, ReferenceAux::kCoded);
  EXPECT_EQ(data.meta.method, "sinq_quantAux");
  const auto back = OpenReferenceFiles(files_of(data))->quantized("q");
  for (Index g = 0; g < 3; ++g) {
    for (Index r = 0; r < 32; ++r) {
      float a = 0.0F, b = 0.0F;
      q.view().group_scales(g, {r, r + 1}, &a);
      back.view().group_scales(g, {r, r + 1}, &b);
      // Half a step of the whole range 56/64, and float16's own rounding of step, product and sum.
      EXPECT_NEAR(a, b, 56.0F / 64 / 255 / 2 + 3 * 0x1p-11F);
      q.view().zero_points(g, {r, r + 1}, &a);
      back.view().zero_points(g, {r, r + 1}, &b);
      EXPECT_NEAR(a, b, 7.5F / 255 / 2 + 3 * 7.5F * 0x1p-11F);
    }
  }
  const QuantizedMatrix odd = matrix({.rows = 8, .cols = 48, .group_size = 16, .row_block = 8});
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(reference_layer_data("q", odd, ReferenceAux::kCoded)); }, "layer 'q'",
      "a multiple of 32 of them, here are 24");
}

TEST(ReferenceWriter, RowsThatDoNotPackAreWrittenAsBytes) {
  const Layout layout{.rows = 3, .cols = 16, .group_size = 16, .row_block = 3};
  const auto data = expect_exact(layout, ReferenceAux::kF16);
  EXPECT_EQ(data.meta.packing, "");
  EXPECT_EQ(data.tensors[0].info.shape, (std::vector<Index>{3, 16}));
}

TEST(ReferenceWriter, RefusesWhatTheLayoutCannotHold) {
  const auto refuses = [](const Layout& layout, const std::string& why) {
    expect_error(
        Errc::kUnsupported, [&] { static_cast<void>(reference_tensor_infos("a.b", layout, ReferenceAux::kF16)); },
        "layer 'a.b'", why);
  };
  refuses({.rows = 8, .cols = 40, .group_size = 16, .row_block = 8}, "groups of 16 do not divide 40 columns");
  refuses({.rows = 8, .cols = 32, .group_size = 16, .row_block = 4}, "column scales for 4 rows each");
  refuses({.rows = 8,
           .cols = 32,
           .bits = 0,
           .quarter_bits = 10,
           .group_size = 16,
           .row_block = 8,
           .level_count = 48,
           .offset = OffsetKind::kShared},
          "scalar codes only");
  refuses({.rows = 8, .cols = 32, .bits = 5, .group_size = 16, .row_block = 8, .level_count = 32},
          "a table of 32 levels");
  QuantizedMatrix own = matrix({.rows = 8, .cols = 32, .group_size = 16, .row_block = 8, .level_count = 16});
  own.region(Region::kLevels)[0] = std::byte{1};
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(reference_layer_data("q", own, ReferenceAux::kF16)); },
      "its levels are neither");
  const QuantizedMatrix q = matrix({.rows = 8, .cols = 32, .group_size = 16, .row_block = 8});
  expect_error(
      Errc::kBadShape,
      [&] {
        static_cast<void>(reference_layer_data("q", q.view().row_slice({0, 4}), ReferenceAux::kF16));
      },
      "a window");
}

TEST(ReferenceWriter, ConfigNamesTheMethod) {
  const std::string text = sinq::io::reference_config_json(R"({"model_type": "qwen3"})",
                                                           {.bits = 4, .group_size = 64, .tiling_mode = "1D_nf4"});
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["model_type"], "qwen3");
  EXPECT_EQ(json["quantization_config"],
            nlohmann::json::parse(R"({"quant_method": "sinq", "nbits": 4, "group_size": 64, "tiling_mode": "1D",
                                      "method": "sinq", "modules_to_not_convert": ["lm_head"]})"));
  for (const char* broken : {"", "[]", "{"}) {
    expect_error(
        Errc::kBadFile, [&] { static_cast<void>(sinq::io::reference_config_json(broken, {})); }, "not a JSON object");
  }
}

}  // namespace
