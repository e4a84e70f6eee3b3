#include <sinq/io/gguf_header.hpp>
#include <sinq/io/mapped_file.hpp>

#include "gguf_bytes.hpp"
#include "io_support.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::io::GgufHeader;
using sinq::io::GgufType;
using sinq::io::parse_gguf_header;
using sinq_test::bytes_of;
using sinq_test::expect_error;
using sinq_test::GgufBytes;

constexpr std::uint32_t kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9;  // types of values

GgufHeader parse_bytes(const std::string& file) { return parse_gguf_header(bytes_of(file), "x.gguf"); }

void refuse(const GgufBytes& file, const std::string& part, Errc code = Errc::kBadFile) {
  expect_error(
      code, [&] { static_cast<void>(parse_bytes(file.bytes())); }, "x.gguf: ", part);
}

/// Five entries, three tensors, 176 bytes of data.
GgufBytes whole_file() {
  GgufBytes out;
  out.start(3, 5);
  out.string("general.architecture").u32(kString).string("llama");
  out.string("eps").u32(kF32).number(0.25F);
  out.string("flag").u32(kBool).raw(std::string("\1", 1));
  out.string("tokens").u32(kArray).u32(kString).u64(2).string("a").string("");
  out.string("types").u32(kArray).u32(kU32).u64(3).u32(7).u32(8).u32(9);
  out.matrix("w", 2, 32, 2, 0);                                   // q4_0: 36 bytes
  out.string("v").u32(1).u64(3).u32(0).u64(64);                   // f32: 12 bytes
  out.string("cube").u32(3).u64(5).u64(4).u64(2).u32(1).u64(96);  // f16 [2, 4, 5]: 80 bytes
  out.pad(32).raw(std::string(96 + 80, 'x'));
  return out;
}

TEST(GgufHeader, ReadsAFileMadeByHand) {
  const std::string file = whole_file().bytes();
  const GgufHeader header = parse_bytes(file);
  EXPECT_EQ(header.version, 3U);
  EXPECT_EQ(header.alignment, 32U);
  EXPECT_EQ(header.metadata.get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(header.metadata.real("eps"), 0.25);
  EXPECT_TRUE(header.metadata.get<bool>("flag"));
  EXPECT_EQ(header.metadata.array<std::string>("tokens"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(header.metadata.array<std::uint32_t>("types"), (std::vector<std::uint32_t>{7, 8, 9}));
  ASSERT_EQ(header.tensors.size(), 3U);
  const std::uint64_t data = file.size() - 176;
  EXPECT_EQ(header.tensors[0], (sinq::io::GgufTensorInfo{"w", GgufType::kQ4_0, {2, 32}, data, data + 36}));
  EXPECT_EQ(header.tensors[1], (sinq::io::GgufTensorInfo{"v", GgufType::kF32, {3}, data + 64, data + 76}));
  EXPECT_EQ(header.tensors[2], (sinq::io::GgufTensorInfo{"cube", GgufType::kF16, {2, 4, 5}, data + 96, data + 176}));
}

TEST(GgufHeader, Version2IsReadAndOthersAreNot) {
  for (const std::uint32_t version : {0U, 1U, 2U, 3U, 4U, 0x03000000U}) {
    GgufBytes file;
    file.raw("GGUF").u32(version).u64(0).u64(0);
    if (version == 2 || version == 3) {
      EXPECT_EQ(parse_bytes(file.bytes()).version, version);
    } else {
      refuse(file, "version " + std::to_string(version) + " at byte 4", Errc::kUnsupported);
    }
  }
}

TEST(GgufHeader, CutOffAnywhereItIsRefused) {
  const std::string file = whole_file().bytes();
  for (std::size_t size = 0; size < file.size(); ++size) {
    // A copy of that size, so that a byte beyond it is a byte beyond an allocation.
    const std::string cut(file.data(), size);
    const auto error = sinq_test::error_of([&] { static_cast<void>(parse_bytes(cut)); });
    ASSERT_TRUE(error.has_value()) << size;
    EXPECT_EQ(error->code(), Errc::kBadFile) << size;
    EXPECT_THAT(error->what(), testing::HasSubstr("byte")) << size;
  }
}

TEST(GgufHeader, EveryByteChangedIsReadOrRefused) {
  const std::string file = whole_file().bytes();
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ change);
      static_cast<void>(sinq_test::error_of([&] { static_cast<void>(parse_bytes(changed)); }));
    }
  }
}

TEST(GgufHeader, WrongMagicIsRefused) {
  refuse(GgufBytes().raw("GGML").u32(3).u64(0).u64(0), "byte 0: does not begin with \"GGUF\"");
  refuse(GgufBytes(), "magic at byte 0 needs 4 bytes, but 0 remain");
}

TEST(GgufHeader, NoCountIsBelievedThatTheBytesCannotHold) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  refuse(GgufBytes().start(kHuge, 0), "byte 8: number of tensors 18446744073709551615 is more than 1000000");
  refuse(GgufBytes().start(1000, 0), "number of tensors: 1000 of at least 24 bytes do not fit into the 8");
  refuse(GgufBytes().start(0, kHuge), "byte 16: number of metadata entries");
  refuse(GgufBytes().start(0, 1000), "number of metadata entries: 1000 of at least");
  const std::string room(64, '\0');
  refuse(GgufBytes().start(0, 1).u64(kHuge).raw(room), "metadata key: 18446744073709551615 of at least 1 bytes");
  refuse(GgufBytes().start(0, 1).string("k").u32(kString).u64(kHuge).raw(room), "metadata 'k': 18446744073709551615");
  refuse(GgufBytes().start(0, 1).string("k").u32(kArray).u32(kString).u64(kHuge).raw(room), "metadata 'k'");
  refuse(GgufBytes().start(0, 1).string("k").u32(kArray).u32(kU32).u64(std::uint64_t{1} << 62).raw(room),
         "metadata 'k': 4611686018427387904 of at least 4 bytes");
  refuse(GgufBytes().start(1, 0).u64(kHuge).raw(room), "tensor name: 18446744073709551615 of");
}

