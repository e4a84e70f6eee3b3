#pragma once

#include <sinq/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>

namespace sinq_test {

/// A folder for one test, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) /
            (std::string("sinq_") + test->test_suite_name() + "_" + test->name() + "_" +
             std::to_string(testing::UnitTest::GetInstance()->random_seed()) + "_" +
             std::to_string(reinterpret_cast<std::uintptr_t>(this)));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Writes `content` to a file of the folder.
  std::filesystem::path file(std::string_view name, std::string_view content) const {
    const auto path = path_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// A safetensors file: header length, header, `data_bytes` of data (0, 1, 2, ...).
inline std::string safetensors(std::string_view header, std::size_t data_bytes) {
  std::string out(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(header.size() >> (8 * i));
  out += header;
  for (std::size_t i = 0; i < data_bytes; ++i) out += static_cast<char>(i);
  return out;
}

/// The error that `action` ends with, or nothing.
template <class Action>
std::optional<sinq::Error> error_of(Action action) {
  try {
    action();
  } catch (const sinq::Error& error) {
    return error;
  }
  return std::nullopt;
}

/// `action` throws a sinq::Error of that code whose text contains all of `parts`.
template <class Action, class... Parts>
requires(sizeof...(Parts) > 0) void expect_error(sinq::Errc code, Action action, const Parts&... parts) {
  const auto error = error_of(action);
  ASSERT_TRUE(error.has_value()) << "nothing was thrown";
  EXPECT_EQ(error->code(), code) << error->what();
  for (const std::string_view part : {std::string_view(parts)...}) {
    EXPECT_THAT(error->what(), testing::HasSubstr(std::string(part)));
  }
}

}  // namespace sinq_test
