#include <sinq/io/mapped_file.hpp>

#include "io_support.hpp"

#include <algorithm>
#include <utility>

namespace {

using sinq::Errc;
using sinq::io::MappedFile;
using sinq_test::bytes_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

bool holds(const MappedFile& file, std::string_view text) { return std::ranges::equal(file.bytes(), bytes_of(text)); }

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(folder.file("a", std::string_view("x\0y", 3)));
  EXPECT_TRUE(holds(file, std::string_view("x\0y", 3)));
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const TemporaryFolder folder;
  EXPECT_TRUE(MappedFile::open(folder.file("empty", "")).bytes().empty());
  EXPECT_TRUE(MappedFile().bytes().empty());
}

TEST(MappedFile, MovesItsMapping) {
  const TemporaryFolder folder;
  auto first = MappedFile::open(folder.file("a", "first"));
  const auto* address = first.bytes().data();
  MappedFile moved(std::move(first));
  EXPECT_EQ(moved.bytes().data(), address);
  auto other = MappedFile::open(folder.file("b", "second"));
  other = std::move(moved);
  EXPECT_TRUE(holds(other, "first"));
  EXPECT_EQ(other.bytes().data(), address);
}

TEST(MappedFile, SurvivesTheRemovalOfItsName) {
  const TemporaryFolder folder;
  const auto path = folder.file("a", "still here");
  const auto file = MappedFile::open(path);
  std::filesystem::remove(path);
  EXPECT_TRUE(holds(file, "still here"));
}

TEST(MappedFile, WhatIsReleasedCanBeReadAgain) {
  const TemporaryFolder folder;
  const auto file = MappedFile::open(folder.file("a", "released"));
  EXPECT_TRUE(holds(file, "released"));
  file.release(3, 5);
  file.release(0, 1'000'000);
  file.release(1'000'000, 2'000'000);
  file.release(5, 3);
  MappedFile().release(0, 1);
  EXPECT_TRUE(holds(file, "released"));
}

#if SINQ_IO_POSIX && defined(__linux__)
TEST(MappedFile, ReleasedPagesLeaveTheProcess) {
  const auto pages_of_files = [] {
    std::uint64_t size = 0, resident = 0, shared = 0;
    std::ifstream("/proc/self/statm") >> size >> resident >> shared;
    return shared * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  };
  constexpr std::size_t kSize = std::size_t{16} << 20;
  const TemporaryFolder folder;
  const auto file = MappedFile::open(folder.file("a", std::string(kSize, 'x')));
  const std::uint64_t before = pages_of_files();
  EXPECT_EQ(std::ranges::count(file.bytes(), std::byte{'x'}), std::ptrdiff_t{kSize});
  EXPECT_GT(pages_of_files(), before + kSize / 2);
  file.release(0, kSize);
  EXPECT_LT(pages_of_files(), before + kSize / 2);
}
#endif

TEST(MappedFile, NamesWhatItCannotOpen) {
  const TemporaryFolder folder;
  const auto missing = folder.path() / "missing";
  expect_error(
      Errc::kIo, [&] { static_cast<void>(MappedFile::open(missing)); }, missing.string(), "No such file");
  expect_error(
      Errc::kIo, [&] { static_cast<void>(MappedFile::open(folder.path())); }, folder.path().string(),
      "not a regular file");
}

#if SINQ_IO_POSIX
TEST(MappedFile, DoesNotWaitForTheWriterOfAPipe) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_error(
      Errc::kIo, [&] { static_cast<void>(MappedFile::open(path)); }, "not a regular file");
}
#endif

}  // namespace
