#include <sinq/half.hpp>
#include <sinq/io/finite.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "io_support.hpp"

#include <cstring>
#include <limits>
#include <vector>

namespace sinq_test {
namespace {

using sinq::Errc;
using sinq::Index;
using sinq::io::DType;
using sinq::io::find_nonfinite;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

template <class Number>
std::optional<std::uint64_t> first_in(DType type, const std::vector<Number>& numbers) {
  const auto bad = find_nonfinite(type, std::as_bytes(std::span(numbers)));
  return bad ? std::optional(bad->at) : std::nullopt;
}

/// Every number of a short type, alone among zeros, at every place of a word.
template <class Bits, class IsFinite>
void expect_found(DType type, IsFinite is_finite) {
  constexpr std::size_t kPlaces = 8 / sizeof(Bits);
  for (unsigned value = 0; value <= std::numeric_limits<Bits>::max(); ++value) {
    const std::size_t place = value % kPlaces;
    std::vector<Bits> numbers(2 * kPlaces - 1);
    numbers[place] = static_cast<Bits>(value);
    ASSERT_EQ(first_in(type, numbers).has_value(), !is_finite(static_cast<Bits>(value))) << value;
    if (is_finite(static_cast<Bits>(value))) continue;
    ASSERT_EQ(first_in(type, numbers), place) << value;
  }
}

TEST(FindNonfinite, EveryNumberOfTheShortTypes) {
  // By their magnitudes, as integers: the first beyond the greatest number is Inf, NaN comes after it.
  expect_found<std::uint16_t>(DType::kF16,
                              [](std::uint16_t x) { return (x & 0x7fff) <= sinq::float_to_half(65504.0F); });
  expect_found<std::uint16_t>(DType::kBf16,
                              [](std::uint16_t x) { return (x & 0x7fff) <= sinq::float_to_bfloat16(0x1.fep127F); });
  // OCP 8-bit floats: E5M2 is the upper half of a binary16; E4M3 has one NaN of each sign and no Inf.
  expect_found<std::uint8_t>(DType::kF8E5M2,
                             [](std::uint8_t x) { return (x & 0x7f) <= sinq::float_to_half(57344.0F) >> 8; });
  expect_found<std::uint8_t>(DType::kF8E4M3, [](std::uint8_t x) { return (x & 0x7f) != 0x7f; });
}

TEST(FindNonfinite, TheFirstAtEveryPlaceOfEveryLength) {
  for (std::size_t size = 1; size < 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::vector<float> floats(size, -std::numeric_limits<float>::max());
      std::vector<double> doubles(size, std::numeric_limits<double>::max());
      EXPECT_EQ(first_in(DType::kF32, floats), std::nullopt);
      EXPECT_EQ(first_in(DType::kF64, doubles), std::nullopt);
      floats[at] = at % 2 == 0 ? kNan : -kInf;
      doubles[at] = at % 2 == 0 ? static_cast<double>(kInf) : -static_cast<double>(kNan);
      floats.back() = kInf;
      doubles.back() = static_cast<double>(kInf);
      EXPECT_EQ(first_in(DType::kF32, floats), at);
      EXPECT_EQ(first_in(DType::kF64, doubles), at);
    }
  }
  EXPECT_FALSE(find_nonfinite(DType::kF32, {}).has_value());
}

TEST(FindNonfinite, SaysWhatItIs) {
  const auto name = [](float value) { return find_nonfinite(std::span(&value, 1))->name; };
  EXPECT_EQ(name(kNan), "nan");
  EXPECT_EQ(name(-kNan), "nan");
  EXPECT_EQ(name(kInf), "inf");
  EXPECT_EQ(name(-kInf), "-inf");
  const std::byte e4m3{0xff}, e5m2{0xfc};
  EXPECT_EQ(find_nonfinite(DType::kF8E4M3, {&e4m3, 1})->name, "nan");
  EXPECT_EQ(find_nonfinite(DType::kF8E5M2, {&e5m2, 1})->name, "-inf");
}

TEST(FindNonfinite, IntegersAreFinite) {
  const std::vector<std::uint8_t> ones(64, 0xff);
  for (const DType type : {DType::kBool, DType::kU8, DType::kI8, DType::kU16, DType::kI16, DType::kU32, DType::kI32,
                           DType::kU64, DType::kI64}) {
    EXPECT_EQ(first_in(type, ones), std::nullopt);
  }
}

/// A file in memory with one tensor "a.b".
template <class Number>
struct OneTensor {
  OneTensor(DType type, const std::vector<Index>& shape, const std::vector<Number>& numbers)
      : path(folder.path() / "x.safetensors"),
        file((sinq::io::write_safetensors(path, {{{"a.b", type, shape, std::as_bytes(std::span(numbers))}}}),
              sinq::io::SafetensorsFile::open(path))) {}

  [[nodiscard]] const sinq::io::TensorInfo& info() const { return file.tensors().front(); }

  TemporaryFolder folder;
  std::filesystem::path path;
  sinq::io::SafetensorsFile file;
};

TEST(RequireFinite, NamesFileTensorRowAndColumn) {
  std::vector<float> numbers(24, 1.0F);
  numbers[17] = -kInf;
  const auto refuse = [&](const std::vector<Index>& shape, const char* place) {
    const OneTensor tensor(DType::kF32, shape, numbers);
    expect_error(
        Errc::kBadData, [&] { sinq::io::require_finite(tensor.file, tensor.info()); }, tensor.path.string(),
        "tensor 'a.b': ", place, " is -inf");
  };
  refuse({3, 8}, "row 2, column 1");
  refuse({24}, "row 0, column 17");
  refuse({2, 3, 4}, "row 4, column 1");
  const OneTensor tensor(DType::kF32, {3, 8}, numbers);
  EXPECT_NO_THROW(sinq::io::require_finite(tensor.file, tensor.info(), 0, 17 * 4));
  EXPECT_NO_THROW(sinq::io::require_finite(tensor.file, tensor.info(), 18 * 4, 24 * 4));
  expect_error(
      Errc::kBadData, [&] { sinq::io::require_finite(tensor.file, tensor.info(), 16 * 4, 18 * 4); },
      "row 2, column 1 is -inf");
  expect_error(
      Errc::kBadData, [&] { sinq::io::require_finite("norm", 5, numbers); }, "tensor 'norm': row 5, column 17 is -inf");
}

// A double that float32 has not is no NaN: it may be copied, and not be read as a float.
TEST(RequireFloat32, TellsTooLargeFromNoNumber) {
  const double most = static_cast<double>(std::numeric_limits<float>::max());
  std::vector<double> numbers{1.0, most, -most, 1e300, -0.0, 2.0};
  const auto read = [&] {
    const OneTensor tensor(DType::kF64, {2, 3}, numbers);
    EXPECT_NO_THROW(sinq::io::require_finite(tensor.file, tensor.info()));
    sinq::io::require_float32(tensor.file, tensor.info());
  };
  expect_error(Errc::kBadData, read, "row 1, column 0 is 1e+300, which is beyond float32");
  numbers[3] = 3.39e38;
  EXPECT_NO_THROW(read());
  const OneTensor nothing(DType::kF64, {6}, std::vector<double>(6, -static_cast<double>(kNan)));
  expect_error(
      Errc::kBadData, [&] { sinq::io::require_float32(nothing.file, nothing.info()); }, "row 0, column 0 is nan");
}

}  // namespace
}  // namespace sinq_test
