#pragma once

#include <sinq/error.hpp>
#include <sinq/io/memory_size.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

/// Whether files are mapped and written with POSIX calls (1) or with the standard library alone (0).
#ifndef SINQ_IO_POSIX
#if defined(__unix__) || defined(__APPLE__)
#define SINQ_IO_POSIX 1
#else
#define SINQ_IO_POSIX 0
#endif
#endif

#if SINQ_IO_POSIX
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#include <fstream>
#endif

namespace sinq::inline SINQ_ABI::io {

namespace detail {

/// Throws Errc::kIo with the path, what was tried and what the system said.
[[noreturn]] inline void raise_io(const std::filesystem::path& path, const char* action, int error) {
  SINQ_THROW(Errc::kIo,
             sinq::detail::text(path.string(), ": cannot ", action, ": ", std::generic_category().message(error)));
}

#if SINQ_IO_POSIX
/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) noexcept : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  [[nodiscard]] int get() const noexcept { return value_; }
  /// Hands the descriptor to the caller, to close it and see whether that worked.
  [[nodiscard]] int release() noexcept { return std::exchange(value_, -1); }

 private:
  int value_;
};
#endif

}  // namespace detail

/// A whole file as read-only memory, mapped where the system can (else read). Pages are loaded when they are touched,
/// and shared between processes. The file must not be shortened while it is mapped: the system answers with SIGBUS.
class MappedFile {
 public:
  MappedFile() = default;

  /// Throws Errc::kIo, naming the path, if it cannot be opened or is not a regular file. An empty file has no bytes.
  [[nodiscard]] static MappedFile open(const std::filesystem::path& path) {
    MappedFile file;
#if SINQ_IO_POSIX
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    const detail::Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (descriptor.get() < 0) detail::raise_io(path, "open", errno);
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0) detail::raise_io(path, "read the size", errno);
    if (!S_ISREG(status.st_mode)) refuse_irregular(path);
    const std::size_t size = detail::memory_size(static_cast<std::uint64_t>(status.st_size));
    if (size == 0) return file;
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
    if (address == MAP_FAILED) detail::raise_io(path, "map", errno);
    file.bytes_ = {static_cast<const std::byte*>(address), size};
#else
    std::error_code error;
    if (!std::filesystem::exists(path, error)) detail::raise_io(path, "open", ENOENT);
    if (!std::filesystem::is_regular_file(path, error)) refuse_irregular(path);
    const std::size_t size = detail::memory_size(std::filesystem::file_size(path));
    file.copy_ = std::make_unique<std::byte[]>(size);
    std::ifstream stream(path, std::ios::binary);
    if (!stream.read(reinterpret_cast<char*>(file.copy_.get()), static_cast<std::streamsize>(size))) {
      detail::raise_io(path, "read", EIO);
    }
    file.bytes_ = {file.copy_.get(), size};
#endif
    return file;
  }

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})), copy_(std::move(other.copy_)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    MappedFile old(std::move(other));  // what was mapped here goes with it
    std::swap(bytes_, old.bytes_);
    std::swap(copy_, old.copy_);
    return *this;
  }
  ~MappedFile() {
#if SINQ_IO_POSIX
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
#endif
  }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  /// Gives the memory of bytes [begin, end) back to the system, as far as it can: a program that is done with them
  /// stays small. They remain readable and are then loaded again. Out of range is cut off.
  void release(std::uint64_t begin, std::uint64_t end) const noexcept {
#if SINQ_IO_POSIX
    // Whole pages; neighbours on the first and last one are loaded again when they are touched.
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    begin -= begin % page;
    end = std::min<std::uint64_t>(end, bytes_.size());
    if (begin >= end) return;
    const auto pages = bytes_.first(detail::memory_size(end)).subspan(detail::memory_size(begin));
    ::madvise(const_cast<std::byte*>(pages.data()), pages.size(), MADV_DONTNEED);
#else
    static_cast<void>(begin);
    static_cast<void>(end);
#endif
  }

 private:
  [[noreturn]] static void refuse_irregular(const std::filesystem::path& path) {
    SINQ_THROW(Errc::kIo, sinq::detail::text(path.string(), ": cannot map: not a regular file"));
  }

  std::span<const std::byte> bytes_;
  std::unique_ptr<std::byte[]> copy_;  ///< where files cannot be mapped
};

}  // namespace sinq::inline SINQ_ABI::io
