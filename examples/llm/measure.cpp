#include "llm/measure.hpp"

#include "llm/layer_report.hpp"
#include "llm/progress.hpp"
#include "llm/quantize_model.hpp"

namespace llm {

Measurement measure(const Model& model, const QuantizeSettings& settings, const TokenBlocks& blocks,
                    const Baseline* baseline, Calibration calibration, int threads, const std::string& title,
                    const InputStats* inputs, const Model* original) {
  Measurement out{.settings = settings, .evaluation = {}};
  const auto evaluate_shown = [&](const Model& evaluated) {
    Progress progress(title + ": evaluate", blocks.count());
    out.evaluation = evaluate(evaluated, blocks, baseline, threads, [&] { progress.step(); });
  };
  const auto add_errors = [&](const Model& before, const QuantizedModel& quantized) {
    out.weight_error = quantized.weight_error();
    if (calibration == nullptr) return;
    Progress progress(title + ": outputs", calibration->count());
    out.output_error = overall(output_errors(before, quantized, *calibration, threads, [&] { progress.step(); }));
  };
  if (settings.weights == Weights::kQuantized) {
    Progress progress(title + ": quantize", quantized_matrices(model, settings));
    const QuantizedModel quantized = quantize_model(
        model, settings, threads, [&] { progress.step(); }, inputs);
    out.bits_per_weight = quantized.bits_per_weight();
    out.seconds_quantize = quantized.seconds;
    add_errors(model, quantized);
    evaluate_shown(quantized.model);
    return out;
  }
  out.bits_per_weight = model.stored_bits_per_weight();
  const bool floats = settings.weights == Weights::kAsStored;
  if (original == nullptr) {
    if (floats) out.weight_error = 0;
  } else if (!floats ||
             have_same_linears(*original, model)) {  // KL can be taken against any model with this vocabulary
    add_errors(*original, compare_stored(*original, model, threads));
  }
  evaluate_shown(model);
  return out;
}

Json to_json(const Measurement& m) {
  Json out{{"perplexity", m.evaluation.perplexity},
           {"bits_per_weight", m.bits_per_weight},
           {"seconds_quantize", m.seconds_quantize},
           {"seconds_evaluate", m.evaluation.seconds},
           {"scored_tokens", m.evaluation.scored_tokens},
           {"kl_positions", m.evaluation.kl_positions},
           {"settings", to_json(m.settings)}};
  if (m.knows_kl()) {
    out["kl"] = m.evaluation.kl;
    out["flips"] = m.evaluation.flips;
  }
  if (m.weight_error) out["weight_error"] = *m.weight_error;
  if (m.output_error) out["output_error"] = *m.output_error;
  return out;
}

Baseline read_baseline_shown(const Model& model, const TokenBlocks& blocks, Index count, int threads) {
  Progress progress("baseline", count > 0 ? std::min(count, blocks.count()) : blocks.count());
  return read_baseline(model, blocks, count, threads, [&] { progress.step(); });
}

}  // namespace llm
