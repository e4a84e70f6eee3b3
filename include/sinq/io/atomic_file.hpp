#pragma once

#include <sinq/error.hpp>
#include <sinq/io/mapped_file.hpp>
#include <sinq/io/output_path.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>

#if SINQ_IO_POSIX
#include <sys/file.h>
#include <sys/types.h>
#else
#include <fstream>
#include <mutex>
#endif

namespace sinq::inline SINQ_ABI::io {

/// Writes a file so that its name never stands for half of it: bytes go to `<target>.partial`, and `commit` makes them
/// durable and renames. Without `commit` the destructor removes the partial file and the target stays as it was. Links
/// are followed: what they lead to is replaced, in its own folder. One writer per target at a time: where the system
/// can lock files, another one is refused.
class AtomicFile {
 public:
  /// Creates the partial file, replacing one that a killed writer left. Throws Errc::kIo, also if the target is a
  /// folder, a device, a pipe or a socket, or if another writer is at work on it.
  explicit AtomicFile(const std::filesystem::path& target)
      : target_(output_file(target)), partial_(detail::partial_name(target_)), file_(create(partial_)) {}

  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    std::error_code ignored;
    if (!committed_) std::filesystem::remove(partial_, ignored);
  }

  /// Appends. Throws Errc::kIo, e.g. when the disk is full.
  void write(std::span<const std::byte> bytes) {
    write_at(end_, bytes);
    end_ += bytes.size();
  }

  /// Writes where it is told, counted from the start of the file; what lies between is zero until it is written. Safe
  /// to call from several threads (not while another one appends). Throws Errc::kIo.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
#if SINQ_IO_POSIX
    const std::uint64_t begin = offset, size = bytes.size();
    while (!bytes.empty()) {
      const ::ssize_t count = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<::off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) detail::raise_io(partial_, "write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    start_writing(begin, size);
#else
    const std::lock_guard<std::mutex> guard(lock_);
    file_.seekp(static_cast<std::streamoff>(offset));
    file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file_) detail::raise_io(partial_, "write", EIO);
#endif
  }

  /// Waits until the bytes are on the disk and gives the file its name. Nothing may be written after it.
  /// Throws Errc::kIo.
  void commit() {
#if SINQ_IO_POSIX
    if (::fsync(file_.get()) != 0) detail::raise_io(partial_, "sync", errno);
    // The lock ends with the file's closing; until it has its name, nobody else may take it for abandoned.
    if (::rename(partial_.c_str(), target_.c_str()) != 0) detail::raise_io(target_, "rename to", errno);
    committed_ = true;
    if (::close(file_.release()) != 0) detail::raise_io(target_, "close", errno);
    // The new name is durable once its folder is; some file systems cannot sync folders, and then it is as it is.
    const auto folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
    const detail::Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.get() >= 0) static_cast<void>(::fsync(descriptor.get()));
#else
    file_.close();
    if (!file_) detail::raise_io(partial_, "close", EIO);
    std::error_code error;
    std::filesystem::rename(partial_, target_, error);
    if (error) detail::raise_io(target_, "rename to", error.value());
    committed_ = true;
#endif
  }

 private:
#if SINQ_IO_POSIX
  /// An empty file at `path`, ours alone.
  static int create(const std::filesystem::path& path) {
    for (;;) {
      // Not through a link, and without waiting for whoever reads a pipe: a killed writer has left a file.
      detail::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
      if (file.get() < 0) detail::raise_io(path, "create", errno);
      // Some file systems have no locks; there all is as if nobody else were there.
      if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        SINQ_THROW(Errc::kIo, sinq::detail::text(path.string(), ": cannot create: another process is writing it"));
      }
      struct stat ours {
      }, named{};
      if (::fstat(file.get(), &ours) != 0) detail::raise_io(path, "read the size", errno);
      if (!S_ISREG(ours.st_mode)) detail::raise_io(path, "create", EEXIST);
      // Its writer may have given it its name, or removed it, between our opening and locking it.
      const bool is_named = ::stat(path.c_str(), &named) == 0;
      if (!is_named || ours.st_dev != named.st_dev || ours.st_ino != named.st_ino) continue;
      if (ours.st_size != 0 && ::ftruncate(file.get(), 0) != 0) detail::raise_io(path, "empty", errno);
      return file.release();
    }
  }

  /// Lets the disk begin with large parts now, while others are computed, instead of with all of them in `commit`.
  void start_writing(std::uint64_t offset, std::uint64_t size) const noexcept {
#if defined(__linux__) && defined(SYNC_FILE_RANGE_WRITE)
    constexpr std::uint64_t kLarge = std::uint64_t{1} << 20;
    if (size < kLarge) return;
    static_cast<void>(::sync_file_range(file_.get(), static_cast<::off_t>(offset), static_cast<::off_t>(size),
                                        SYNC_FILE_RANGE_WRITE));  // a hint: errors come out in `commit`
#else
    static_cast<void>(offset);
    static_cast<void>(size);
#endif
  }
#else
  static std::ofstream create(const std::filesystem::path& path) {
    std::error_code error;
    const auto type = std::filesystem::symlink_status(path, error).type();
    if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::not_found) {
      detail::raise_io(path, "create", EEXIST);
    }
    std::ofstream file(path, std::ios::binary);
    if (!file) detail::raise_io(path, "create", EIO);
    return file;
  }
#endif

  std::filesystem::path target_;
  std::filesystem::path partial_;
#if SINQ_IO_POSIX
  detail::Descriptor file_;
#else
  std::ofstream file_;
  std::mutex lock_;  // there is one position for all threads
#endif
  std::uint64_t end_ = 0;  ///< of what `write` appended
  bool committed_ = false;
};

}  // namespace sinq::inline SINQ_ABI::io
