#include "gguf/tensor_encoder.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/half.hpp>
#include <sinq/io/finite.hpp>
#include <sinq/io/gguf.hpp>

#include "llm/parallel_for.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace gguf {
namespace {

using sinq::io::GgufType;

template <class... Parts>
[[noreturn]] void refuse_weight(Index r, std::uint64_t column, const Parts&... why) {
  throw sinq::Error(sinq::Errc::kBadData, sinq::detail::text("row ", r, ", column ", column, " is ", why...));
}

/// Floats as 16-bit ones, each rounded once.
template <class Round>
void encode_halves(GgufType type, Index r, std::span<const float> row, std::span<std::byte> out, Round round) {
  for (std::size_t c = 0; c < row.size(); ++c) {
    const std::uint16_t bits = round(row[c]);
    std::memcpy(out.data() + 2 * c, &bits, sizeof bits);
  }
  const auto dtype = type == GgufType::kF16 ? sinq::io::DType::kF16 : sinq::io::DType::kBf16;
  if (const auto bad = sinq::io::find_nonfinite(dtype, out)) {
    refuse_weight(r, bad->at, row[bad->at], ", which is beyond ", name(type));
  }
}

void encode_blocks(sinq::BlockFormat format, Index r, std::span<const float> row, std::span<const float> importance,
                   std::span<std::byte> out) {
  try {
    sinq::encode_row(format, row, importance, out);
  } catch (const sinq::Error& e) {
    throw sinq::Error(e.code(), sinq::detail::text("row ", r, " as ", name(format), ": ", e.what()));
  }
}

// A few rows are what a thread takes at a time, a piece is what waits for its turn to be written.
constexpr Index kRows = 8, kPieceBytes = Index{8} << 20;

/// Rows of a piece.
Index piece_rows(Index row_bytes, Index rows) {
  return sinq::round_up(std::clamp<Index>(kPieceBytes / row_bytes, 1, std::max<Index>(rows, 1)), kRows);
}

}  // namespace

void encode_row_as(GgufType type, Index r, std::span<const float> row, std::span<const float> importance,
                   std::span<std::byte> out) {
  if (const auto bad = sinq::io::find_nonfinite(row)) refuse_weight(r, bad->at, bad->name);
  if (const auto format = sinq::io::block_format(type)) return encode_blocks(*format, r, row, importance, out);
  switch (type) {
    case GgufType::kF16:
      return encode_halves(type, r, row, out, sinq::float_to_half);
    case GgufType::kBf16:
      return encode_halves(type, r, row, out, sinq::float_to_bfloat16);
    case GgufType::kF32:
      std::memcpy(out.data(), row.data(), row.size_bytes());
      return;
    default:
      throw sinq::Error(sinq::Errc::kUnsupported, std::string(name(type)) + " is no type to write");
  }
}

template <class Body>
void TensorEncoder::for_each_row(const sinq::MatrixView& matrix, sinq::RowRange rows, const Body& body) {
  const Index count = rows.end - rows.begin;
  rows_.resize(static_cast<std::size_t>(llm::resolve_threads(threads_)));
  llm::parallel_for((count + kRows - 1) / kRows, threads_, [&](int worker, Index item) {
    auto& row = rows_[static_cast<std::size_t>(worker)];
    row.resize(static_cast<std::size_t>(matrix.cols));
    for (Index r = rows.begin + item * kRows; r < std::min(rows.end, rows.begin + (item + 1) * kRows); ++r) {
      sinq::detail::read_rect(matrix, {r, 0, 1, matrix.cols}, row.data(), matrix.cols);
      body(r, std::span<const float>(row));
    }
  });
}

void TensorEncoder::encode(const sinq::MatrixView& matrix, sinq::RowRange rows, GgufType type,
                           std::span<const float> importance, const Sink& sink) {
  const Index row_bytes = matrix.cols / block_size(type) * block_bytes(type);
  const Index step = piece_rows(row_bytes, rows.end - rows.begin);
  for (Index begin = rows.begin; begin < rows.end; begin += step) {
    const sinq::RowRange piece{begin, std::min(begin + step, rows.end)};
    piece_.resize(static_cast<std::size_t>((piece.end - piece.begin) * row_bytes));
    for_each_row(matrix, piece, [&](Index r, std::span<const float> row) {
      const auto out = std::span(piece_).subspan(static_cast<std::size_t>((r - begin) * row_bytes),
                                                 static_cast<std::size_t>(row_bytes));
      encode_row_as(type, r, row, importance, out);
    });
    sink(piece_);
  }
}

void TensorEncoder::copy(const sinq::io::GgufModel::Tensor& tensor, const Sink& sink) {
  const auto& info = tensor.info;
  auto bytes = tensor.bytes();
  if (bytes.empty()) return;
  if (!is_readable(info.type)) {
    for (const auto size = static_cast<std::size_t>(kPieceBytes); bytes.size() > size; bytes = bytes.subspan(size)) {
      sink(bytes.first(size));
    }
    return sink(bytes);
  }
  const sinq::MatrixView matrix = tensor.rows_view();
  const auto row_bytes = static_cast<std::size_t>(matrix.cols / block_size(info.type) * block_bytes(info.type));
  const Index step = piece_rows(static_cast<Index>(row_bytes), matrix.rows);
  for (Index begin = 0; begin < matrix.rows; begin += step) {
    const Index end = std::min(begin + step, matrix.rows);
    for_each_row(matrix, {begin, end}, [&](Index r, std::span<const float> row) {
      if (const auto bad = sinq::io::find_nonfinite(row)) refuse_weight(r, bad->at, bad->name);
    });
    const auto size = static_cast<std::size_t>(end - begin) * row_bytes;
    sink(bytes.first(size));
    bytes = bytes.subspan(size);
  }
}

}  // namespace gguf
