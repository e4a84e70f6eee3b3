#pragma once

#include "io_support.hpp"

#include <cstdint>
#include <string>

namespace sinq_test {

/// The test vector of include/sinq/io/README.md, byte for byte: its header, its data, the file.
inline constexpr const char* kVectorHeader =
    R"({"__metadata__":{"sinq.layout.w":"{\"rows\":2,\"cols\":8,\"bits\":3,\"vector_dim\":1,\"group_size\":8,)"
    R"(\"row_block\":2,\"level_count\":0,\"signs\":\"in_levels\",\"offset\":\"zero_point\",\"aux\":\"f16\",)"
    R"(\"col_scale\":\"stored\",\"shared_zero_point\":0}","sinq.version":"1"},)"
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

inline std::string vector_file() {
  std::string header = kVectorHeader;
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string out = safetensors(header, 0);
  for (const std::uint8_t b : kVectorData) out += static_cast<char>(b);
  return out;
}

}  // namespace sinq_test
