#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace sinq::test {

/// An array of a numpy file, in C order.
template <class T>
struct Array {
  std::vector<std::size_t> shape;
  std::vector<T> values;

  [[nodiscard]] std::size_t size() const noexcept { return values.size(); }
  [[nodiscard]] T operator[](std::size_t i) const { return values.at(i); }
};

namespace detail {

template <class T>
constexpr const char* npy_dtype() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, std::int32_t>) return "<i4";
  if constexpr (std::is_same_v<T, std::uint8_t>) return "|u1";
}

/// What follows `'key':` in the header's Python dictionary, up to `end`.
inline std::string npy_field(const std::string& header, const std::string& key, const std::string& begin,
                             const std::string& end) {
  const auto at_key = header.find("'" + key + "'");
  const auto first = at_key == std::string::npos ? at_key : header.find(begin, at_key + key.size() + 2);
  const auto last = first == std::string::npos ? first : header.find(end, first + begin.size());
  if (last == std::string::npos) throw std::runtime_error("no '" + key + "' in the header");
  return header.substr(first + begin.size(), last - first - begin.size());
}

template <class T>
Array<T> parse_npy(const std::string& bytes) {
  static_assert(std::endian::native == std::endian::little, "the files are little-endian");
  if (bytes.size() < 10 || bytes.compare(0, 6, "\x93NUMPY") != 0) throw std::runtime_error("not a numpy file");
  if (bytes[6] != 1 || bytes[7] != 0) throw std::runtime_error("not version 1.0");
  const std::size_t start = 10 + static_cast<unsigned char>(bytes[8]) + 256U * static_cast<unsigned char>(bytes[9]);
  if (start > bytes.size()) throw std::runtime_error("truncated header");
  const std::string header = bytes.substr(10, start - 10);
  const std::string dtype = npy_field(header, "descr", "'", "'");
  if (dtype != npy_dtype<T>()) throw std::runtime_error("dtype " + dtype + " is not " + npy_dtype<T>());
  if (npy_field(header, "fortran_order", ":", ",").find("False") == std::string::npos) {
    throw std::runtime_error("not in C order");
  }
  Array<T> array;
  std::size_t count = 1;
  std::string shape = npy_field(header, "shape", "(", ")");
  for (std::size_t at = 0; at < shape.size();) {
    if (shape[at] < '0' || shape[at] > '9') {
      ++at;
      continue;
    }
    std::size_t digits = 0;
    array.shape.push_back(std::stoul(shape.substr(at), &digits));
    count *= array.shape.back();
    at += digits;
  }
  if (bytes.size() - start != count * sizeof(T)) throw std::runtime_error("shape and file size disagree");
  array.values.resize(count);
  if (count != 0) std::memcpy(array.values.data(), bytes.data() + start, count * sizeof(T));
  return array;
}

}  // namespace detail

/// The bytes of a file. Throws std::runtime_error with the path.
inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + ": cannot be opened");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Reads a numpy file, format 1.0, dtype <f4 (float), <i4 (std::int32_t) or |u1 (std::uint8_t). Throws
/// std::runtime_error with path and reason.
template <class T>
Array<T> read_npy(const std::filesystem::path& path) {
  const std::string bytes = read_bytes(path);
  try {
    return detail::parse_npy<T>(bytes);
  } catch (const std::exception& e) {
    throw std::runtime_error(path.string() + ": " + e.what());
  }
}

}  // namespace sinq::test
