#include <sinq/dequantize.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/io/quantized_writer.hpp>

#include "io_support.hpp"
#include "quantized_vector.hpp"
#include "support/quantized_layouts.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::Layout;
using sinq::QuantizedMatrix;
using sinq::QuantizedView;
using sinq::Region;
using sinq::io::Checkpoint;
using sinq::io::DType;
using sinq::io::SafetensorsFile;
using sinq::io::TensorData;
using sinq::io::TensorInfo;
using sinq::test::arbitrary_matrix;
using sinq::test::every_layout;
using sinq_test::bytes_of;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

/// One quantized tensor "w" in parts that a test may change before it is written.
struct Parts {
  QuantizedMatrix q;
  QuantizedView view;
  std::vector<TensorData> tensors;
  sinq::io::Metadata metadata;

  explicit Parts(const Layout& layout) : q(arbitrary_matrix(layout, 1)), view(q.view()) {
    const auto infos = sinq::io::quantized_tensor_infos("w", layout);
    const auto bytes = sinq::io::quantized_tensor_bytes(view);
    for (std::size_t i = 0; i < infos.size(); ++i) {
      tensors.push_back({infos[i].name, infos[i].dtype, infos[i].shape, bytes[i]});
    }
    metadata.insert(sinq::io::quantized_version_metadata());
    metadata.insert(sinq::io::quantized_metadata("w", layout));
  }
  Parts(const Parts&) = delete;

  TensorData& part(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const auto& tensor) { return tensor.name == name; });
  }
};

const Layout& layout_of(const std::string& name) {
  static const auto all = every_layout();
  return std::find_if(all.begin(), all.end(), [&](const auto& entry) { return entry.first == name; })->second;
}

void expect_refused(Errc code, const Parts& parts, std::string_view first, std::string_view second = "") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "f.safetensors";
  sinq::io::write_safetensors(path, parts.tensors, parts.metadata);
  const auto file = SafetensorsFile::open(path);
  expect_error(
      code, [&] { static_cast<void>(file.quantized("w")); }, path.string(), first, second);
}

TEST(QuantizedTensors, AreNamedAndShapedAsTheRegionsAre) {
  const auto lines = [](const Layout& layout) {
    std::string out;
    for (const TensorInfo& info : sinq::io::quantized_tensor_infos("a.b", layout)) {
      out += info.name + " " + std::string(name(info.dtype)) + " " + sinq::io::detail::shape_text(info.shape) + "\n";
    }
    return out;
  };
  EXPECT_EQ(lines(layout_of("squares")),
            "a.b.codes U8 [20, 12]\na.b.group_scale F16 [3, 20]\na.b.offset F16 [3, 20]\n"
            "a.b.col_scale F16 [3, 24]\na.b.matrix_scale F32 [1]\n");
  EXPECT_EQ(lines(layout_of("u6")),
            "a.b.codes U8 [67, 8]\na.b.group_scale U8 [2, 51]\na.b.group_scale_blocks F16 [2, 2, 2]\n"
            "a.b.offset U8 [2, 51]\na.b.offset_blocks F16 [2, 2, 2]\na.b.col_scale F16 [1, 16]\n"
            "a.b.matrix_scale F32 [1]\n");
  EXPECT_EQ(lines(layout_of("trellis18")),
            "a.b.codes U8 [1, 1152]\na.b.group_scale U8 [1, 5]\na.b.group_scale_blocks F16 [1, 1, 2]\n"
            "a.b.col_scale F16 [1, 16]\na.b.levels I8 [3, 16]\na.b.matrix_scale F32 [1]\n");
  EXPECT_EQ(lines(layout_of("nf4")),
            "a.b.codes U8 [3, 8]\na.b.group_scale F16 [1, 3]\na.b.col_scale F16 [1, 16]\na.b.levels F32 [16]\n"
            "a.b.matrix_scale F32 [1]\n");
  EXPECT_EQ(lines(layout_of("f32")),
            "a.b.codes U8 [3, 8]\na.b.group_scale F32 [1, 3]\na.b.offset F32 [1, 3]\na.b.col_scale F32 [1, 16]\n"
            "a.b.matrix_scale F32 [1]\n");
}

TEST(QuantizedTensors, InfosAreTheSizesOfTheRegions) {
  for (const auto& [name, layout] : every_layout()) {
    Index bytes = 0, expected = 4;
    for (const TensorInfo& info : sinq::io::quantized_tensor_infos("w", layout)) {
      bytes += static_cast<Index>(sinq::io::tensor_bytes(info.dtype, info.shape).value());
    }
    for (int i = 0; i < sinq::kRegionCount; ++i) expected += region_bytes(layout, static_cast<Region>(i));
    EXPECT_EQ(bytes, expected) << name;
  }
}

