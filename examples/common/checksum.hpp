#pragma once

#include <sinq/io/mapped_file.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace common {

/// XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), what `xxhsum -H64` prints: as fast as memory, so
/// that verifying costs no more than reading. Finds damage, not forgery.
class Xxh64 {
 public:
  /// All parts but the last are multiples of 32 bytes.
  void update(std::span<const std::byte> bytes) {
    length_ += bytes.size();
    while (bytes.size() >= 32) {
      for (std::size_t lane = 0; lane < 4; ++lane) lanes_[lane] = round(lanes_[lane], load64(bytes.data() + 8 * lane));
      bytes = bytes.subspan(32);
      long_ = true;
    }
    tail_size_ = bytes.size();
    std::copy(bytes.begin(), bytes.end(), tail_.begin());
  }

  [[nodiscard]] std::uint64_t digest() const {
    std::uint64_t hash = kPrime5;
    if (long_) {
      hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
      for (const std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * kPrime1 + kPrime4;
    }
    hash += length_;
    const std::byte* at = tail_.data();
    const std::byte* end = at + tail_size_;
    for (; end - at >= 8; at += 8) hash = std::rotl(hash ^ round(0, load64(at)), 27) * kPrime1 + kPrime4;
    if (end - at >= 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, at, sizeof word);
      hash = std::rotl(hash ^ (word * kPrime1), 23) * kPrime2 + kPrime3;
      at += 4;
    }
    for (; at < end; ++at) hash = std::rotl(hash ^ (static_cast<std::uint64_t>(*at) * kPrime5), 11) * kPrime1;
    hash = (hash ^ (hash >> 33)) * kPrime2;
    hash = (hash ^ (hash >> 29)) * kPrime3;
    return hash ^ (hash >> 32);
  }

 private:
  static constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F,
                                 kPrime3 = 0x165667B19E3779F9, kPrime4 = 0x85EBCA77C2B2AE63,
                                 kPrime5 = 0x27D4EB2F165667C5;

  static std::uint64_t load64(const std::byte* at) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  static std::uint64_t round(std::uint64_t lane, std::uint64_t input) {
    return std::rotl(lane + input * kPrime2, 31) * kPrime1;
  }

  std::array<std::uint64_t, 4> lanes_{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  std::array<std::byte, 32> tail_{};
  std::size_t tail_size_ = 0;
  std::uint64_t length_ = 0;
  bool long_ = false;
};

/// As 16 hexadecimal digits.
[[nodiscard]] inline std::string hex(std::uint64_t value) {
  std::string out(16, '0');
  for (std::size_t i = 0; i < 16; ++i) out[i] = "0123456789abcdef"[(value >> (60 - 4 * i)) & 15];
  return out;
}

/// XXH64 of bytes, as text.
[[nodiscard]] inline std::string checksum(std::span<const std::byte> bytes) {
  Xxh64 hash;
  hash.update(bytes);
  return hex(hash.digest());
}

/// XXH64 of a file, as text; memory does not grow with the file.
[[nodiscard]] inline std::string checksum(const sinq::io::MappedFile& file) {
  constexpr std::size_t kPart = std::size_t{8} << 20;
  Xxh64 hash;
  for (std::size_t at = 0; at < file.bytes().size(); at += kPart) {
    const std::size_t size = std::min(kPart, file.bytes().size() - at);
    hash.update(file.bytes().subspan(at, size));
    file.release(at, at + size);
  }
  return hex(hash.digest());
}

}  // namespace common
