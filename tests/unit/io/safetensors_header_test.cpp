#include <sinq/io/safetensors_header.hpp>

#include "io_support.hpp"

#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::io::DType;
using sinq::io::parse_safetensors_header;
using sinq_test::bytes_of;
using sinq_test::error_of;
using sinq_test::expect_error;
using sinq_test::safetensors;

sinq::io::SafetensorsHeader parse(const std::string& file) { return parse_safetensors_header(bytes_of(file), "file"); }

template <class... Parts>
void expect_refused(const std::string& header, std::size_t data_bytes, const Parts&... parts) {
  SCOPED_TRACE(header.substr(0, 300));
  expect_error(
      Errc::kBadFile, [&] { parse(safetensors(header, data_bytes)); }, "file: ", parts...);
}

/// "a" with this description and 8 bytes of data.
template <class... Parts>
void expect_tensor_refused(const std::string& tensor, const Parts&... parts) {
  expect_refused("{\"a\":" + tensor + "}", 8, parts...);
}

const std::string kTwoTensors =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("a":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}   )";

TEST(SafetensorsHeader, ReadsTensorsInTheOrderOfTheirBytes) {
  const auto header = parse(safetensors(kTwoTensors, 14));
  const std::uint64_t data = 8 + kTwoTensors.size();
  ASSERT_EQ(header.tensors.size(), 2U);
  EXPECT_EQ(header.tensors[0], (sinq::io::TensorInfo{"b", DType::kF32, {2, 1}, data, data + 8}));
  EXPECT_EQ(header.tensors[1], (sinq::io::TensorInfo{"a", DType::kBf16, {3}, data + 8, data + 14}));
  EXPECT_EQ(header.metadata, (sinq::io::Metadata{{"format", "pt"}}));
}

TEST(SafetensorsHeader, TheOrderOfFieldsAndOfTensorsIsFree) {
  const auto header = parse(safetensors(
      R"({"z":{"shape":[],"data_offsets":[1,9],"dtype":"F64"},"y":{"data_offsets":[0,1],"dtype":"U8","shape":[1]}})",
      9));
  ASSERT_EQ(header.tensors.size(), 2U);
  EXPECT_EQ(header.tensors[0].name, "y");
  EXPECT_TRUE(header.tensors[1].shape.empty());
}

TEST(SafetensorsHeader, EmptyTensorsAndEmptyFilesAreInOrder) {
  EXPECT_TRUE(parse(safetensors("{}", 0)).tensors.empty());
  const auto header = parse(safetensors(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},)"
      R"("f":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
      4));
  EXPECT_EQ(header.tensors.size(), 3U);
}

TEST(SafetensorsHeader, AFileCutOffAnywhereIsRefused) {
  const std::string file = safetensors(kTwoTensors, 14);
  for (std::size_t length = 0; length < file.size(); ++length) {
    const auto error = error_of([&] { parse(file.substr(0, length)); });
    ASSERT_TRUE(error.has_value()) << length;
    EXPECT_EQ(error->code(), Errc::kBadFile) << length;
    EXPECT_THAT(error->what(), testing::HasSubstr("byte")) << length;
    if (length > 8 + kTwoTensors.size()) {
      // Where only data are missing, the tensor that loses some is named.
      EXPECT_THAT(error->what(), testing::HasSubstr(length < file.size() - 6 ? "'b'" : "'a'"));
    }
  }
  EXPECT_FALSE(error_of([&] { parse(file); }).has_value());
}

TEST(SafetensorsHeader, AChangedByteNeverLeavesBounds) {
  const std::string file = safetensors(kTwoTensors, 14);
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = file;
      changed[at] = static_cast<char>(value);
      static_cast<void>(error_of([&] {
        for (const auto& tensor : parse(changed).tensors) {
          ASSERT_LE(tensor.begin, tensor.end);
          ASSERT_LE(tensor.end, changed.size());
          ASSERT_EQ(tensor.end - tensor.begin, *tensor_bytes(tensor.dtype, tensor.shape));
        }
      }));
    }
  }
}

TEST(SafetensorsHeader, TheHeaderLengthIsNotBelieved) {
  const std::string file = safetensors(kTwoTensors, 14);
  const auto with_length = [&](std::uint64_t length) {
    std::string out = file;
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(length >> (8 * i));
    return out;
  };
  for (const std::uint64_t length : {std::uint64_t{100'000'001}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    expect_error(
        Errc::kBadFile, [&] { parse(with_length(length)); }, "header length", "is more than 100000000");
  }
  expect_error(
      Errc::kBadFile, [&] { parse(with_length(100'000'000)); }, "header at byte 8 needs 100000000 bytes, but ");
  expect_error(
      Errc::kBadFile, [&] { parse(with_length(0)); }, "does not begin with '{'");
  expect_error(
      Errc::kBadFile, [&] { parse(with_length(kTwoTensors.size() - 4)); }, "JSON near byte");
}

TEST(SafetensorsHeader, TheHeaderIsOneJsonObject) {
  expect_refused("", 0, "does not begin with '{'");
  expect_refused(" {}", 0, "does not begin with '{'");
  expect_refused("[]", 0, "does not begin with '{'");
  expect_refused("{} {}", 0, "JSON near byte");
  expect_refused(std::string("{}\0\0", 4), 0, "JSON near byte");
  expect_refused(R"({"a":1})", 0, "unexpected a number in 'a'");
  expect_refused(R"({"a":null})", 0, "unexpected null in 'a'");
  expect_refused(R"({"a":[]})", 0, "unexpected an array in 'a'");
  expect_refused("{\"a\xff\":{}}", 0, "JSON near byte");
}

TEST(SafetensorsHeader, MetadataAreTexts) {
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "unexpected a number in 'a'");
  expect_refused(R"({"__metadata__":{"a":{}}})", 0, "unexpected an object in 'a'");
  expect_refused(R"({"__metadata__":[]})", 0, "unexpected an array in '__metadata__'");
  expect_refused(R"({"__metadata__":{"a":"1","a":"1"}})", 0, "metadata 'a' stands twice");
  expect_refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "'__metadata__' stands twice");
}

