#include "llm/model_identity.hpp"

#include "common/checksum.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace llm {
namespace {

/// Size and checksum of samples: a whole file is not read to know it; its ends and what lies evenly between them tell
/// models apart. Not mapped, because that loads far more than is touched.
Json identity_of(const std::string& path) {
  constexpr std::uint64_t kSample = 4096, kSamples = 256;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> sample(kSample);
  const std::uint64_t bytes = std::filesystem::file_size(path);
  const bool small = bytes <= kSample * kSamples;
  const std::uint64_t samples = small ? (bytes + kSample - 1) / kSample : kSamples;
  common::Xxh64 hash;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t at = small ? kSample * i : (bytes - kSample) * i / (kSamples - 1);
    const std::uint64_t size = std::min(kSample, bytes - at);
    file.seekg(static_cast<std::streamoff>(at));
    if (!file.read(sample.data(), static_cast<std::streamsize>(size))) {
      throw sinq::Error(sinq::Errc::kIo, path + ": cannot be read at byte " + std::to_string(at));
    }
    hash.update(std::as_bytes(std::span(sample).first(static_cast<std::size_t>(size))));
  }
  return {{"bytes", bytes}, {"samples_xxh64", common::hex(hash.digest())}};
}

std::string name_of(const std::string& path) { return std::filesystem::path(path).filename().string(); }

}  // namespace

Json model_identity(const sinq::io::Checkpoint& checkpoint) {
  Json files = Json::object();
  for (const auto& file : checkpoint.files()) files[name_of(file.name())] = identity_of(file.name());
  return files;
}

Json model_identity(const std::filesystem::path& model) {
  if (std::filesystem::is_directory(model)) return model_identity(sinq::io::Checkpoint::open(model));
  return {{name_of(model.string()), identity_of(model.string())}};
}

}  // namespace llm
