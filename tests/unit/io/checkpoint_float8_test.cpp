#include <sinq/half.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/plain_tensor.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "io_support.hpp"

#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

namespace float8_checkpoint_test {
namespace {

using sinq::Errc;
using sinq::Index;
using sinq::io::Checkpoint;
using sinq::io::DType;
using sinq::io::TensorData;
using sinq_test::bytes_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

constexpr Index kRows = 5, kCols = 7;

/// Codes 0, 1, 2 ..., which are all finite.
std::string codes(Index count) {
  std::string out(static_cast<std::size_t>(count), '\0');
  std::iota(out.begin(), out.end(), '\0');
  return out;
}

std::vector<float> scales_of(std::size_t count) {
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = 0.75F + static_cast<float>(i);
  return out;
}

/// The whole matrix, by tiles of an odd size.
std::vector<float> read(const sinq::MatrixView& view) {
  std::vector<float> out(static_cast<std::size_t>(view.rows * view.cols));
  constexpr Index kTile = 3;
  for (Index r = 0; r < view.rows; r += kTile) {
    for (Index c = 0; c < view.cols; c += kTile) {
      view.read_tile(view.data, r, c, std::min(kTile, view.rows - r), std::min(kTile, view.cols - c),
                     out.data() + r * view.cols + c, view.cols);
    }
  }
  return out;
}

/// A folder with one matrix `l.weight` [5, 7] of 8-bit floats and its scales.
class Float8Checkpoint : public testing::Test {
 protected:
  void write(const std::string& scale_name, std::vector<Index> shape, const std::vector<float>& scales,
             DType dtype = DType::kF8E4M3, std::vector<TensorData> more = {}) {
    more.push_back({"l.weight", dtype, {kRows, kCols}, bytes_of(codes_)});
    if (!scale_name.empty()) {
      more.push_back({scale_name, DType::kF32, std::move(shape), std::as_bytes(std::span(scales))});
    }
    write_file(more);
  }
  void write_file(const std::vector<TensorData>& tensors, const char* name = "model.safetensors") {
    sinq::io::write_safetensors(folder_.path() / name, tensors);
  }
  void config(const std::string& text) { folder_.file("config.json", text); }
  [[nodiscard]] Checkpoint open() const { return Checkpoint::open(folder_.path()); }

  /// Weight (r, c) is its code's value times scales[scale_of(r, c)].
  template <class ScaleOf>
  void expect_scaled(const std::vector<float>& scales, ScaleOf scale_of,
                     float (*decode)(std::uint8_t) noexcept = sinq::io::e4m3_to_float) {
    const Checkpoint checkpoint = open();
    ASSERT_EQ(checkpoint.tensors().size(), 1U) << "scales are no tensors of their own";
    const std::vector<float> weights = read(checkpoint.at("l.weight").matrix_view());
    for (Index r = 0; r < kRows; ++r) {
      for (Index c = 0; c < kCols; ++c) {
        const auto i = static_cast<std::size_t>(r * kCols + c);
        EXPECT_EQ(weights[i], decode(static_cast<std::uint8_t>(codes_[i])) * scales[scale_of(r, c)]) << r << ", " << c;
      }
    }
    EXPECT_EQ(checkpoint.at("l.weight").stored_bytes(), codes_.size() + 4 * scales.size());
  }

  TemporaryFolder folder_;
  std::string codes_ = codes(kRows * kCols);
};

constexpr auto kAll = [](Index, Index) { return std::size_t{0}; };
constexpr auto kRow = [](Index r, Index) { return static_cast<std::size_t>(r); };
constexpr auto kBlocks = [](Index r, Index c) { return static_cast<std::size_t>(r / 2 * 3 + c / 3); };  // 2 x 3

TEST_F(Float8Checkpoint, OneScale) {
  for (const auto& shape : {std::vector<Index>{}, {1}, {1, 1}}) {
    write("l.weight_scale", shape, scales_of(1));
    expect_scaled(scales_of(1), kAll);
  }
}

TEST_F(Float8Checkpoint, AScalePerRow) {
  for (const auto& shape : {std::vector<Index>{kRows}, {kRows, 1}}) {
    write("l.weight_scale", shape, scales_of(kRows));
    expect_scaled(scales_of(kRows), kRow);
  }
}

TEST_F(Float8Checkpoint, AScalePerBlockOfTheConfig) {
  for (const char* text :
       {R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[2,3]}})",
        R"({"text_config":{"quantization_config":{"weight_block_size":[2,3]}}})",
        R"({"quantization_config":{"config_groups":{"group_0":{"weights":{"block_structure":[2,3]}}}}})"}) {
    config(text);
    write("l.weight_scale_inv", {3, 3}, scales_of(9));
    expect_scaled(scales_of(9), kBlocks);
  }
}