TEST(SafetensorsHeader, EachFieldStandsOnceAndHasItsForm) {
  expect_tensor_refused(R"({"dtype":"F32","shape":[2]})", "tensor 'a' has no data_offsets");
  expect_tensor_refused(R"({"dtype":"F32","data_offsets":[0,8]})", "tensor 'a' has no shape");
  expect_tensor_refused(R"({"shape":[2],"data_offsets":[0,8]})", "tensor 'a' has no dtype");
  expect_tensor_refused(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", "'dtype' twice");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})", "'shape' twice");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]})", "twice");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":0})", "unknown field 'x'");
  expect_tensor_refused(R"({"dtype":["F32"],"shape":[2],"data_offsets":[0,8]})", "in 'dtype' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":4,"shape":[2],"data_offsets":[0,8]})", "in 'dtype' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":"2","data_offsets":[0,8]})", "in 'shape' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})", "in 'shape' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", "negative", "'shape' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", "fraction", "'shape' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", "tensor 'a'", "not two numbers");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})", "'data_offsets' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":{"0":8}})", "'data_offsets' of tensor 'a'");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[0,"8"]})", "'data_offsets' of tensor 'a'");
}

TEST(SafetensorsHeader, AnUnknownDtypeIsNotSupported) {
  expect_error(
      Errc::kUnsupported, [] { parse(safetensors(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})", 1)); },
      "tensor 'a'", "'F4'");
}

TEST(SafetensorsHeader, SizesAreWhatDtypeAndShapeSay) {
  expect_tensor_refused(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", "tensor 'a' at byte ", "span 8 bytes",
                        "shape [3] of F32 takes 12");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2,2],"data_offsets":[0,8]})", "takes 16");
  expect_tensor_refused(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
                        "shape [4294967296, 4294967296] of F32 exceeds 2^63 bytes");
  expect_tensor_refused(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})", "exceeds 2^63");
  expect_tensor_refused(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})", "not below 2^63");
  expect_tensor_refused(R"({"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]})", "beyond 64 bits");
  std::string many = "1";
  for (int i = 0; i < 40; ++i) many += ",1";
  expect_tensor_refused(R"({"dtype":"F64","shape":[)" + many + R"(],"data_offsets":[0,8]})", "more than 32 dimensions");
}

TEST(SafetensorsHeader, RangesLieWithinTheFile) {
  expect_tensor_refused(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})", "tensor 'a'", "[0, 16]",
                        "not a range within");
  expect_tensor_refused(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "tensor 'a'", "[8, 0]");
  expect_tensor_refused(R"({"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,18446744073709551615]})",
                        "tensor 'a'", "not a range within");
  expect_tensor_refused(R"({"dtype":"U8","shape":[8],"data_offsets":[18446744073709551608,0]})", "tensor 'a'");
  expect_tensor_refused(R"({"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]})", "tensor 'a'");
}

TEST(SafetensorsHeader, TensorsNeitherOverlapNorLeaveGaps) {
  const auto two = [](const char* first, const char* second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + std::string(first) +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  EXPECT_EQ(parse(safetensors(two("[0,4]", "[4,8]"), 8)).tensors.size(), 2U);
  expect_refused(two("[0,4]", "[3,7]"), 7, "tensor 'b' at byte ", "overlaps the tensor before it");
  expect_refused(two("[0,4]", "[0,4]"), 4, "tensor 'b' at byte ", "overlaps");
  expect_refused(two("[0,4]", "[5,9]"), 9, "tensor 'b' at byte ", "the 1 bytes before it belong to no tensor");
  expect_refused(two("[1,5]", "[5,9]"), 9, "tensor 'a' at byte ", "the 1 bytes before it belong to no tensor");
  expect_refused(two("[0,4]", "[4,8]"), 10, "the 2 bytes from byte ", "to the end belong to no tensor");
  expect_refused("{}", 1, "the 1 bytes from byte 10");
}

TEST(SafetensorsHeader, TwoTensorsOfOneNameAreRefused) {
  expect_refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2,
      "tensor 'a' stands twice");
  expect_refused(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
      2, "tensor 'a' stands twice");
}

TEST(SafetensorsHeader, DeepAndLongJsonIsRefusedEarly) {
  const std::string deep(2'000'000, '[');
  expect_refused("{\"a\":" + deep, 0, "unexpected an array in 'a'");
  expect_refused(R"({"a":{"shape":)" + deep, 0, "in 'shape' of tensor 'a'");
  expect_refused("{" + std::string(2'000'000, ' '), 0, "JSON near byte");
  expect_refused("{\"" + std::string(2'000'000, 'x') + "\":1}", 0, "unexpected a number");
  EXPECT_LT(std::string(error_of([&] { parse(safetensors("{\"" + std::string(2'000'000, 'x') + "\":1}", 0)); })->what())
                .size(),
            600U);
}

}  // namespace
