#pragma once

#include <sinq/error.hpp>
#include <sinq/io/byte_reader.hpp>
#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>
#include <sinq/io/memory_size.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// What a reader accepts at most in front of the tensors' bytes: memory is bounded by it, whatever a file claims.
inline constexpr std::uint64_t kMaxGgufHeaderBytes = 100'000'000;
inline constexpr std::uint64_t kMaxGgufEntries = 65'536;
inline constexpr std::uint64_t kMaxGgufTensors = 1'000'000;

inline constexpr std::uint64_t kGgufDefaultAlignment = 32;

/// What stands in front of the tensors' bytes.
struct GgufHeader {
  std::uint32_t version = 0;
  std::uint64_t alignment = kGgufDefaultAlignment;  ///< of the tensors, in bytes
  GgufMetadata metadata;
  std::vector<GgufTensorInfo> tensors;  ///< in the order of the file
};

/// The alignment that the metadata asks for. Throws Errc::kBadFile unless it is a power of two of at least 8.
[[nodiscard]] inline std::uint64_t gguf_alignment(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "general.alignment";
  if (!metadata.has(kKey)) return kGgufDefaultAlignment;
  const std::uint32_t alignment = metadata.get<std::uint32_t>(kKey);
  if (alignment < 8 || (alignment & (alignment - 1)) != 0) {
    SINQ_THROW(Errc::kBadFile,
               sinq::detail::text(metadata.what(), ": ", kKey, " ", alignment, " is not a power of two of at least 8"));
  }
  return alignment;
}

namespace detail {

/// Reads header, metadata and tensor entries one after the other.
class GgufHeaderReader {
 public:
  GgufHeaderReader(std::span<const std::byte> file, std::string_view what)
      : reader_(file, what), file_bytes_(file.size()), what_(what) {}

  [[nodiscard]] GgufHeader read() {
    GgufHeader out;
    out.metadata = GgufMetadata(std::string(what_));
    const auto magic = reader_.take(4, "magic");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0) refuse(0, "does not begin with \"GGUF\"");
    out.version = reader_.read<std::uint32_t>("version");
    if (out.version != 2 && out.version != 3) {
      SINQ_THROW(Errc::kUnsupported,
                 sinq::detail::text(what_, ": version ", out.version, " at byte 4 is not 2 or 3, little-endian"));
    }
    const std::uint64_t tensors = read_count("number of tensors", kMaxGgufTensors, kLeastTensorBytes);
    const std::uint64_t entries = read_count("number of metadata entries", kMaxGgufEntries, kLeastEntryBytes);
    for (std::uint64_t i = 0; i < entries; ++i) read_entry(out.metadata);
    out.alignment = gguf_alignment(out.metadata);
    out.tensors.reserve(static_cast<std::size_t>(tensors));
    for (std::uint64_t i = 0; i < tensors; ++i) out.tensors.push_back(read_tensor());
    place(out);
    return out;
  }

 private:
  // Length of a name, one byte of it, type, one byte of the value; length, name, dimensions, type, offset.
  static constexpr std::uint64_t kLeastEntryBytes = 8 + 1 + 4 + 1;
  static constexpr std::uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;

