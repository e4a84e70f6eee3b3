#pragma once

#include "io_support.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sinq_test {

/// The test vectors of include/sinq/io/README.md, byte for byte: their headers, their data, the files.
inline constexpr const char* kVectorHeader =
    R"({"__metadata__":{"sinq.layout.w":"{\"rows\":2,\"cols\":8,\"bits\":3,\"group_size\":8,)"
    R"(\"row_block\":2,\"level_count\":0,\"offset\":\"zero_point\",\"aux\":\"f16\",)"
    R"(\"col_scale\":\"stored\",\"shared_zero_point\":0}","sinq.version":"3"},)"
    R"("w.matrix_scale":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
    R"("w.col_scale":{"dtype":"F16","shape":[1,8],"data_offsets":[4,20]},)"
    R"("w.group_scale":{"dtype":"F16","shape":[1,2],"data_offsets":[20,24]},)"
    R"("w.offset":{"dtype":"F16","shape":[1,2],"data_offsets":[24,28]},)"
    R"("w.codes":{"dtype":"U8","shape":[2,3],"data_offsets":[28,34]}})";
inline constexpr std::uint8_t kVectorData[] = {0x00, 0x00, 0x00, 0x3f,  // 0.5
                                               0x00, 0x3c, 0x00, 0x3c, 0x00, 0x40, 0x00, 0x38,
                                               0x00, 0x3c, 0x00, 0x3c, 0x00, 0x3c, 0x00, 0x3c,  // 1 1 2 .5 1 1 1 1
                                               0x00, 0x3c, 0x00, 0x40,                          // 1 2
                                               0x00, 0x44, 0x00, 0x42,                          // 4 3
                                               0xd1, 0x58, 0x1f, 0xff, 0xff, 0xff};             // codes

inline std::string file_of(std::string header, std::span<const std::uint8_t> data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string out = safetensors(header, 0);
  for (const std::uint8_t b : data) out += static_cast<char>(b);
  return out;
}

inline std::string vector_file() { return file_of(kVectorHeader, kVectorData); }

inline constexpr const char* kTrellisHeader =
    R"({"__metadata__":{"sinq.layout.w":"{\"rows\":2,\"cols\":4,\"bits\":0,\"group_size\":16,)"
    R"(\"row_block\":2,\"level_count\":48,\"offset\":\"shared\",\"aux\":\"f16\",)"
    R"(\"col_scale\":\"stored\",\"shared_zero_point\":0,\"quarter_bits\":6}","sinq.version":"3"},)"
    R"("w.matrix_scale":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
    R"("w.col_scale":{"dtype":"F16","shape":[1,4],"data_offsets":[4,12]},)"
    R"("w.group_scale":{"dtype":"F16","shape":[1,2],"data_offsets":[12,16]},)"
    R"("w.codes":{"dtype":"U8","shape":[1,384],"data_offsets":[16,400]},)"
    R"("w.levels":{"dtype":"I8","shape":[3,16],"data_offsets":[400,448]}})";

inline std::vector<std::uint8_t> trellis_data() {
  std::vector<std::uint8_t> data{0x00, 0x00, 0x00, 0x3f,                          // 0.5
                                 0x00, 0x3c, 0x00, 0x3c, 0x00, 0x40, 0x00, 0x38,  // 1 1 2 .5
                                 0x00, 0x3c, 0x00, 0x40};                         // 1 2
  std::vector<std::uint8_t> codes(6 * 64, 0);
  const std::uint8_t first[] = {0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00};
  const std::uint8_t fifth[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07};
  const std::uint8_t sixth[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
  std::copy(std::begin(first), std::end(first), codes.begin());
  std::copy(std::begin(fifth), std::end(fifth), codes.begin() + 4 * 64);
  std::copy(std::begin(sixth), std::end(sixth), codes.begin() + 5 * 64);
  data.insert(data.end(), codes.begin(), codes.end());
  for (const int step : {1, 4, -3}) {
    for (int i = 0; i < 16; ++i) data.push_back(static_cast<std::uint8_t>(step * i));
  }
  return data;
}

inline std::string trellis_file() { return file_of(kTrellisHeader, trellis_data()); }

/// One of these headers as versions 1 and 2 had it.
inline std::string former_header(std::string header, const std::string& version) {
  const auto insert = [&](std::string_view before, std::string_view text) { header.insert(header.find(before), text); };
  insert(R"(\"group_size\")", R"(\"vector_dim\":1,)");
  insert(R"(\"offset\")", R"(\"signs\":\"in_levels\",)");
  const std::string_view today = R"("sinq.version":"3")";
  return header.replace(header.find(today), today.size(), R"("sinq.version":")" + version + '"');
}

}  // namespace sinq_test
