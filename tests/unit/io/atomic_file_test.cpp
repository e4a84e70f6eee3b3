#include <sinq/io/atomic_file.hpp>

#include "io_support.hpp"

#include <string>

#if SINQ_IO_POSIX
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#endif

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

TEST(AtomicFile, ATargetThatIsAFolderIsRefusedAtOnceAndNothingIsLeft) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "out";
  std::filesystem::create_directory(target);
  std::filesystem::create_directory(target / "inside");
  expect_error(
      Errc::kIo, [&] { AtomicFile file(target); }, target.string(), "is a folder");
  EXPECT_TRUE(std::filesystem::is_directory(target));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.partial"));
}

TEST(AtomicFile, LinksAreFollowed) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "there");
  const auto target = folder.file("there/out", "old"), link = folder.path() / "link", next = folder.path() / "next";
  std::filesystem::create_symlink("there/out", link);
  std::filesystem::create_symlink("there/new", next);
  for (const auto& path : {link, next}) {
    AtomicFile file(path);
    file.write(bytes_of("new"));
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".partial")) << "beside what the link leads to";
    file.commit();
    EXPECT_TRUE(std::filesystem::is_symlink(path));
  }
  EXPECT_EQ(content_of(target), "new");
  EXPECT_EQ(content_of(folder.path() / "there" / "new"), "new");
}

#if SINQ_IO_POSIX
TEST(AtomicFile, DevicesAndPipesStayWhatTheyAre) {
  const TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe", link = folder.path() / "null";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink("/dev/null", link);
  for (const auto& target : {pipe, link, std::filesystem::path("/dev/null")}) {
    expect_error(
        Errc::kIo, [&] { AtomicFile file(target); }, target.string(), "only files are replaced");
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(AtomicFile, ThePartialFileIsNoWayOut) {
  const TemporaryFolder folder;
  const auto other = folder.file("other", "old"), partial = folder.path() / "out.partial";
  std::filesystem::create_symlink("other", partial);
  expect_error(
      Errc::kIo, [&] { AtomicFile file(folder.path() / "out"); }, "out.partial: cannot create");
  EXPECT_EQ(content_of(other), "old");
  std::filesystem::remove(partial);
  ASSERT_EQ(::mkfifo(partial.c_str(), 0600), 0);
  expect_error(
      Errc::kIo, [&] { AtomicFile file(folder.path() / "out"); }, "out.partial: cannot create");
}

TEST(AtomicFile, AFullDiskIsAnErrorAndNothingIsLeft) {
  const TemporaryFolder folder;
  // As a full disk does: writing beyond the limit fails.
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  ::rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  ::rlimit small = old;
  small.rlim_cur = 4;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error(
      Errc::kIo,
      [&] {
        AtomicFile file(folder.path() / "out");
        file.write(bytes_of("more than there is room for"));
        file.commit();
      },
      "out.partial: cannot write");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, before);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}
#endif

}  // namespace
