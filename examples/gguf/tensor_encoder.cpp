#include "gguf/tensor_encoder.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/half.hpp>
#include <sinq/io/gguf.hpp>

#include "llm/parallel_for.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace gguf {
namespace {

using sinq::io::GgufType;

/// Floats as 16-bit ones, each rounded once.
template <class Round>
void encode_halves(std::span<const float> row, std::byte* out, Round round, float (*back)(std::uint16_t)) {
  for (std::size_t c = 0; c < row.size(); ++c) {
    const std::uint16_t bits = round(row[c]);
    if (!std::isfinite(back(bits))) {
      throw sinq::Error(sinq::Errc::kBadData, "column " + std::to_string(c) + ": " + std::to_string(row[c]) +
                                                  " is beyond the type's range, or no number");
    }
    std::memcpy(out + 2 * c, &bits, sizeof bits);
  }
}

void encode(GgufType type, std::span<const float> row, std::span<const float> importance, std::span<std::byte> out) {
  if (const auto format = sinq::io::block_format(type)) return sinq::encode_row(*format, row, importance, out);
  switch (type) {
    case GgufType::kF16:
      return encode_halves(row, out.data(), sinq::float_to_half, sinq::half_to_float);
    case GgufType::kBf16:
      return encode_halves(row, out.data(), sinq::float_to_bfloat16, sinq::bfloat16_to_float);
    case GgufType::kF32:
      std::memcpy(out.data(), row.data(), row.size_bytes());
      return;
    default:
      throw sinq::Error(sinq::Errc::kUnsupported, std::string(name(type)) + " is no type to write");
  }
}

}  // namespace

void TensorEncoder::encode(const std::string& tensor, const sinq::MatrixView& matrix, GgufType type,
                           std::span<const float> importance, const Sink& sink) {
  // A few rows are what a thread takes at a time, a piece is what waits for its turn to be written.
  constexpr Index kRows = 8, kPieceBytes = Index{8} << 20;
  const Index row_bytes = matrix.cols / block_size(type) * block_bytes(type);
  const Index piece_rows = sinq::round_up(std::clamp<Index>(kPieceBytes / row_bytes, 1, matrix.rows), kRows);
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(llm::resolve_threads(threads_)));
  for (Index begin = 0; begin < matrix.rows; begin += piece_rows) {
    const Index count = std::min(piece_rows, matrix.rows - begin);
    piece_.resize(static_cast<std::size_t>(count * row_bytes));
    llm::parallel_for((count + kRows - 1) / kRows, threads_, [&](int worker, Index item) {
      auto& row = rows[static_cast<std::size_t>(worker)];
      row.resize(static_cast<std::size_t>(matrix.cols));
      for (Index r = item * kRows; r < std::min(count, (item + 1) * kRows); ++r) {
        sinq::detail::read_rect(matrix, {begin + r, 0, 1, matrix.cols}, row.data(), matrix.cols);
        const auto out =
            std::span(piece_).subspan(static_cast<std::size_t>(r * row_bytes), static_cast<std::size_t>(row_bytes));
        try {
          gguf::encode(type, row, importance, out);
        } catch (const sinq::Error& e) {
          throw sinq::Error(e.code(), "tensor " + sinq::io::detail::name_text(tensor) + " as " +
                                          std::string(name(type)) + ": row " + std::to_string(begin + r) + ": " +
                                          e.what());
        }
      }
    });
    sink(piece_);
  }
}

}  // namespace gguf
