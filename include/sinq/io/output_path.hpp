#pragma once

#include <sinq/error.hpp>
#include <sinq/io/mapped_file.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

namespace detail {

/// What stands behind the name of a file or folder while it is not whole.
inline constexpr const char* kPartialSuffix = ".partial";

[[nodiscard]] inline std::filesystem::path partial_name(const std::filesystem::path& target) {
  return target.string() + kPartialSuffix;
}

[[nodiscard]] constexpr std::string_view kind_of(std::filesystem::file_type type) noexcept {
  using std::filesystem::file_type;
  switch (type) {
    case file_type::directory:
      return "a folder";
    case file_type::block:
    case file_type::character:
      return "a device";
    case file_type::fifo:
      return "a pipe";
    case file_type::socket:
      return "a socket";
    default:
      return "something else";
  }
}

/// `path` without the links at its end, also if the last one leads to what is still to be made; "out/" is "out".
[[nodiscard]] inline std::filesystem::path without_links(std::filesystem::path path) {
  constexpr int kMostLinks = 40;
  for (int i = 0; i < kMostLinks; ++i) {
    if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
    std::error_code error;
    if (!std::filesystem::is_symlink(std::filesystem::symlink_status(path, error))) return path;
    const std::filesystem::path to = std::filesystem::read_symlink(path, error);
    if (error) raise_io(path, "follow the link", error.value());
    path = path.parent_path() / to;  // `to` alone where that is absolute
  }
  SINQ_THROW(Errc::kIo, sinq::detail::text(path.string(), ": more than ", kMostLinks, " links, one behind the other"));
}

}  // namespace detail

/// The file that is made or replaced when `path` is written: links are followed. Throws Errc::kIo if something is there
/// that is no regular file.
[[nodiscard]] inline std::filesystem::path output_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  using std::filesystem::file_type;
  if (type == file_type::none) detail::raise_io(path, "look at what is there", error.value());
  if (type != file_type::not_found && type != file_type::regular) {
    SINQ_THROW(Errc::kIo, sinq::detail::text(path.string(), ": cannot be written: is ", detail::kind_of(type),
                                             ", and only files are replaced"));
  }
  return detail::without_links(path);
}

namespace detail {

[[nodiscard]] inline bool is_same(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code missing;
  return std::filesystem::equivalent(a, b, missing);
}

/// Whether `inner`, which need not exist, is `outer` or lies in it.
[[nodiscard]] inline bool lies_in(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  std::error_code error;
  std::filesystem::path at = std::filesystem::weakly_canonical(std::filesystem::absolute(inner, error), error);
  while (!is_same(at, outer)) {
    const std::filesystem::path above = at.parent_path();
    if (above == at || above.empty()) return false;
    at = above;
  }
  return true;
}

/// What lies in a folder; a file alone.
[[nodiscard]] inline std::vector<std::filesystem::path> entries_of(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return {path};
  std::vector<std::filesystem::path> out;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    out.push_back(it->path());
  }
  return out;
}

}  // namespace detail

/// Throws Errc::kBadConfig if writing `output`, a file or a folder, would change `input` or put something into it: if
/// it is the same, by whatever spelling, link or hard link, if one lies in the other, or if an entry of the one is an
/// entry of the other. What stands in for `output` while it is being written counts, too.
inline void require_apart(const std::filesystem::path& output, const std::filesystem::path& input) {
  const auto refuse = [](const std::filesystem::path& written, const char* how, const std::filesystem::path& read) {
    SINQ_THROW(Errc::kBadConfig, sinq::detail::text(written.string(), ": ", how, " ", read.string(),
                                                    ", which is read and stays as it is"));
  };
  const std::filesystem::path target = detail::without_links(output);
  for (const auto& written : {target, detail::partial_name(target)}) {
    if (detail::is_same(written, input)) refuse(written == target ? output : written, "would replace", input);
    if (detail::lies_in(written, input)) refuse(output, "lies in", input);
    if (detail::lies_in(input, written)) refuse(written == target ? output : written, "holds", input);
    const auto read = detail::entries_of(input);
    for (const auto& entry : detail::entries_of(written)) {
      std::error_code error;
      if (std::filesystem::is_directory(entry, error) && detail::lies_in(entry, input))
        refuse(entry, "leads to", input);
      for (const auto& other : read) {
        if (detail::is_same(entry, other)) refuse(entry, "is the same file as", other);
      }
    }
  }
}

}  // namespace sinq::inline SINQ_ABI::io
