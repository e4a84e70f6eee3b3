#include "gguf/convert.hpp"

#include <sinq/finite.hpp>
#include <sinq/io/checkpoint.hpp>

#include "common/float_model.hpp"
#include "common/named_error.hpp"
#include "fold/architecture_json.hpp"
#include "fold/fold_model.hpp"
#include "gguf/column_importance.hpp"
#include "gguf/gguf_metadata.hpp"
#include "gguf/tensor_encoder.hpp"
#include "llm/gguf_names.hpp"
#include "llm/input_stats.hpp"
#include "llm/model.hpp"
#include "llm/model_tensors.hpp"
#include "llm/progress.hpp"
#include "llm/tensors.hpp"
#include "llm/token_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace gguf {

/// A tensor of the checkpoint on its way into the file. The file's tensor of the same position has shape and type.
struct Source {
  std::string name;                       ///< Hugging Face's; empty: the factors of the rotary frequencies
  std::optional<llm::LinearId> linear{};  ///< of a block
};

namespace {

using sinq::io::Checkpoint;
using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq::io::detail::name_text;

constexpr const char* kRopeFactors = "rope_freqs.weight";

/// All tensors of a model, in the order of the file.
class TensorList {
 public:
  TensorList(const llm::ModelConfig& config, const ConvertOptions& options) : config_(config), options_(options) {
    table("model.embed_tokens.weight");
    if (!config.rope_factors.empty()) add({}, {kRopeFactors, GgufType::kF32, {config.head_dim / 2}});
    for (Index layer = 0; layer < config.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      vector(prefix + "input_layernorm.weight", config.hidden_size);
      for (std::size_t i = 0; i < llm::kBlockLinears.size(); ++i) linear({layer, i});
      if (config.query_key_norm) {
        vector(prefix + "self_attn.q_norm.weight", config.head_dim);
        vector(prefix + "self_attn.k_norm.weight", config.head_dim);
      }
      vector(prefix + "post_attention_layernorm.weight", config.hidden_size);
    }
    vector("model.norm.weight", config.hidden_size);
    if (!config.tied_head) table("lm_head.weight");
  }

  std::vector<Source> sources;
  std::vector<GgufTensorInfo> tensors;  ///< of the same positions

 private:
  void add(Source source, GgufTensorInfo tensor) {
    sources.push_back(std::move(source));
    tensors.push_back(std::move(tensor));
  }
  void vector(const std::string& name, Index size) { add({name}, {llm::gguf_name(name), GgufType::kF32, {size}}); }
  void table(const std::string& name) { matrix({name}, options_.embeddings, config_.vocab_size, config_.hidden_size); }
  void linear(llm::LinearId id) {
    const llm::LinearShape shape = llm::linear_shape(config_, id.linear);
    matrix({id.name() + ".weight", id}, options_.type, shape.rows, shape.cols);
    if (shape.bias) vector(id.name() + ".bias", shape.rows);
  }
  void matrix(Source source, GgufType type, Index rows, Index cols) {
    if (cols % block_size(type) != 0) {
      const auto fallback = options_.fallback;
      if (!fallback || cols % block_size(*fallback) != 0) {
        throw sinq::Error(sinq::Errc::kBadShape,
                          "tensor " + name_text(source.name) + ": rows of " + std::to_string(cols) +
                              " are not a multiple of " + std::to_string(block_size(type)) + ", the block of " +
                              std::string(name(type)) +
                              (fallback ? ", nor of that of the fallback " + std::string(name(*fallback))
                                        : "; name a type for such tensors with --fallback"));
      }
      type = *fallback;
    }
    std::string gguf_name = llm::gguf_name(source.name);
    add(std::move(source), {std::move(gguf_name), type, {rows, cols}});
  }

