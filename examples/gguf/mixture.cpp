#include "gguf/mixture.hpp"

#include <sinq/allocation.hpp>
#include <sinq/io/gguf.hpp>
#include <sinq/io/gguf_shards.hpp>
#include <sinq/io/printable.hpp>

#include "common/text.hpp"
#include "gguf/type_error.hpp"
#include "llm/default_sensitivity.hpp"
#include "llm/gguf_names.hpp"
#include "llm/parallel_for.hpp"
#include "llm/progress.hpp"
#include "llm/sensitivity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

namespace gguf {
namespace {

using common::number;
using sinq::io::GgufMetadata;
using sinq::io::GgufTensorInfo;

/// What kinds of matrices are called at the end of their names: in GGUF files, and where sensitivities come from.
/// Experts of a layer are one tensor and count as one matrix.
constexpr std::array<std::pair<std::string_view, std::string_view>, 18> kKinds{{{"token_embd", "embed_tokens"},
                                                                                {"output", "lm_head"},
                                                                                {"attn_q", "q_proj"},
                                                                                {"attn_k", "k_proj"},
                                                                                {"attn_v", "v_proj"},
                                                                                {"attn_qkv", "qkv_proj"},
                                                                                {"attn_output", "o_proj"},
                                                                                {"attn_out", "o_proj"},
                                                                                {"ffn_gate", "gate_proj"},
                                                                                {"ffn_up", "up_proj"},
                                                                                {"ffn_down", "down_proj"},
                                                                                {"ffn_gate_exps", "gate_proj"},
                                                                                {"ffn_up_exps", "up_proj"},
                                                                                {"ffn_down_exps", "down_proj"},
                                                                                {"ffn_gate_up_exps", "gate_up_proj"},
                                                                                {"ffn_gate_shexp", "gate_proj"},
                                                                                {"ffn_up_shexp", "up_proj"},
                                                                                {"ffn_down_shexp", "down_proj"}}};

/// Bits per weight of whole rows.
double bits_of(GgufType type) {
  return 8.0 * static_cast<double>(block_bytes(type)) / static_cast<double>(block_size(type));
}

Index weights_of(const GgufTensorInfo& tensor) {
  Index out = 1;
  for (const Index extent : tensor.shape) out *= extent;
  return out;
}

/// All that rows of that length may become, from what few bits hold to what loses next to nothing.
std::vector<GgufType> candidates(Index cols) {
  std::vector<GgufType> out;
  for (const sinq::BlockFormat format : sinq::kBlockFormats) {
    if (cols % block_size(format) == 0) out.push_back(sinq::io::gguf_type(format));
  }
  out.push_back(GgufType::kF16);
  return out;
}

/// Bytes of all files with these tensors.
std::uint64_t file_bytes(const ConvertOptions& options, const GgufMetadata& metadata,
                         const std::vector<GgufTensorInfo>& tensors) {
  std::uint64_t out = 0;
  for (const auto& plan : plan_gguf_shards(metadata, tensors, options.max_shard_bytes)) out += plan.file_bytes;
  return out;
}

/// alpha of each matrix: the file's, or the defaults. The file may have been measured on the model in another form, so
/// it is by their names that matrices are known.
std::vector<double> sensitivities_of(const std::filesystem::path& file, const std::vector<llm::NamedMatrix>& matrices) {
  if (file.empty()) return llm::default_sensitivities(matrices);
  const llm::Sensitivities measured = llm::read_sensitivities(file);
  std::set<std::string> names;
  for (const auto& matrix : matrices) names.insert(matrix.name);
  std::vector<double> out = llm::alphas_of(measured, matrices, file);
  for (const auto& known : measured.matrices) {
    if (names.contains(known.name)) continue;
    throw sinq::Error(sinq::Errc::kBadFile,
                      sinq::detail::text(file.string(), ": ", sinq::io::detail::name_text(known.name),
                                         " is no matrix of this model"));
  }
  return out;
}

/// The state of a choice.
class Chooser {
 public:
  Chooser(const ConvertOptions& options, const GgufMetadata& metadata, const Importances& importances, Content& content)
      : options_(options), asked_(*options.mixture), metadata_(metadata), importances_(importances), content_(content) {
    for (std::size_t i = 0; i < content.tensors().size(); ++i) {
      const auto& tensor = content.tensors()[i];
      const bool is_kept = role_of(tensor.name, tensor.shape) == TensorRole::kKept || weights_of(tensor) == 0;
      if (!is_kept && is_readable(tensor.type)) at_.push_back(i);
    }
    if (at_.empty()) throw sinq::Error(sinq::Errc::kBadConfig, "a mixture of types: no tensor is to be quantized");
  }