TEST_F(Float8Checkpoint, BlocksAre128Square) {
  constexpr Index kTall = 130, kWide = 300;
  const std::string bytes(static_cast<std::size_t>(kTall * kWide), '\x38');  // 1.0
  const auto scales = scales_of(6);
  write_file({{"w", DType::kF8E4M3, {kTall, kWide}, bytes_of(bytes)},
              {"w_scale_inv", DType::kF32, {2, 3}, std::as_bytes(std::span(scales))}});
  const Checkpoint checkpoint = open();
  const auto weights = read(checkpoint.at("w").matrix_view());
  for (Index r = 0; r < kTall; ++r) {
    for (Index c = 0; c < kWide; ++c) {
      ASSERT_EQ(weights[static_cast<std::size_t>(r * kWide + c)],
                scales[static_cast<std::size_t>(r / 128 * 3 + c / 128)]);
    }
  }
}

TEST_F(Float8Checkpoint, AScalePerGroupOfARow) {
  codes_ = codes(kRows * kCols);
  const auto scales = scales_of(kRows * kCols);
  write("l.weight_scale", {kRows, kCols}, scales);
  expect_scaled(scales, [](Index r, Index c) { return static_cast<std::size_t>(r * kCols + c); });
}

TEST_F(Float8Checkpoint, E5m2) {
  write("l.weight_scale", {kRows}, scales_of(kRows), DType::kF8E5M2);
  expect_scaled(scales_of(kRows), kRow, sinq::io::e5m2_to_float);
}

TEST_F(Float8Checkpoint, WithoutScalesTheyAreNumbers) {
  write("", {}, {});
  const Checkpoint checkpoint = open();
  EXPECT_EQ(read(checkpoint.at("l.weight").matrix_view())[9], sinq::io::e4m3_to_float(9));
}

TEST_F(Float8Checkpoint, ScalesOfActivationsGoAndOthersAreRefused) {
  const std::vector<float> one{3.0F};
  const auto extra = [&](const char* name) {
    return std::vector<TensorData>{{name, DType::kF32, {1}, std::as_bytes(std::span(one))}};
  };
  for (const char* name : {"l.input_scale", "l.activation_scale", "l.k_scale"}) {
    write("l.weight_scale", {1}, scales_of(1), DType::kF8E4M3, extra(name));
    expect_scaled(scales_of(1), kAll);
  }
  for (const char* name : {"l.qscale_weight", "l.weight_scale_2", "l.weight_zero_point"}) {
    write("l.weight_scale", {1}, scales_of(1), DType::kF8E4M3, extra(name));
    expect_error(
        Errc::kUnsupported, [&] { static_cast<void>(open()); }, name, "'l.weight'", "not known");
  }
  write("l.weight_scale", {1}, scales_of(1), DType::kF8E4M3, extra("l.weight_scale_inv"));
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(open()); }, "'l.weight' has two scales");
}

TEST_F(Float8Checkpoint, ScalesOfOtherFloatsStay) {
  const std::vector<float> values(kRows * kCols, 1.0F);
  write_file({{"l.weight", DType::kF32, {kRows, kCols}, std::as_bytes(std::span(values))},
              {"l.weight_scale", DType::kF32, {1}, std::as_bytes(std::span(values)).first(4)}});
  const Checkpoint checkpoint = open();
  EXPECT_EQ(checkpoint.tensors().size(), 2U);
}

