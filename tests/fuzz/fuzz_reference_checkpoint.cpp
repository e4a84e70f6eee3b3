// A checkpoint of the SINQ reference in memory: the meta data's JSON and one safetensors file, opened, and every layer
// decoded. Input: length of the JSON (u16), the JSON, the file.
#include <sinq/io/reference_checkpoint.hpp>

#include "harness.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return expect_error_or_success(data, size, [](std::span<const std::byte> bytes) {
    std::uint16_t length = 0;
    if (bytes.size() < sizeof length) return;
    std::memcpy(&length, bytes.data(), sizeof length);
    const auto rest = bytes.subspan(sizeof length);
    const auto json = rest.first(std::min<std::size_t>(length, rest.size()));
    const auto opened = sinq::io::ReferenceCheckpoint::from_memory(
        json, sinq::io::SafetensorsFile::from_memory(rest.subspan(json.size()), "input"), "meta");
    float sum = 0.0F;
    for (const auto& layer : opened.layers()) {
      if (opened.find(layer.name) != &layer) std::abort();
      const auto q = opened.quantized(layer.name);
      if (q.rows() != layer.rows || q.cols() != layer.cols) std::abort();
      // What is stored came out of the file: not much more of it.
      if (q.storage().size() > 64 * (bytes.size() + 64)) std::abort();
      const auto view = q.view();
      for (sinq::Index r = 0; r < q.rows(); ++r) {
        float scale = 0.0F, zero = 0.0F;
        view.group_scales(view.groups() - 1, {r, r + 1}, &scale);
        view.zero_points(view.groups() - 1, {r, r + 1}, &zero);
        sum += scale + zero + static_cast<float>(sinq::code_at(view.codes(r), q.cols() - 1, layer.bits));
      }
    }
    static volatile float seen = 0.0F;
    seen = sum;
    static_cast<void>(seen);
  });
}
