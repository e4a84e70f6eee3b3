#include "gguf/convert.hpp"

#include <sinq/io/gguf_shards.hpp>

#include "gguf/content.hpp"
#include "gguf/importances.hpp"
#include "gguf/tensor_encoder.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

namespace gguf {

using sinq::io::GgufWriter;

class Conversion::State {
 public:
  explicit State(ConvertOptions given)
      : options(std::move(given)), content(open_content(options)), importances(options, content->tensors()) {
    auto metadata = content->metadata();
    importances.describe(metadata);
    if (options.mixture) {
      prepare();
      mixture = choose_mixture(options, metadata, importances, *content);
      metadata.set("general.file_type", mixture->nearest->file_type);
    }
    plans = plan_gguf_shards(metadata, content->tensors(), options.max_shard_bytes);
  }

  /// Reads what weights, and the model if it must run, say. Once.
  void prepare() {
    if (std::exchange(is_prepared, true)) return;
    content->find_factors();
    importances.measure();
  }

  bool is_prepared = false;
  ConvertOptions options;
  std::unique_ptr<Content> content;
  Importances importances;
  std::optional<Mixture> mixture;
  std::vector<sinq::io::GgufPlan> plans;
};

Conversion::Conversion(ConvertOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Conversion::~Conversion() = default;
Conversion::Conversion(Conversion&&) noexcept = default;

const std::vector<sinq::io::GgufPlan>& Conversion::plans() const noexcept { return state_->plans; }

const Mixture* Conversion::mixture() const noexcept { return state_->mixture ? &*state_->mixture : nullptr; }

std::vector<std::string> Conversion::notes() const {
  std::vector<std::string> out = state_->content->notes();
  if (state_->mixture) {
    const auto sentences = summary_of(*state_->mixture);
    out.insert(out.end(), sentences.begin(), sentences.end());
  }
  const auto& more = state_->importances.notes();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::vector<std::filesystem::path> Conversion::inputs() const {
  std::vector<std::filesystem::path> out = state_->content->inputs();
  const auto& mixture = state_->options.mixture;
  const auto sensitivity = mixture ? mixture->sensitivity : std::filesystem::path();
  for (const auto& file : {state_->options.calibration, state_->options.imatrix, sensitivity}) {
    if (!file.empty()) out.push_back(file);
  }
  return out;
}

std::vector<std::filesystem::path> Conversion::outputs(const std::filesystem::path& target) const {
  const auto count = static_cast<Index>(state_->plans.size());
  if (count == 1) return {target};
  auto stem = target;
  if (stem.extension() == ".gguf") stem.replace_extension();
  std::vector<std::filesystem::path> out;
  for (Index i = 1; i <= count; ++i) out.emplace_back(sinq::io::GgufShardName{stem.string(), i, count}.text());
  return out;
}

void Conversion::write(const std::filesystem::path& target, const Step& step) {
  std::deque<GgufWriter> writers;  // first: a target that cannot be written costs no time
  const auto files = outputs(target);
  for (std::size_t i = 0; i < files.size(); ++i) writers.emplace_back(files[i], state_->plans[i]);
  state_->prepare();
  TensorEncoder encoder(state_->options.threads);
  std::size_t tensor = 0;
  for (GgufWriter& writer : writers) {
    for (std::size_t i = 0; i < writer.plan().tensors.size(); ++i) {
      state_->content->write(tensor++, state_->importances, encoder,
                             [&](std::span<const std::byte> bytes) { writer.write(bytes); });
      if (step) step();
    }
  }
  std::for_each(writers.rbegin(), writers.rend(), [](GgufWriter& writer) { writer.commit(); });
}

}  // namespace gguf