TEST_F(Float8Checkpoint, WrongScalesAreNamed) {
  write("l.weight_scale_inv", {2, 2}, scales_of(4));
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(open()); }, "'l.weight_scale_inv'", "[2, 2]", "'l.weight' [5, 7]",
      "128 x 128");
  const std::string exponents(4, '\x7f');
  write_file({{"l.weight", DType::kF8E4M3, {kRows, kCols}, bytes_of(codes_)},
              {"l.weight_scale", DType::kU8, {4}, bytes_of(exponents)}});
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(open()); }, "'l.weight_scale'", "dtype U8");
  for (const char* block : {"[2]", "[0,3]", "\"2x3\"", "[2,-3]", "[2.5,3]"}) {
    config(std::string(R"({"quantization_config":{"weight_block_size":)") + block + "}}");
    expect_error(
        Errc::kBadFile, [&] { static_cast<void>(open()); }, "config.json", "weight_block_size");
  }
}

TEST_F(Float8Checkpoint, ScalesMayBeInAnotherShardAndUnaligned) {
  const auto scales = scales_of(kRows);
  write_file({{"l.weight", DType::kF8E4M3, {kRows, kCols}, bytes_of(codes_)}}, "a.safetensors");
  std::string content = sinq_test::safetensors(
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"l.weight_scale":{"dtype":"F32","shape":[5,1],"data_offsets":[1,21]}})",
      21);
  std::memcpy(content.data() + content.size() - 20, scales.data(), 20);
  folder_.file("b.safetensors", content);
  folder_.file("model.safetensors.index.json",
               R"({"weight_map":{"l.weight":"a.safetensors","l.weight_scale":"b.safetensors"}})");
  Checkpoint opened = open();
  const Checkpoint moved = std::move(opened);  // tensors still point to their scales
  EXPECT_EQ(read(moved.at("l.weight").matrix_view())[9], sinq::io::e4m3_to_float(9) * scales[1]);
}

TEST_F(Float8Checkpoint, PlainTensorsAreBfloat16) {
  write("l.weight_scale", {kRows}, scales_of(kRows));
  const Checkpoint checkpoint = open();
  const auto& tensor = checkpoint.at("l.weight");
  EXPECT_EQ(plain_info(tensor), (sinq::io::TensorInfo{"l.weight", DType::kBf16, {kRows, kCols}}));
  std::vector<std::uint16_t> halves(codes_.size());
  for_each_plain_part(tensor, [&](std::uint64_t at, std::span<const std::byte> bytes) {
    std::memcpy(reinterpret_cast<char*>(halves.data()) + at, bytes.data(), bytes.size());
  });
  const auto weights = read(tensor.matrix_view());
  for (std::size_t i = 0; i < halves.size(); ++i) EXPECT_EQ(halves[i], sinq::float_to_bfloat16(weights[i])) << i;
}

TEST_F(Float8Checkpoint, ANanCodeIsNamedWithRowAndColumn) {
  codes_[2 * kCols + 4] = '\x7f';
  write("l.weight_scale", {kRows}, scales_of(kRows));
  const Checkpoint checkpoint = open();
  EXPECT_TRUE(std::isnan(read(checkpoint.at("l.weight").matrix_view())[2 * kCols + 4]));
  expect_error(
      Errc::kBadData, [&] { for_each_plain_part(checkpoint.at("l.weight"), [](auto, auto) {}); }, "'l.weight'",
      "row 2, column 4 is nan");
}

TEST_F(Float8Checkpoint, WeightsBeyondBfloat16AreNamed) {
  codes_.assign(codes_.size(), '\x38');                                 // 1.0
  write("l.weight_scale", {kRows}, {1.0F, 1.0F, 3.4e38F, 1.0F, 1.0F});  // rounds to infinity
  const Checkpoint checkpoint = open();
  EXPECT_EQ(read(checkpoint.at("l.weight").matrix_view())[2 * kCols], 3.4e38F);
  expect_error(
      Errc::kBadData, [&] { for_each_plain_part(checkpoint.at("l.weight"), [](auto, auto) {}); }, "'l.weight'",
      "row 2, column 0", "beyond the range of BF16");
}

TEST_F(Float8Checkpoint, StacksAreNotReadAndNotCopiedAsIfTheyWere) {
  write_file({{"experts", DType::kF8E4M3, {1, kRows, kCols}, bytes_of(codes_)}});
  const Checkpoint checkpoint = open();
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(plain_info(checkpoint.at("experts"))); }, "'experts'", "F8_E4M3",
      "matrices only");
}

}  // namespace
}  // namespace float8_checkpoint_test
