#include <sinq/io/atomic_file.hpp>

#include "io_support.hpp"

#include <string>

namespace {

using sinq::Errc;
using sinq::io::AtomicFile;
using sinq_test::bytes_of;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

TEST(AtomicFile, TheTargetAppearsWithCommitAndWhole) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "out";
  {
    AtomicFile file(target);
    file.write(bytes_of("one "));
    file.write({});
    file.write(bytes_of("two"));
    EXPECT_FALSE(std::filesystem::exists(target));
    file.commit();
  }
  EXPECT_EQ(content_of(target), "one two");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.partial"));
}

TEST(AtomicFile, BytesGoWhereTheyAreTold) {
  const TemporaryFolder folder;
  AtomicFile file(folder.path() / "out");
  file.write(bytes_of("head"));
  file.write_at(10, bytes_of("late"));
  file.write_at(4, bytes_of("next"));
  file.write(bytes_of("NE"));  // behind what was appended
  file.commit();
  EXPECT_EQ(content_of(folder.path() / "out"), std::string("headNExt\0\0late", 14));
}

TEST(AtomicFile, WithoutCommitTheOldFileStays) {
  const TemporaryFolder folder;
  const auto target = folder.file("out", "old");
  {
    AtomicFile file(target);
    file.write(bytes_of("half of the new"));
  }
  EXPECT_EQ(content_of(target), "old");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.partial"));
}

TEST(AtomicFile, ReplacesTheFileAndAnAbandonedPartial) {
  const TemporaryFolder folder;
  const auto target = folder.file("out", "old");
  folder.file("out.partial", "left by a killed process, and longer than what comes");
  AtomicFile file(target);
  file.write(bytes_of("new"));
  file.commit();
  EXPECT_EQ(content_of(target), "new");
}

#if SINQ_IO_POSIX
TEST(AtomicFile, ASecondWriterIsRefusedWhileTheFirstIsAtWork) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "out";
  {
    AtomicFile first(target);
    first.write(bytes_of("first"));
    expect_error(
        Errc::kIo, [&] { AtomicFile second(target); }, "out.partial", "another process is writing it");
    first.write(bytes_of(" to the end"));
    first.commit();
    AtomicFile next(target);  // the first is done, though still there
  }
  EXPECT_EQ(content_of(target), "first to the end");
}
#endif

TEST(AtomicFile, NamesWhatItCannotCreate) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "no folder" / "out";
  expect_error(
      Errc::kIo, [&] { AtomicFile file(target); }, target.string(), "cannot create");
}

TEST(AtomicFile, ATargetThatIsAFolderIsRefusedAndNothingIsLeft) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "out";
  std::filesystem::create_directory(target);
  std::filesystem::create_directory(target / "inside");
  expect_error(
      Errc::kIo,
      [&] {
        AtomicFile file(target);
        file.write(bytes_of("new"));
        file.commit();
      },
      target.string(), "cannot rename");
  EXPECT_TRUE(std::filesystem::is_directory(target));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.partial"));
}

#if SINQ_IO_POSIX && defined(__linux__)
TEST(AtomicFile, AFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP();
  const TemporaryFolder folder;
  // The partial file is a link to a device that is always full.
  std::filesystem::create_symlink("/dev/full", folder.path() / "out.partial");
  expect_error(
      Errc::kIo,
      [&] {
        AtomicFile file(folder.path() / "out");
        file.write(bytes_of("new"));
      },
      "out.partial: cannot write");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out"));
}
#endif

}  // namespace
