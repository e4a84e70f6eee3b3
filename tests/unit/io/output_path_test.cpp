#include <sinq/io/output_path.hpp>

#include "io_support.hpp"

#include <filesystem>
#include <string>

#if SINQ_IO_POSIX
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#endif

namespace {

namespace fs = std::filesystem;
using sinq::Errc;
using sinq::io::output_file;
using sinq::io::require_apart;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

TEST(OutputPath, LinksLeadToTheFileThatIsWritten) {
  const TemporaryFolder folder;
  const auto file = folder.file("file", "old");
  fs::create_directory(folder.path() / "sub");
  fs::create_symlink("../file", folder.path() / "sub" / "link");
  fs::create_symlink("link", folder.path() / "sub" / "second");
  fs::create_symlink(folder.path() / "to be made", folder.path() / "dangling");
  EXPECT_TRUE(fs::equivalent(output_file(folder.path() / "sub" / "second"), file));
  EXPECT_EQ(output_file(folder.path() / "dangling"), folder.path() / "to be made");
  EXPECT_EQ(output_file(folder.path() / "new"), folder.path() / "new");
  fs::create_symlink("round", folder.path() / "round");
  expect_error(
      Errc::kIo, [&] { static_cast<void>(output_file(folder.path() / "round")); }, "round");
}

TEST(OutputPath, OnlyFilesAreReplaced) {
  const TemporaryFolder folder;
  const auto refused = [](const fs::path& path, const std::string& kind) {
    expect_error(
        Errc::kIo, [&] { static_cast<void>(output_file(path)); }, path.string(), "is " + kind);
  };
  refused(folder.path(), "a folder");
#if SINQ_IO_POSIX
  refused("/dev/null", "a device");
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  refused(folder.path() / "pipe", "a pipe");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ::sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string path = (folder.path() / "s").string();
  if (path.size() < sizeof name.sun_path) {  // the system's limit
    path.copy(name.sun_path, path.size());
    ASSERT_EQ(::bind(socket, reinterpret_cast<const ::sockaddr*>(&name), sizeof name), 0);
    refused(path, "a socket");
  }
  ::close(socket);
  fs::create_symlink("/dev/null", folder.path() / "link");
  refused(folder.path() / "link", "a device");
#endif
}

/// A folder `model` with two files, and what may be beside it.
struct Input {
  TemporaryFolder folder;
  fs::path model = folder.path() / "model";
  Input() {
    fs::create_directory(model);
    folder.file("model/model.safetensors", "weights");
    folder.file("model/config.json", "{}");
  }
  void refused(const fs::path& output, const std::string& how) const {
    expect_error(
        Errc::kBadConfig, [&] { require_apart(output, model); }, how, "which is read and stays as it is");
  }
};

TEST(OutputPath, TheInputItselfIsRefusedByAnyName) {
  const Input in;
  in.refused(in.model, "would replace");
  in.refused(in.model / "", "would replace");
  in.refused(in.model / ".." / "." / "model", "would replace");
  fs::create_directory_symlink(in.model, in.folder.path() / "link");
  in.refused(in.folder.path() / "link", "would replace");
  fs::create_directory_symlink("link", in.folder.path() / "second");
  in.refused(in.folder.path() / "second", "would replace");
}

TEST(OutputPath, NothingIsPutIntoTheInputOrAroundIt) {
  const Input in;
  in.refused(in.model / "model.safetensors", "lies in");
  in.refused(in.model / "new.gguf", "lies in");
  in.refused(in.model / "no" / "such" / "folder", "lies in");
  fs::create_directory_symlink(in.model, in.folder.path() / "link");
  in.refused(in.folder.path() / "link" / "new.gguf", "lies in");
  fs::create_symlink(in.model / "new.json", in.folder.path() / "to be made");
  in.refused(in.folder.path() / "to be made", "lies in");
  in.refused(in.folder.path(), "holds");
}

TEST(OutputPath, FilesThatAreTheSameAreRefused) {
  const Input in;
  fs::create_hard_link(in.model / "model.safetensors", in.folder.path() / "hard");
  in.refused(in.folder.path() / "hard", "is the same file as");
  // As caches lay models out: files of the folder are links to where they really are.
  in.folder.file("blob", "weights");
  fs::create_symlink("../blob", in.model / "model-2.safetensors");
  in.refused(in.folder.path() / "blob", "is the same file as");
  const auto out = in.folder.path() / "out";
  fs::create_directory(out);
  EXPECT_NO_THROW(require_apart(out, in.model));
  fs::create_symlink(in.model / "config.json", out / "config.json");
  in.refused(out, "is the same file as");
  fs::remove(out / "config.json");
  fs::create_directory_symlink(in.model, out / "work");
  in.refused(out, "leads to");
}

TEST(OutputPath, WhatIsWrittenMeanwhileCountsToo) {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "m.partial");
  expect_error(
      Errc::kBadConfig, [&] { require_apart(folder.path() / "m", folder.path() / "m.partial"); }, "would replace");
  const auto text = folder.file("out.json.partial", "text");
  expect_error(
      Errc::kBadConfig, [&] { require_apart(folder.path() / "out.json", text); }, "would replace");
  EXPECT_NO_THROW(require_apart(folder.path() / "other.json", text));
  EXPECT_NO_THROW(require_apart(folder.path() / "out", folder.path() / "nothing"));
}

}  // namespace
