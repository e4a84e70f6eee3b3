#pragma once

#include <sinq/error.hpp>
#include <sinq/io/atomic_file.hpp>
#include <sinq/io/output_path.hpp>
#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// What becomes of an output that is there already.
enum class Existing : std::uint8_t {
  kRefused,
  kReplaced,
};

/// A model's folder that gets its name when it is whole: files are written to `path()`, which is `<target>.partial`,
/// and `commit` renames it. Without `commit` the destructor removes it. One writer per target at a time, as of
/// AtomicFile.
class AtomicFolder {
 public:
  /// Makes the partial folder, replacing one that a killed writer left. Links are followed. Throws Errc::kBadConfig if
  /// the target exists and is not to be replaced, Errc::kIo if it is no folder, or another writer is at work on it.
  explicit AtomicFolder(const std::filesystem::path& target, Existing existing = Existing::kRefused)
      : target_(detail::without_links(target)), partial_(detail::partial_name(target_)) {
    std::error_code error;
    const auto type = std::filesystem::status(target_, error).type();
    if (type == std::filesystem::file_type::none) detail::raise_io(target, "look at what is there", error.value());
    if (type != std::filesystem::file_type::not_found) {
      if (type != std::filesystem::file_type::directory) {
        SINQ_THROW(Errc::kIo, sinq::detail::text(target.string(), ": cannot be written: is no folder"));
      }
      if (existing == Existing::kRefused) {
        SINQ_THROW(Errc::kBadConfig, sinq::detail::text(target.string(), ": exists already"));
      }
    }
    remove_abandoned();
    std::filesystem::create_directories(partial_, error);
    if (error) detail::raise_io(partial_, "create", error.value());
    lock_.emplace(partial_ / kLockName);
  }

  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder() {
    std::error_code ignored;
    if (lock_) std::filesystem::remove_all(partial_, ignored);
  }

  /// Where the files are written.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return partial_; }

  /// Gives the folder its name. In one that is replaced, files of the same names are, and those of a model's weights
  /// that the new one does not have are removed; all others stay. The index comes last. Throws Errc::kIo.
  void commit() {
    std::error_code error;
    if (!std::filesystem::exists(target_, error)) {
      lock_.reset();
      std::filesystem::rename(partial_, target_, error);
      if (error) detail::raise_io(target_, "rename to", error.value());
      return;
    }
    for (const auto& old : detail::entries_of(target_)) {
      const bool is_stale =
          is_checkpoint_file(old.filename().string()) && !std::filesystem::exists(partial_ / old.filename(), error);
      if (is_stale && !std::filesystem::remove(old, error) && error) detail::raise_io(old, "remove", error.value());
    }
    std::vector<std::filesystem::path> files = detail::entries_of(partial_);
    std::partition(files.begin(), files.end(), [](const auto& file) { return file.filename() != kIndexFile; });
    for (const auto& file : files) {
      if (file.filename() != std::string(kLockName) + detail::kPartialSuffix) move(file, target_ / file.filename());
    }
    lock_.reset();
    std::filesystem::remove_all(partial_, error);
  }

 private:
  static constexpr const char* kLockName = ".writer";

  /// What a killed writer left, and nothing else, is removed.
  void remove_abandoned() const {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(partial_, error))) return;
    const auto lock = partial_ / kLockName;
    if (!std::filesystem::exists(detail::partial_name(lock), error)) {
      SINQ_THROW(Errc::kBadConfig,
                 sinq::detail::text(partial_.string(), ": is in the way, and no killed writer left it"));
    }
    { const AtomicFile nobody_else(lock); }
    std::filesystem::remove_all(partial_, error);
    if (error) detail::raise_io(partial_, "remove", error.value());
  }

  static void move(const std::filesystem::path& from, const std::filesystem::path& to) {
    const std::filesystem::path target = output_file(to);
    std::error_code error;
    std::filesystem::rename(from, target, error);
    if (error == std::errc::cross_device_link) {
      const MappedFile source = MappedFile::open(from);
      AtomicFile copy(target);
      copy.write(source.bytes());
      return copy.commit();
    }
    if (error) detail::raise_io(target, "rename to", error.value());
  }

  std::filesystem::path target_;
  std::filesystem::path partial_;
  std::optional<AtomicFile> lock_;  ///< held until the folder has its name
};

}  // namespace sinq::inline SINQ_ABI::io
