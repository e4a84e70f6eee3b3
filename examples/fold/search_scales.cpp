#include "fold/search_scales.hpp"

#include "common/named_error.hpp"
#include "llm/evaluate.hpp"
#include "llm/layer_report.hpp"
#include "llm/parallel_for.hpp"

namespace fold_program {
namespace {

using sinq::Index;
using sinq::fold::Factors;

/// What the folded and quantized matrix is in the original model: the factors are taken out again. So candidates are
/// compared on the same inputs, and norms need no change.
llm::PackedMatrix quantized(const sinq::MatrixView& matrix, const Factors* factors, sinq::BlockFormat format) {
  const sinq::fold::FoldedMatrix folded(matrix, factors);
  llm::PackedMatrix out(matrix.rows, matrix.cols);
  std::vector<float> row(static_cast<std::size_t>(matrix.cols));
  std::vector<std::byte> bytes(static_cast<std::size_t>(sinq::row_bytes(format, matrix.cols)));
  const auto at = [](const std::vector<double>& all, Index i) {
    return all.empty() ? 1.0 : all[static_cast<std::size_t>(i)];
  };
  for (Index r = 0; r < matrix.rows; ++r) {
    sinq::detail::read_rect(folded.view(), {r, 0, 1, matrix.cols}, row.data(), matrix.cols);
    try {
      sinq::encode_row(format, row, {}, bytes);
    } catch (const sinq::Error& e) {
      throw sinq::Error(e.code(), sinq::detail::text("row ", r, " as ", name(format), ": ", e.what()));
    }
    sinq::decode_row(format, bytes, row.data());
    for (Index c = 0; factors != nullptr && c < matrix.cols; ++c) {
      float& w = row[static_cast<std::size_t>(c)];
      w = static_cast<float>(static_cast<double>(w) / (at(factors->rows, r) * at(factors->cols, c)));
    }
    out.set_output(r, row.data());
  }
  return out;
}

llm::QuantizedModel quantized(const llm::Model& model, const Source& source, const sinq::fold::FactorMap& factors,
                              sinq::BlockFormat format, int threads) {
  llm::QuantizedModel out{.model = model, .layers = {}, .tables = {}};
  const std::vector<llm::LinearId> linears = model.linears();
  out.layers.resize(linears.size());
  for (std::size_t i = 0; i < linears.size(); ++i) out.layers[i].name = linears[i].name();
  llm::parallel_for(static_cast<Index>(linears.size()), threads, [&](int, Index i) {
    const llm::LinearId id = linears[static_cast<std::size_t>(i)];
    const auto& tensor = source.files.at(id.name() + ".weight");
    out.model.linear(id).weight = common::with_tensor_name(tensor, [&] {
      return std::make_shared<llm::DenseWeight>(
          quantized(tensor.matrix_view(), factors.find(tensor.info.name), format));
    });
  });
  return out;
}

}  // namespace

sinq::fold::SearchResult search_scales(const Source& source, const llm::Model& original,
                                       const sinq::fold::ScaleOptions& base, sinq::BlockFormat format, SearchLoss loss,
                                       const llm::TokenBlocks& blocks, int threads) {
  std::optional<llm::Baseline> baseline;
  if (loss == SearchLoss::kDivergence) baseline = llm::read_baseline(original, blocks, 0, threads);
  return sinq::fold::search(source.plan, source.lookup(), sinq::fold::search_grid(base),
                            [&](const sinq::fold::FactorMap& factors) {
                              const auto candidate = quantized(original, source, factors, format, threads);
                              return baseline ? llm::evaluate(candidate.model, blocks, &*baseline, threads).kl
                                              : llm::overall(llm::output_errors(original, candidate, blocks, threads));
                            });
}

}  // namespace fold_program