TEST(QuantizedTensors, EveryFormatComesBackByteForByteWhereItLies) {
  std::vector<QuantizedMatrix> matrices;
  std::vector<sinq::io::NamedMatrix> named;
  for (const auto& [name, layout] : every_layout()) {
    matrices.push_back(arbitrary_matrix(layout, 7 + matrices.size()));
    named.push_back({name, matrices.back().view()});
  }
  const std::vector<float> plain{1, 2, 3};
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  sinq::io::write_quantized(path, named,
                            std::vector<TensorData>{{"norm", DType::kF32, {3}, std::as_bytes(std::span(plain))}},
                            {{"format", "pt"}});
  const auto checkpoint = Checkpoint::open(folder.path());
  const SafetensorsFile& file = checkpoint.files()[0];
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.bytes(file.at("norm")).size(), 12U);
  std::vector<std::string> names;
  for (const auto& entry : named) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(file.quantized_names(), names);
  EXPECT_EQ(checkpoint.quantized_names(), names);
  for (const auto& [name, matrix] : named) {
    SCOPED_TRACE(name);
    const QuantizedView read = checkpoint.quantized(name);
    ASSERT_EQ(read.layout(), matrix.layout());
    for (int i = 0; i < sinq::kRegionCount; ++i) {
      const auto region = static_cast<Region>(i);
      const auto size = static_cast<std::size_t>(region_bytes(matrix.layout(), region));
      ASSERT_EQ(read.region(region) == nullptr, size == 0);
      EXPECT_TRUE(std::equal(read.region(region), read.region(region) + size, matrix.region(region)));
      if (size == 0) continue;
      const TensorInfo& info = file.at(sinq::io::detail::region_name(name, region));
      EXPECT_EQ(read.region(region), file.bytes(info).data()) << "not where it lies";
    }
  }
}

TEST(QuantizedTensors, TestVectorIsRead) {
  const std::string content = sinq_test::vector_file();
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "vector");
  EXPECT_EQ(file.quantized_names(), std::vector<std::string>{"w"});
  const QuantizedView q = file.quantized("w");
  EXPECT_EQ(q.layout(),
            (Layout{.rows = 2, .cols = 8, .bits = 3, .group_size = 8, .row_block = 2, .matrix_scale = 0.5F}));
  std::vector<float> scale(2), zero(2), col(8);
  q.group_scales(0, {0, 2}, scale.data());
  q.zero_points(0, {0, 2}, zero.data());
  q.col_scales(0, {0, 8}, col.data());
  EXPECT_EQ(scale, (std::vector<float>{1, 2}));
  EXPECT_EQ(zero, (std::vector<float>{4, 3}));
  EXPECT_EQ(col, (std::vector<float>{1, 1, 2, 0.5F, 1, 1, 1, 1}));
  // ((code - zero_point) * group_scale) * col_scale * matrix_scale
  std::vector<float> weights;
  for (Index r = 0; r < 2; ++r) {
    for (Index c = 0; c < 8; ++c) {
      const auto code = static_cast<float>(sinq::code_at(q.codes(r), c, 3));
      weights.push_back((code - zero[static_cast<std::size_t>(r)]) * scale[static_cast<std::size_t>(r)] *
                        col[static_cast<std::size_t>(c)] * q.layout().matrix_scale);
    }
  }
  EXPECT_EQ(weights, (std::vector<float>{-1.5F, -1, -1, 0, 0.5F, 1, 1.5F, -2, 4, 4, 8, 2, 4, 4, 4, 4}));
}

TEST(QuantizedTensors, TestVectorOfATrellisIsRead) {
  const std::string content = sinq_test::trellis_file();
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "vector");
  const QuantizedView q = file.quantized("w");
  EXPECT_EQ(q.layout().quarter_bits, 6);
  std::vector<float> weights(8);
  sinq::dequantize_into(q, weights);
  EXPECT_EQ(weights, (std::vector<float>{10, 3, 60, 4.75F, -17, 11, -50, 20}));
}

TEST(QuantizedTensors, TestVectorsAreWritten) {
  for (const std::string& content : {sinq_test::vector_file(), sinq_test::trellis_file()}) {
    const auto file = SafetensorsFile::from_memory(bytes_of(content), "vector");
    const TemporaryFolder folder;
    const auto path = folder.path() / "f.safetensors";
    sinq::io::write_quantized(path, std::vector<sinq::io::NamedMatrix>{{"w", file.quantized("w")}});
    EXPECT_EQ(content_of(path), content);
  }
}