  Mixture choose() {
    find_sensitivities();
    measure_errors();
    if (asked_.max_bits_per_weight > 0.0) {
      out_.budget = "at most " + number("%.3f", asked_.max_bits_per_weight) + " bits per weight";
      allocate(asked_.max_bits_per_weight * weights());
    } else {
      allocate_bytes();
    }
    finish();
    return std::move(out_);
  }

 private:
  [[nodiscard]] const GgufTensorInfo& tensor(std::size_t i) const { return content_.tensors()[at_[i]]; }

  [[nodiscard]] double weights() const {
    double out = 0.0;
    for (const auto& part : parts_) out += part.weights;
    return out;
  }

  void find_sensitivities() {
    std::vector<llm::NamedMatrix> matrices;
    for (std::size_t i = 0; i < at_.size(); ++i) {
      const Index cols = tensor(i).shape.back();
      matrices.push_back({sensitivity_name(tensor(i).name), weights_of(tensor(i)) / cols, cols});
    }
    const std::vector<double> alphas = sensitivities_of(asked_.sensitivity, matrices);
    for (std::size_t i = 0; i < at_.size(); ++i) {
      sinq::AllocationMatrix& part = parts_.emplace_back();
      part.name = tensor(i).name;
      part.weights = matrices[i].weights();
      part.sensitivity = alphas[i];
      const bool is_free = content_.is_free(at_[i]);
      types_.push_back(is_free ? candidates(matrices[i].cols) : std::vector{tensor(i).type});
    }
  }

  void measure_errors() {
    std::vector<std::vector<double>> errors(at_.size());
    llm::Progress progress("errors of types", static_cast<std::ptrdiff_t>(at_.size()));
    llm::parallel_for(static_cast<Index>(at_.size()), options_.threads, [&](int, Index item) {
      const auto i = static_cast<std::size_t>(item);
      errors[i] = type_errors(content_, at_[i], importances_, types_[i]);
      progress.step();
    });
    for (std::size_t i = 0; i < at_.size(); ++i) {
      for (std::size_t k = 0; k < types_[i].size(); ++k) {
        parts_[i].recipes.push_back({.bits_per_weight = bits_of(types_[i][k]), .error = errors[i][k]});
      }
    }
  }

  void allocate(double max_bits) {
    const sinq::Allocation chosen = sinq::allocate(parts_, max_bits);
    for (std::size_t i = 0; i < at_.size(); ++i) content_.set_type(at_[i], types_[i][chosen.recipes[i]]);
    chosen_ = chosen.recipes;
    out_.loss = chosen.loss;
    out_.bits_per_weight = chosen.bits / weights();
    out_.bytes = file_bytes(options_, metadata_, content_.tensors());
  }

  /// What llama.cpp's mixture takes, in files like ours.
  [[nodiscard]] std::uint64_t bytes_of(const LlamaMixture& mixture) const {
    std::vector<GgufTensorInfo> tensors = content_.tensors();
    const std::vector<GgufType> types = llama_types(mixture, metadata_, tensors);
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].type = types[i];
    return file_bytes(options_, metadata_, tensors);
  }

  void allocate_bytes() {
    std::uint64_t limit = asked_.max_bytes;
    out_.budget = "at most " + std::to_string(limit) + " bytes";
    if (asked_.like != nullptr) {
      limit = bytes_of(*asked_.like);
      out_.budget = std::string(asked_.like->name) + ": at most " + std::to_string(limit) +
                    " bytes, the size of the file that llama.cpp makes under that name";
    }
    // Everything but the tensors that take part; what they are padded with is not known before.
    std::uint64_t others = file_bytes(options_, metadata_, content_.tensors());
    for (std::size_t i = 0; i < at_.size(); ++i) others -= *sinq::io::tensor_bytes(tensor(i).type, tensor(i).shape);
    double bits = 8.0 * (static_cast<double>(limit) - static_cast<double>(others));
    do {
      try {
        allocate(bits);
      } catch (const sinq::Error& error) {
        throw sinq::Error(error.code(),
                          sinq::detail::text(out_.budget, ", ", others, " of them not weights: ", error.what()));
      }
      bits -= 8.0 * (static_cast<double>(out_.bytes) - static_cast<double>(limit));
    } while (out_.bytes > limit);
  }

