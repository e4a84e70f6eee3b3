#include <sinq/io/atomic_folder.hpp>

#include "io_support.hpp"

#include <fstream>

namespace {

namespace fs = std::filesystem;
using sinq::Errc;
using sinq::io::AtomicFolder;
using sinq::io::Existing;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

TEST(AtomicFolder, ItHasItsNameWhenItIsWhole) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "new" / "out";
  {
    AtomicFolder writer(out / "");
    put(writer.path() / "config.json", "{}");
    EXPECT_FALSE(fs::exists(out));
    writer.commit();
  }
  EXPECT_EQ(content_of(out / "config.json"), "{}");
  EXPECT_EQ(std::distance(fs::directory_iterator(out), fs::directory_iterator{}), 1);
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
  { const AtomicFolder given_up(folder.path() / "never"); }
  EXPECT_FALSE(fs::exists(folder.path() / "never"));
  EXPECT_FALSE(fs::exists(folder.path() / "never.partial"));
}

TEST(AtomicFolder, WhatIsThereIsReplacedOnRequestOnly) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  fs::create_directories(out / "sub");
  for (const char* name : {"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json",
                           "model.safetensors.index.json.meta.json", "notes.txt"}) {
    put(out / name, "old");
  }
  expect_error(
      Errc::kBadConfig, [&] { AtomicFolder writer(out); }, "out: exists already");
  EXPECT_EQ(content_of(out / "config.json"), "old");
  fs::create_directory_symlink("out", folder.path() / "link");
  {
    AtomicFolder writer(folder.path() / "link", Existing::kReplaced);
    put(writer.path() / "config.json", "new");
    put(writer.path() / "model.safetensors", "new");
    EXPECT_EQ(content_of(out / "config.json"), "old");
    writer.commit();
  }
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  EXPECT_EQ(content_of(out / "config.json"), "new");
  EXPECT_EQ(content_of(out / "model.safetensors"), "new");
  EXPECT_EQ(content_of(out / "notes.txt"), "old");
  EXPECT_TRUE(fs::exists(out / "sub"));
  for (const char* stale :
       {"model-00001-of-00002.safetensors", "model.safetensors.index.json", "model.safetensors.index.json.meta.json"}) {
    EXPECT_FALSE(fs::exists(out / stale)) << stale;
  }
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
}

TEST(AtomicFolder, OnlyWhatAKilledWriterLeftIsRemoved) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out", partial = folder.path() / "out.partial";
  fs::create_directory(partial);
  put(partial / "mine.txt", "keep");
  expect_error(
      Errc::kBadConfig, [&] { AtomicFolder writer(out); }, "out.partial: is in the way");
  EXPECT_EQ(content_of(partial / "mine.txt"), "keep");
  put(partial / ".writer.partial", "");  // of a writer that is no more
  { AtomicFolder(out).commit(); }
  EXPECT_TRUE(fs::is_empty(out));
}

#if SINQ_IO_POSIX
TEST(AtomicFolder, ASecondWriterIsRefusedWhileTheFirstIsAtWork) {
  const TemporaryFolder folder;
  AtomicFolder first(folder.path() / "out");
  put(first.path() / "config.json", "first");
  expect_error(
      Errc::kIo, [&] { AtomicFolder second(folder.path() / "out"); }, "another process is writing it");
  first.commit();
  EXPECT_EQ(content_of(folder.path() / "out" / "config.json"), "first");
}
#endif

TEST(AtomicFolder, AFileIsNoFolder) {
  const TemporaryFolder folder;
  const auto file = folder.file("out", "file");
  expect_error(
      Errc::kIo, [&] { AtomicFolder writer(file, Existing::kReplaced); }, "out: cannot be written: is no folder");
}

}  // namespace