/// Files of versions 1 and 2 say that a code stands for one weight and has its sign in its level.
TEST(QuantizedTensors, FormerVersionsAreRead) {
  using sinq_test::former_header, sinq_test::file_of;
  const std::pair<std::string, std::string> files[] = {
      {file_of(former_header(sinq_test::kVectorHeader, "1"), sinq_test::kVectorData), sinq_test::vector_file()},
      {file_of(former_header(sinq_test::kTrellisHeader, "2"), sinq_test::trellis_data()), sinq_test::trellis_file()}};
  for (const auto& [former, today] : files) {
    const auto old_file = SafetensorsFile::from_memory(bytes_of(former), "former");
    const auto new_file = SafetensorsFile::from_memory(bytes_of(today), "today");
    EXPECT_NE(old_file.metadata(), new_file.metadata());
    const QuantizedView read = old_file.quantized("w"), same = new_file.quantized("w");
    EXPECT_EQ(read.layout(), same.layout());
    std::vector<float> weights(static_cast<std::size_t>(read.rows() * read.cols())), want(weights.size());
    sinq::dequantize_into(read, weights);
    sinq::dequantize_into(same, want);
    EXPECT_EQ(weights, want);
  }
}

/// A matrix of 2 x 8 weights in vectors of 4, as version 1 stored it.
TEST(QuantizedTensors, VectorCodesAreRefusedByName) {
  const std::string header =
      R"({"__metadata__":{"sinq.layout.a.w":"{\"rows\":2,\"cols\":8,\"bits\":4,\"vector_dim\":4,\"group_size\":8,)"
      R"(\"row_block\":2,\"level_count\":16,\"signs\":\"separate\",\"offset\":\"shared\",\"aux\":\"f16\",)"
      R"(\"col_scale\":\"none\",\"shared_zero_point\":0}","sinq.version":"1"},)"
      R"("a.w.matrix_scale":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("a.w.group_scale":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]},)"
      R"("a.w.codes":{"dtype":"U8","shape":[2,1],"data_offsets":[8,10]},)"
      R"("a.w.signs":{"dtype":"U8","shape":[2,1],"data_offsets":[10,12]},)"
      R"("a.w.levels":{"dtype":"I8","shape":[16,4],"data_offsets":[12,76]}})";
  const std::string content = sinq_test::file_of(header, std::vector<std::uint8_t>(76, 1));
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "old.safetensors");
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(file.quantized("a.w")); }, "old.safetensors: layout of tensor 'a.w'",
      "'vector_dim' is 4", "vector codes were removed", "quantize the matrix again, with the lane trellis");
}

TEST(QuantizedTensors, MissingForeignAndStrayTensorsAreRefusedByName) {
  {
    Parts parts(layout_of("bits4"));
    parts.metadata.erase("sinq.layout.w");
    expect_refused(Errc::kBadFile, parts, "there is no quantized tensor 'w'");
  }
  for (const char* name : {"w.codes", "w.group_scale", "w.offset", "w.col_scale", "w.matrix_scale"}) {
    Parts parts(layout_of("bits4"));
    parts.remove(name);
    expect_refused(Errc::kBadFile, parts, "there is no tensor", name);
  }
  for (const char* name :
       {"w.codes", "w.group_scale", "w.group_scale_blocks", "w.col_scale", "w.levels", "w.matrix_scale"}) {
    Parts other_type(layout_of("trellis18"));
    other_type.part(name).dtype = other_type.part(name).dtype == DType::kU8    ? DType::kI8
                                  : other_type.part(name).dtype == DType::kF16 ? DType::kBf16
                                  : other_type.part(name).dtype == DType::kI8  ? DType::kU8
                                                                               : DType::kI32;
    expect_refused(Errc::kBadFile, other_type, std::string("tensor '") + name + "' at byte ", "the layout of 'w'");
    Parts other_shape(layout_of("trellis18"));
    other_shape.part(name).shape.push_back(1);
    expect_refused(Errc::kBadFile, other_shape, std::string("tensor '") + name + "' at byte ", ", 1] is not the ");
  }
  for (const char* stray : {"w.levels", "w.group_scale_blocks", "w"}) {
    Parts parts(layout_of("bits4"));
    parts.tensors.push_back({stray, DType::kU8, {0}, {}});
    expect_refused(Errc::kBadFile, parts, std::string("tensor '") + stray + "' at byte ",
                   std::string_view(stray) == "w" ? "as it was and quantized" : "the layout of 'w' has none");
  }
}