  template <class... Parts>
  [[noreturn]] void refuse(std::uint64_t at, const Parts&... parts) const {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": byte ", at, ": ", parts...));
  }

  /// Refuses a claim of `count` things of at least `least` bytes that the rest of the header has no room for.
  void check_claim(std::uint64_t count, std::uint64_t least, std::string_view things) const {
    const std::uint64_t used = std::min(reader_.position(), kMaxGgufHeaderBytes);
    const std::uint64_t room = std::min(reader_.remaining(), kMaxGgufHeaderBytes - used);
    if (count > room / least) {
      refuse(reader_.position(), things, ": ", count, " of at least ", least, " bytes do not fit into the ", room,
             " that remain (of the file, or of the ", kMaxGgufHeaderBytes, " that may precede its tensors)");
    }
  }

  [[nodiscard]] std::uint64_t read_count(std::string_view field, std::uint64_t most, std::uint64_t least) {
    const std::uint64_t at = reader_.position();
    const auto count = reader_.read<std::uint64_t>(field);
    if (count > most) refuse(at, field, " ", count, " is more than ", most);
    check_claim(count, least, field);
    return count;
  }

  [[nodiscard]] std::string read_string(std::string_view field) {
    const auto length = reader_.read<std::uint64_t>(field);
    check_claim(length, 1, field);
    const auto bytes = reader_.take(length, field);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// One value of type T, which `field` names.
  template <class T>
  [[nodiscard]] T read_value(std::string_view field) {
    if constexpr (std::is_same_v<T, std::string>) {
      return read_string(field);
    } else if constexpr (std::is_same_v<T, bool>) {
      const std::uint64_t at = reader_.position();
      const auto byte = reader_.read<std::uint8_t>(field);
      if (byte > 1) refuse(at, field, ": ", byte, " is no bool");
      return byte == 1;
    } else if constexpr (std::is_same_v<T, GgufArray>) {
      return read_array(field);
    } else {
      return reader_.read<T>(field);
    }
  }

  template <class T>
  [[nodiscard]] std::vector<T> read_elements(std::uint64_t count, std::string_view field) {
    constexpr bool kString = std::is_same_v<T, std::string>;
    check_claim(count, kString ? sizeof(std::uint64_t) : sizeof(T), field);
    if constexpr (std::is_same_v<T, bool>) {
      std::vector<bool> out(detail::memory_size(count));
      for (auto&& bit : out) bit = read_value<bool>(field);
      return out;
    } else {
      std::vector<T> out;
      out.reserve(detail::memory_size(count));
      for (std::uint64_t i = 0; i < count; ++i) out.push_back(read_value<T>(field));
      return out;
    }
  }

  [[nodiscard]] GgufArray read_array(std::string_view field) {
    const std::uint64_t at = reader_.position();
    const auto type = reader_.read<std::uint32_t>(field);
    const auto count = reader_.read<std::uint64_t>(field);
    GgufArray out;
    const bool known = for_alternative<GgufArray>(type, [&]<class List>(List*) {
      if constexpr (!std::is_same_v<List, GgufArrayOfArrays>) {
        out = read_elements<typename List::value_type>(count, field);
      } else {
        SINQ_THROW(Errc::kUnsupported, sinq::detail::text(what_, ": byte ", at, ": ", field, " is an array of arrays"));
      }
    });
    if (!known) refuse(at, field, ": element type ", type, " is unknown");
    return out;
  }

  /// Calls body with a null pointer to alternative `index` of the variant; false if there is none.
  template <class Variant, class Body>
  static bool for_alternative(std::uint64_t index, const Body& body) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return ((I == index ? (body(static_cast<std::variant_alternative_t<I, Variant>*>(nullptr)), true) : false) ||
              ...);
    }
    (std::make_index_sequence<std::variant_size_v<Variant>>{});
  }

  void read_entry(GgufMetadata& metadata) {
    const std::uint64_t at = reader_.position();
    std::string key = read_string("metadata key");
    const std::string field = "metadata " + name_text(key);
    if (metadata.has(key)) refuse(at, field, " stands twice");
    const std::uint64_t type_at = reader_.position();
    const auto type = reader_.read<std::uint32_t>(field);
    const bool known = for_alternative<GgufValue>(
        type, [&]<class T>(T*) { metadata.add(std::move(key), GgufValue(read_value<T>(field))); });
    if (!known) refuse(type_at, field, ": value type ", type, " is unknown");
  }

  /// A tensor entry; `begin` is still counted from the start of the data, `end` is where the entry stands.
  [[nodiscard]] GgufTensorInfo read_tensor() {
    GgufTensorInfo out;
    out.end = reader_.position();
    out.name = read_string("tensor name");
    if (out.name.empty() || out.name.size() > kMaxGgufName) {
      refuse(out.end, "tensor name of ", out.name.size(), " bytes, not 1..", kMaxGgufName);
    }
    const std::string field = "tensor " + name_text(out.name);
    const auto dimensions = reader_.read<std::uint32_t>(field);
    if (dimensions > kMaxGgufDimensions) {
      refuse(out.end, field, ": ", dimensions, " dimensions are more than ", kMaxGgufDimensions);
    }
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      const auto extent = reader_.read<std::uint64_t>(field);
      if (!std::in_range<Index>(extent)) refuse(out.end, field, ": dimension ", extent, " exceeds 2^63 - 1");
      out.shape.insert(out.shape.begin(), static_cast<Index>(extent));
    }
    const auto number = reader_.read<std::uint32_t>(field);
    const auto type = gguf_type(number);
    if (!type) {
      SINQ_THROW(Errc::kUnsupported, sinq::detail::text(what_, ": byte ", out.end, ": ", field, ": type ", number,
                                                        " is none that can be read"));
    }
    out.type = *type;
    out.begin = reader_.read<std::uint64_t>(field);
    return out;
  }

  /// Turns offsets into absolute ones and checks them: aligned, within the file, no overlaps, no name twice.
  void place(GgufHeader& header) const {
    const std::uint64_t step = header.alignment;
    const std::uint64_t data_begin = (reader_.position() + step - 1) / step * step;
    for (auto& tensor : header.tensors) {
      const std::uint64_t at = tensor.end;
      const auto fail = [&](const auto&... parts) { refuse(at, "tensor ", name_text(tensor.name), ": ", parts...); };
      const auto size = tensor_bytes(tensor.type, tensor.shape);
      if (!size) {
        fail("shape ", shape_text(tensor.shape), " of ", name(tensor.type), " is not rows of whole blocks of ",
             block_size(tensor.type), " within 2^63 bytes");
      }
      if (tensor.begin % step != 0) fail("offset ", tensor.begin, " is not a multiple of the alignment ", step);
      const std::uint64_t room = file_bytes_ > data_begin ? file_bytes_ - data_begin : 0;
      if (tensor.begin > room || *size > room - tensor.begin) {
        fail(*size, " bytes at offset ", tensor.begin, ", counted from byte ", data_begin,
             ", are not within the file's ", file_bytes_, " bytes");
      }
      tensor.begin += data_begin;
      tensor.end = tensor.begin + *size;
    }
    check_neighbours(header.tensors);
  }

  void check_neighbours(const std::vector<GgufTensorInfo>& tensors) const {
    std::vector<const GgufTensorInfo*> order;
    for (const auto& tensor : tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i]->name == order[i - 1]->name) {
        refuse(order[i]->begin, "tensor ", name_text(order[i]->name), " stands twice");
      }
    }
    std::sort(order.begin(), order.end(),
              [](const auto* a, const auto* b) { return std::tie(a->begin, a->end) < std::tie(b->begin, b->end); });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i]->begin < order[i - 1]->end) {
        refuse(order[i]->begin, "tensor ", name_text(order[i]->name), " overlaps ", name_text(order[i - 1]->name),
               ", which ends at byte ", order[i - 1]->end);
      }
    }
  }

  ByteReader reader_;
  std::uint64_t file_bytes_;
  std::string_view what_;
};

}  // namespace detail

/// Reads and checks what stands in front of the tensors of a GGUF file (version 2 or 3) that is in memory as a whole:
/// metadata, types, shapes and ranges; no key and no name twice, no overlaps. `what` names the file in errors.
/// Throws Errc::kBadFile (kUnsupported for another version, an unknown tensor type, or arrays of arrays), naming key or
/// tensor, and byte offset.
[[nodiscard]] inline GgufHeader parse_gguf_header(std::span<const std::byte> file, std::string_view what) {
  return detail::GgufHeaderReader(file, what).read();
}

}  // namespace sinq::inline SINQ_ABI::io