  const llm::ModelConfig& config_;
  const ConvertOptions& options_;
};

/// Refuses tensors that would be lost, and those of another shape than the file's will have.
void check_tensors(const Checkpoint& files, const TensorList& list, const llm::ModelConfig& config) {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < list.sources.size(); ++i) {
    const std::string& name = list.sources[i].name;
    if (name.empty()) continue;
    const auto& info = files.at(name).info;
    const bool is_readable = info.shape.size() == 2 ? is_float(info.dtype) : scalar_type(info.dtype).has_value();
    if (info.shape != list.tensors[i].shape || !is_readable) {
      throw sinq::Error(sinq::Errc::kBadFile,
                        "tensor " + name_text(name) + " is " + std::string(sinq::io::name(info.dtype)) + " " +
                            sinq::io::detail::shape_text(info.shape) + ", config.json asks for floats " +
                            sinq::io::detail::shape_text(list.tensors[i].shape));
    }
    known.push_back(name);
  }
  std::sort(known.begin(), known.end());
  for (const auto& tensor : files.tensors()) {
    const std::string& name = tensor.info.name;
    if (!llm::is_redundant(name, config) && !std::binary_search(known.begin(), known.end(), name)) {
      throw sinq::Error(sinq::Errc::kUnsupported,
                        "tensor " + name_text(name) + " has no place in a GGUF file of such a model: not supported");
    }
  }
}