TEST(QuantizedTensors, HarmfulTablesAndScalesAreRefused) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float scale : {kNaN, kInf, -1.0F, 0.0F, 3.0F, -kInf}) {
    Parts parts(layout_of("bits4"));
    parts.part("w.matrix_scale").bytes = std::as_bytes(std::span(&scale, 1));
    expect_refused(Errc::kBadFile, parts, "'w.matrix_scale' at byte ", "is not a positive power of two");
  }
  for (const float level : {kNaN, kInf, -kInf}) {
    Parts parts(layout_of("nf4"));
    std::memcpy(parts.q.region(Region::kLevels).data() + 12, &level, sizeof level);
    expect_refused(Errc::kBadFile, parts, "'w.levels' at byte ", "level 3 is not finite");
  }
  Parts sums(layout_of("trellis6"));
  sums.q.region(Region::kLevels)[17] = std::byte{0x80};
  expect_refused(Errc::kBadFile, sums, "'w.levels' at byte ", "sums of its three tables reach ");
}

TEST(QuantizedTensors, DamagedLayoutsAndOtherVersionsAreRefused) {
  Parts damaged(layout_of("bits4"));
  damaged.metadata["sinq.layout.w"] = R"({"rows":5,"rows":6})";
  expect_refused(Errc::kBadFile, damaged, "layout of tensor 'w'", "'rows' stands twice");
  Parts newer(layout_of("bits4"));
  newer.metadata["sinq.version"] = "4";
  expect_refused(Errc::kUnsupported, newer, "'4'", "reads versions 1 to 3");
  Parts smaller(layout_of("bits4"));
  Layout layout = layout_of("bits4");
  layout.cols = 20;
  smaller.metadata["sinq.layout.w"] = sinq::io::layout_text(layout);
  expect_refused(Errc::kBadFile, smaller, "'w.codes' at byte ", "U8 [5, 11] is not the U8 [5, 10]");
}

TEST(QuantizedTensors, LevelsThatCannotBeReadInPlaceAreRefused) {
  // A writer that aligns nothing: one byte before everything else.
  const Parts parts(layout_of("nf4"));
  std::vector<TensorInfo> infos{{"a", DType::kU8, {1}}};
  std::string data(1, '\0');
  for (const auto& tensor : parts.tensors) {
    infos.push_back({tensor.name, tensor.dtype, tensor.shape});
    data.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  const std::string content = sinq::io::safetensors_header_bytes(infos, parts.metadata) + data;
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "f");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(file.quantized("w")); }, "'w.levels' at byte ", "multiple of 4 bytes");
}

TEST(QuantizedTensors, OnlyWholeMatricesAreStored) {
  const QuantizedMatrix q = arbitrary_matrix(layout_of("bits4"), 1);
  const QuantizedView rows = q.view().row_slice({1, 3});
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(sinq::io::quantized_tensor_bytes(rows)); }, "window");
  Layout layout = layout_of("bits4");
  layout.matrix_scale = 0.3F;
  const QuantizedMatrix odd(layout);
  const QuantizedView view = odd.view();
  expect_error(
      Errc::kBadConfig, [&] { static_cast<void>(sinq::io::quantized_tensor_bytes(view)); }, "matrix_scale 0.3");
}

TEST(QuantizedTensors, PartsInSeveralShardsAreRefused) {
  Parts parts(layout_of("bits4"));
  const TemporaryFolder folder;
  std::string map;
  for (const auto& tensor : parts.tensors) {
    map += (map.empty() ? "\"" : ",\"") + tensor.name + "\":\"" + (tensor.name == "w.offset" ? "b" : "a") + "\"";
  }
  sinq::io::write_safetensors(folder.path() / "a", parts.tensors, parts.metadata);
  sinq::io::write_safetensors(folder.path() / "b", std::vector<TensorData>{parts.part("w.offset")});
  const auto index = [&](const std::string& weight_map) {
    folder.file("model.safetensors.index.json", "{\"weight_map\":{" + weight_map + "}}");
    return Checkpoint::open(folder.path());
  };
  const auto split = index(map);
  EXPECT_EQ(split.quantized_names(), std::vector<std::string>{"w"});
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(split.quantized("w")); }, "'w.offset' is in ", "with the codes");
  const auto less = index(R"("w.codes":"a")");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(less.quantized("w")); }, "there is no tensor 'w.group_scale'");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(less.quantized("v")); }, "there is no tensor 'v.codes'");
}

}  // namespace