TEST(GgufHeader, ASparseTerabyteIsNoReasonToAllocateOne) {
  const sinq_test::TemporaryFolder folder;
  const auto claim = [&](const GgufBytes& bytes) {
    const auto path = folder.file("sparse.gguf", bytes.bytes());
    std::filesystem::resize_file(path, std::uintmax_t{1} << 40);
    const auto mapping = sinq::io::MappedFile::open(path);
    return sinq_test::error_of([&] { static_cast<void>(parse_gguf_header(mapping.bytes(), "x.gguf")); });
  };
  for (const auto& bytes : {GgufBytes().start(0, 1).string("k").u32(kArray).u32(kString).u64(std::uint64_t{1} << 36),
                            GgufBytes().start(0, 1).string("k").u32(kString).u64(std::uint64_t{1} << 39),
                            GgufBytes().start(1'000'000, 0), GgufBytes().start(0, 60'000)}) {
    const auto error = claim(bytes);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), Errc::kBadFile) << error->what();
  }
}

TEST(GgufHeader, MetadataOutOfOrderIsRefused) {
  refuse(GgufBytes().start(0, 1).string("").u32(kU32).u32(1), "metadata key of 0 bytes");
  refuse(GgufBytes().start(0, 2).string("k").u32(kU32).u32(1).string("k").u32(kU32).u32(2), "'k' stands twice");
  refuse(GgufBytes().start(0, 1).string("k").u32(13).u64(0), "metadata 'k': value type 13 is unknown");
  refuse(GgufBytes().start(0, 1).string("k").u32(kBool).raw("\2"), "metadata 'k': 2 is no bool");
  refuse(GgufBytes().start(0, 1).string("k").u32(kArray).u32(kArray).u64(0), "'k' is an array of arrays",
         Errc::kUnsupported);
  refuse(GgufBytes().start(0, 1).string("k").u32(kArray).u32(13).u64(0), "'k': element type 13 is unknown");
  for (const std::uint32_t alignment : {0U, 4U, 48U}) {
    refuse(GgufBytes().start(0, 1).string("general.alignment").u32(kU32).u32(alignment),
           "general.alignment " + std::to_string(alignment) + " is not a power of two");
  }
}

TEST(GgufHeader, TensorsOutOfOrderAreRefused) {
  const auto file = [](const GgufBytes& tensors, std::uint64_t count, std::size_t data) {
    return GgufBytes().start(count, 0).raw(tensors.bytes()).pad(32).raw(std::string(data, 'x'));
  };
  const auto one = [&](const GgufBytes& tensor) { return file(tensor, 1, 128); };
  refuse(one(GgufBytes().matrix("", 1, 1, 0, 0)), "tensor name of 0 bytes");
  refuse(one(GgufBytes().matrix(std::string(64, 'n'), 1, 1, 0, 0)), "tensor name of 64 bytes, not 1..63");
  refuse(one(GgufBytes().string("t").u32(5).u64(1).u64(1).u64(1).u64(1).u64(1).u32(0).u64(0)),
         "tensor 't': 5 dimensions");
  refuse(one(GgufBytes().matrix("t", 1, ~std::uint64_t{0}, 0, 0)), "tensor 't': dimension 18446744073709551615");
  refuse(one(GgufBytes().matrix("t", 1, 32, 4, 0)), "tensor 't': type 4 is none", Errc::kUnsupported);
  refuse(one(GgufBytes().matrix("t", 1, 33, 2, 0)), "shape [1, 33] of q4_0 is not rows of whole blocks of 32");
  const std::uint64_t large = std::uint64_t{1} << 40;
  refuse(one(GgufBytes().matrix("t", large, large, 0, 0)), "within 2^63 bytes");
  refuse(one(GgufBytes().matrix("t", 1, 1, 0, 8)), "offset 8 is not a multiple of the alignment 32");
  refuse(one(GgufBytes().matrix("t", 1, 33, 0, 0)), "132 bytes at offset 0");
  refuse(one(GgufBytes().matrix("t", 1, 1, 0, 128)), "4 bytes at offset 128");
  refuse(one(GgufBytes().matrix("t", 1, 1, 0, ~std::uint64_t{31})), "4 bytes at offset 18446744073709551584");
  refuse(file(GgufBytes().matrix("a", 1, 9, 0, 0).matrix("b", 1, 1, 0, 32), 2, 128), "tensor 'b' overlaps 'a'");
  refuse(file(GgufBytes().matrix("a", 1, 1, 0, 0).matrix("a", 1, 1, 0, 32), 2, 128), "tensor 'a' stands twice");
}

TEST(GgufHeader, AlignmentOfTheFileIsKept) {
  GgufBytes out;
  out.start(1, 1).string("general.alignment").u32(kU32).u32(64).matrix("t", 1, 1, 0, 0).pad(64).raw("abcd");
  const GgufHeader header = parse_bytes(out.bytes());
  EXPECT_EQ(header.alignment, 64U);
  EXPECT_EQ(header.tensors[0].begin % 64, 0U);
}

}  // namespace