std::string name_of(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

class Conversion::State {
 public:
  explicit State(ConvertOptions given)
      : options(std::move(given)),
        config(llm::ModelConfig::open(options.model)),
        files(Checkpoint::open(options.model)),
        is_llama(architecture_of(config) == "llama") {
    common::require_floats(files, options.model);
    refuse_what_files_cannot_say();
    TensorList list(config, options);
    check_tensors(files, list, config);
    const std::string name = options.name.empty() ? name_of(options.model) : options.name;
    plan = sinq::io::plan_gguf(metadata_of(options.model, config, name, options.type), std::move(list.tensors));
    sources = std::move(list.sources);
    if (options.importance == Importance::kActivations) {
      text = llm::blocks_from_text(llm::open_tokenizer(options.model), options.calibration,
                                   std::min(options.calibration_context, config.max_positions));
      text.limit(options.calibration_blocks);
    }
  }

  void write(const std::filesystem::path& target, const Step& step) {
    sinq::io::GgufWriter writer(target, plan);  // first: a target that cannot be written costs no time
    if (options.fold) find_factors();
    if (options.importance == Importance::kActivations) read_calibration();
    TensorEncoder encoder(options.threads);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const auto sink = [&](std::span<const std::byte> bytes) { writer.write(bytes); };
      if (plan.tensors[i].shape.size() == 1) {
        sink(std::as_bytes(std::span<const float>(vector(sources[i], plan.tensors[i].shape[0]))));
      } else {
        encode(sources[i], plan.tensors[i].type, encoder, sink);
      }
      if (!sources[i].name.empty()) files.at(sources[i].name).release();
      if (step) step();
    }
    writer.commit();
  }

  ConvertOptions options;
  llm::ModelConfig config;
  Checkpoint files;
  bool is_llama;
  std::vector<Source> sources;
  sinq::io::GgufPlan plan;
  llm::TokenBlocks text;  ///< for calibration

 private:
  void refuse_what_files_cannot_say() const {
    const auto refuse = [&](const std::string& what) {
      throw sinq::Error(
          sinq::Errc::kUnsupported,
          options.model.string() + ": " + what + " of a Qwen3 model are not supported: llama.cpp's qwen3 has none");
    };
    if (is_llama) return;
    if (config.attention_bias || config.mlp_bias) refuse("biases");
    if (!config.rope_factors.empty()) refuse("factors of rope_type llama3");
  }

  void find_factors() {
    std::vector<sinq::fold::TensorShape> shapes;
    for (const Source& source : sources) {
      if (!source.name.empty()) shapes.push_back({source.name, files.at(source.name).info.shape});
    }
    const auto architecture = fold_program::architecture_from_json(llm::read_json(options.model / "config.json"));
    factors = fold_program::find_factors(files, sinq::fold::make_plan(architecture, shapes), *options.fold);
  }

  void read_calibration() {
    const llm::Model model = llm::Model::open(options.model);
    llm::Progress progress("calibrate", text.count());
    inputs = llm::InputStats::collect(model, text, options.threads, [&] { progress.step(); });
  }

  [[nodiscard]] bool is_reordered(const std::string& name) const { return is_llama && llm::has_rope_order(name); }

  /// A vector as the file has it, folded and in its order.
  [[nodiscard]] std::vector<float> vector(const Source& source, Index size) const {
    if (source.name.empty()) return config.rope_factors;
    const auto& tensor = files.at(source.name);
    std::vector<float> stored(static_cast<std::size_t>(size));
    llm::read_row(source.name,
                  sinq::MatrixView::row_major(tensor.bytes().data(), *scalar_type(tensor.info.dtype), 1, size), 0,
                  stored.data());
    if (const auto* known = factors.find(source.name)) {
      std::vector<double> values(stored.begin(), stored.end());
      known->apply({0, size}, 1, values.data());
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (!sinq::is_finite(values[i]) ||
            std::abs(values[i]) > static_cast<double>(std::numeric_limits<float>::max())) {
          sinq::io::detail::refuse_element(tensor.file, tensor.info, i, values[i], " when folded, beyond float32");
        }
        stored[i] = static_cast<float>(values[i]);
      }
    }
    if (!is_reordered(source.name)) return stored;
    std::vector<float> out(stored.size());
    for (Index i = 0; i < size; ++i) {
      const Index from = llm::other_row(llm::RopeOrder::kPairs, i, config.head_dim);
      out[static_cast<std::size_t>(i)] = stored[static_cast<std::size_t>(from)];
    }
    return out;
  }

  void encode(const Source& source, GgufType type, TensorEncoder& encoder, const TensorEncoder::Sink& sink) const {
    const sinq::MatrixView stored = files.at(source.name).matrix_view();
    const auto* known = factors.find(source.name);
    const bool again = type == GgufType::kF16 || type == GgufType::kBf16;
    const sinq::fold::FoldedMatrix folded(
        stored, known, again ? sinq::fold::ProductRounding::kOdd : sinq::fold::ProductRounding::kNearest);
    const llm::ReorderedHeads reordered(folded.view(), llm::RopeOrder::kPairs, config.head_dim);
    // Rows that are written leave memory; of reordered heads those nearby are read again.
    const auto& tensor = files.at(source.name);
    const auto row_bytes = static_cast<std::uint64_t>(stored.cols * dtype_bytes(tensor.info.dtype));
    const auto written_row_bytes = static_cast<std::uint64_t>(stored.cols / block_size(type) * block_bytes(type));
    std::uint64_t written = 0;
    const auto write = [&](std::span<const std::byte> bytes) {
      sink(bytes);
      written += bytes.size();
      tensor.file.release(tensor.info, 0, written / written_row_bytes * row_bytes);
    };
    common::with_tensor_name(tensor, [&] {
      encoder.encode(is_reordered(source.name) ? reordered.view() : folded.view(), type,
                     importance(source, stored, known), write);
    });
  }

  [[nodiscard]] std::vector<float> importance(const Source& source, const sinq::MatrixView& stored,
                                              const sinq::fold::Factors* known) const {
    std::vector<float> out;
    if (!source.linear || options.importance == Importance::kNone) return out;
    if (options.importance == Importance::kSinkhorn) {
      out = sinkhorn_importance(stored);
    } else {
      out = activation_importance(inputs.of(*source.linear));
    }
    follow_fold(known, out);
    return out;
  }

  sinq::fold::FactorMap factors;
  llm::InputStats inputs;
};

Conversion::Conversion(ConvertOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Conversion::~Conversion() = default;
Conversion::Conversion(Conversion&&) noexcept = default;

const sinq::io::GgufPlan& Conversion::plan() const noexcept { return state_->plan; }

void Conversion::write(const std::filesystem::path& target, const Step& step) { state_->write(target, step); }

}  // namespace gguf