  void finish() {
    out_.sensitivity = asked_.sensitivity;
    for (std::size_t i = 0; i < at_.size(); ++i) {
      const auto& recipe = parts_[i].recipes[chosen_[i]];
      out_.tensors.push_back({.name = tensor(i).name,
                              .weights = weights_of(tensor(i)),
                              .alpha = parts_[i].sensitivity,
                              .type = tensor(i).type,
                              .bits_per_weight = recipe.bits_per_weight,
                              .error = recipe.error,
                              .is_fixed = !content_.is_free(at_[i])});
    }
    if (asked_.like != nullptr) {
      out_.nearest = asked_.like;
      return;
    }
    const auto distance = [&](const LlamaMixture& mixture) {
      return std::abs(static_cast<double>(bytes_of(mixture)) - static_cast<double>(out_.bytes));
    };
    out_.nearest = &*std::min_element(kLlamaMixtures.begin(), kLlamaMixtures.end(),
                                      [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  }

  const ConvertOptions& options_;
  const MixtureOptions& asked_;
  const GgufMetadata& metadata_;
  const Importances& importances_;
  Content& content_;
  Mixture out_;
  std::vector<std::size_t> at_;                ///< tensors that take part
  std::vector<sinq::AllocationMatrix> parts_;  ///< [at_]
  std::vector<std::vector<GgufType>> types_;   ///< [at_], of their recipes
  std::vector<std::size_t> chosen_;            ///< [at_]
};

}  // namespace

std::optional<double> Mixture::predicted_kl() const { return sensitivity.empty() ? std::nullopt : std::optional(loss); }

Mixture choose_mixture(const ConvertOptions& options, const GgufMetadata& metadata, const Importances& importances,
                       Content& content) {
  return Chooser(options, metadata, importances, content).choose();
}

std::string table_of(const Mixture& mixture) {
  std::size_t width = 6;
  for (const auto& tensor : mixture.tensors) width = std::max(width, tensor.name.size());
  const auto padded = [](std::string text, std::size_t to) {
    text.resize(std::max(text.size(), to), ' ');
    return text;
  };
  std::string out = "  " + padded("tensor", width) + "     alpha  type      bits  share of loss\n";
  for (const auto& tensor : mixture.tensors) {
    const double share = mixture.loss > 0.0 ? tensor.loss() / mixture.loss : 0.0;
    out += "  " + padded(sinq::io::printable(tensor.name), width) + number("%10.4g", tensor.alpha) + "  " +
           padded(std::string(name(tensor.type)), 7) + number("%7.3f", tensor.bits_per_weight) +
           number("%14.2f%%", 100.0 * share) + (tensor.is_fixed ? "  fixed" : "") + "\n";
  }
  return out;
}

std::vector<std::string> summary_of(const Mixture& mixture) {
  const auto kl = mixture.predicted_kl();
  return {mixture.budget, "a type for each tensor by errors measured on it and " +
                              (mixture.sensitivity.empty() ? "default sensitivities"
                                                           : "the sensitivities of " + mixture.sensitivity.string()) +
                              ": " + number("%.3f", mixture.bits_per_weight) + " bits per weight, " +
                              (kl ? "predicted KL " + number("%.4f", *kl)
                                  : "KL not predicted: defaults are no measurement of this model")};
}

std::string sensitivity_name(const std::string& tensor) {
  try {
    return llm::hugging_face_name(tensor);
  } catch (const sinq::Error&) {  // of another architecture
  }
  constexpr std::string_view kWeight = ".weight";
  if (!tensor.ends_with(kWeight)) return tensor;
  const std::string stem = tensor.substr(0, tensor.size() - kWeight.size());
  const auto at = stem.rfind('.') + 1;  // 0 if there is none
  const auto kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& pair) { return stem.substr(at) == pair.first; });
  if (kind == kKinds.end()) return tensor;
  return stem.substr(0, at) + std::string(kind->second) + std::string(kWeight);
}

}  // namespace gguf
