#include "gguf/imatrix.hpp"

#include <sinq/error.hpp>
#include <sinq/io/byte_reader.hpp>
#include <sinq/io/finite.hpp>
#include <sinq/io/gguf.hpp>
#include <sinq/io/mapped_file.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace gguf {
namespace {

using sinq::io::GgufFile;
using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq::io::detail::name_text;

template <class... Parts>
[[noreturn]] void refuse(sinq::Errc code, const Imatrix& imatrix, const Parts&... parts) {
  throw sinq::Error(code, sinq::detail::text(imatrix.name, ": ", parts...));
}

/// Refuses numbers that are no sums of squares.
void check(const Imatrix& imatrix, const std::string& tensor, std::span<const float> values) {
  if (const auto bad = sinq::io::find_nonfinite(values)) {
    refuse(sinq::Errc::kBadData, imatrix, "tensor ", name_text(tensor), ": value ", bad->at, " is ", bad->name);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0.0F) {
      refuse(sinq::Errc::kBadData, imatrix, "tensor ", name_text(tensor), ": value ", i, " is ", values[i],
             ", but squares are not negative");
    }
  }
}

void add(Imatrix& imatrix, const std::string& tensor, std::vector<double> values) {
  if (!imatrix.entries.emplace(tensor, std::move(values)).second) {
    refuse(sinq::Errc::kBadFile, imatrix, "tensor ", name_text(tensor), " stands twice");
  }
}

class GgufImatrix {
 public:
  GgufImatrix(Imatrix& out, std::span<const std::byte> bytes)
      : out_(out), file_(GgufFile::from_memory(bytes, out.name)) {}

  void read() {
    const auto& metadata = file_.metadata();
    constexpr const char* kType = "general.type";
    if (!metadata.has(kType) || metadata.get<std::string>(kType) != "imatrix") {
      refuse(sinq::Errc::kBadFile, out_, "is a GGUF file, but ", kType, " is not imatrix");
    }
    if (metadata.has("imatrix.datasets")) {
      const auto& texts = metadata.array<std::string>("imatrix.datasets");
      if (!texts.empty()) out_.text = texts.front();
    }
    out_.chunks = metadata.integer_or("imatrix.chunk_count", 0);
    for (const auto& info : file_.tensors()) {
      if (const auto tensor = stem(info, kSums)) {
        read_entry(*tensor, info);
      } else if (const auto counted = stem(info, kCounts)) {
        static_cast<void>(file_.at(*counted + std::string(kSums)));
      } else if (!stem(info, ".in_sum")) {
        refuse(sinq::Errc::kBadFile, out_, "tensor ", name_text(info.name), " is none of an importance matrix");
      }
    }
  }

 private:
  static constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

  static std::optional<std::string> stem(const GgufTensorInfo& info, std::string_view suffix) {
    if (!info.name.ends_with(suffix) || info.name.size() == suffix.size()) return std::nullopt;
    return info.name.substr(0, info.name.size() - suffix.size());
  }

  [[nodiscard]] std::vector<float> floats(const GgufTensorInfo& info) const {
    const auto bytes = file_.bytes(info);
    if (info.type != GgufType::kF32 || bytes.empty()) {
      refuse(sinq::Errc::kBadFile, out_, "tensor ", name_text(info.name), " is ", name(info.type), " of ", bytes.size(),
             " bytes, not numbers of type f32");
    }
    std::vector<float> out(bytes.size() / sizeof(float));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    check(out_, info.name, out);
    return out;
  }

  /// Each count belongs to an equal share of the sums: one to a matrix, or one to all.
  void read_entry(const std::string& tensor, const GgufTensorInfo& info) {
    const std::vector<float> sums = floats(info), counts = floats(file_.at(tensor + std::string(kCounts)));
    if (sums.size() % counts.size() != 0) {
      refuse(sinq::Errc::kBadFile, out_, "tensor ", name_text(info.name), ": ", sums.size(), " sums for ",
             counts.size(), " counts");
    }
    std::vector<double> values;
    const std::size_t share = sums.size() / counts.size();
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const double count = static_cast<double>(counts[i / share]);
      values.push_back(count > 0.0 ? static_cast<double>(sums[i]) / count : 0.0);
    }
    add(out_, tensor, std::move(values));
  }

  Imatrix& out_;
  GgufFile file_;
};

/// Number of entries i32; each: name (length i32, bytes), calls i32, number of values i32, values f32, which are mean
/// squares times calls; then perhaps chunks i32, and the text's path (length i32, bytes).
void read_binary(Imatrix& out, std::span<const std::byte> bytes) {
  sinq::io::ByteReader reader(bytes, out.name);
  const auto read_size = [&](const std::string& field, std::uint64_t unit) {
    const std::uint64_t at = reader.position();
    const auto size = reader.read<std::int32_t>(field);
    if (size < 0 || static_cast<std::uint64_t>(size) > reader.remaining() / unit) {
      refuse(sinq::Errc::kBadFile, out, "byte ", at, ": ", field, " ", size, " does not fit into the ",
             reader.remaining(), " bytes that remain");
    }
    return static_cast<std::uint64_t>(size);
  };
  const auto read_text = [&](const std::string& field) {
    const auto text = reader.take(read_size(field + "'s length", 1), field);
    return std::string(reinterpret_cast<const char*>(text.data()), text.size());
  };
  constexpr std::uint64_t kLeastEntry = 4 + 1 + 4 + 4 + 4;
  const std::uint64_t count = read_size("number of entries", kLeastEntry);
  if (count == 0) refuse(sinq::Errc::kBadFile, out, "is no importance matrix: it begins with 0 entries");
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string tensor = read_text("tensor name");
    const std::string field = "tensor " + name_text(tensor);
    const auto calls = reader.read<std::int32_t>(field);
    const std::uint64_t size = read_size(field + ": number of values", sizeof(float));
    if (tensor.empty() || size == 0 || calls < 0) {
      refuse(sinq::Errc::kBadFile, out, "byte ", reader.position(), ": entry ", i, ", ", field, ", has ", size,
             " values of ", calls, " calls");
    }
    const auto stored = reader.take(size * sizeof(float), field);
    std::vector<float> values(static_cast<std::size_t>(size));
    std::memcpy(values.data(), stored.data(), stored.size());
    check(out, tensor, values);
    std::vector<double> means(values.begin(), values.end());
    if (calls > 0) {
      for (double& mean : means) mean /= calls;
    }
    add(out, tensor, std::move(means));
  }
  if (reader.remaining() > 0) out.chunks = std::max(0, reader.read<std::int32_t>("number of chunks"));
  if (reader.remaining() > 0) out.text = read_text("path of the text");
  if (reader.remaining() > 0) {
    refuse(sinq::Errc::kBadFile, out, "byte ", reader.position(), ": ", reader.remaining(), " bytes behind the end");
  }
}

}  // namespace

Imatrix Imatrix::open(const std::filesystem::path& path) {
  Imatrix out{path.string(), {}, {}, 0};
  const auto file = sinq::io::MappedFile::open(path);
  const auto bytes = file.bytes();
  if (bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0) {
    GgufImatrix(out, bytes).read();
  } else {
    read_binary(out, bytes);
  }
  return out;
}

}  // namespace gguf
