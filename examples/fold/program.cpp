#include "fold/program.hpp"

#include <sinq/version.hpp>

#include "common/checks.hpp"
#include "common/choice.hpp"
#include "common/command_line.hpp"
#include "common/output_folder.hpp"
#include "fold/check_fold.hpp"
#include "fold/fold_model.hpp"
#include "fold/scale_flags.hpp"
#include "fold/search_scales.hpp"
#include "llm/data_options.hpp"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <ostream>

namespace fold_program {
namespace {

namespace fs = std::filesystem;
using sinq::Index;
using sinq::io::DType;

const common::Names<std::optional<DType>> kDTypes{
    {"same", {}}, {"float32", DType::kF32}, {"bfloat16", DType::kBf16}, {"float16", DType::kF16}};
const common::Names<SearchLoss> kLosses{{"layer", SearchLoss::kLayer}, {"kl", SearchLoss::kDivergence}};

llm::DataOptions default_data() {
  llm::DataOptions data;
  data.context = 256;
  data.limit = 8;
  return data;
}

common::Names<sinq::BlockFormat> block_formats() {
  common::Names<sinq::BlockFormat> out;
  for (const sinq::BlockFormat format : sinq::kBlockFormats) out.emplace(name(format), format);
  return out;
}
const common::Names<sinq::BlockFormat> kFormats = block_formats();

struct Options {
  llm::DataOptions data = default_data();
  fs::path out;
  common::Existing existing = common::Existing::kRefused;
  sinq::fold::ScaleOptions scales;
  WriteOptions write;
  double max_shard_gigabytes = 5.0;
  bool check = false;
  std::optional<SearchLoss> search;
  std::optional<std::uint64_t> random_factors;  ///< seed
  sinq::BlockFormat format = sinq::BlockFormat::kQ4_0;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("MODEL", options.data.model, "Hugging Face folder")->required();
  app.add_option("-o,--output", options.out, "folder to write")->required()->option_text("OUT REQUIRED");
  common::add_force_flag(app, options.existing);
  common::add_choice(app, "--dtype", options.write.dtype, kDTypes, "type of the weights (default same)");
  app.add_option("--max-shard-size", options.max_shard_gigabytes, "GB per file")
      ->check(CLI::Range(1e-9, 1e6))
      ->capture_default_str();
  const SearchedFlags searched = add_scale_flags(app, "--", options.scales);
  auto* search =
      common::add_choice(app, "--search", options.search, kLosses,
                         "try tiles, iterations and repeats on the text; keep what has the least error of the layers' "
                         "outputs, or the least KL, in the format of --for");
  search->excludes(searched.tile)->excludes(searched.iterations)->excludes(searched.repeats);
  common::add_choice(app, "--for", options.format, kFormats, "block format that --search quantizes to (default q4_0)")
      ->needs(search);
  app.add_option(
         "--random-factors", options.random_factors,
         "instead of balancing, move random factors of this seed: the same function, harder to quantize, to see "
         "what a method makes of it")
      ->option_text("SEED")
      ->check(common::kNotNegative)  // a number type without signs would take -1 for the greatest
      ->excludes(search)
      ->excludes(searched.tile)
      ->excludes(searched.iterations)
      ->excludes(searched.repeats);
  app.add_flag("--check", options.check, "run both models on the text and say how far they are apart");
  auto* text = app.add_option("--text", options.data.text, "text file for --check and --search");
  app.add_option("--tokens", options.data.tokens,
                 "safetensors file with token ids, \"tokens\" (default MODEL/samples.safetensors)")
      ->excludes(text);
  app.add_option("--context", options.data.context, "tokens per block")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--limit", options.data.limit, "read the first blocks only; 0: all")
      ->check(common::kNotNegative)
      ->capture_default_str();
  app.add_option("--threads", options.data.threads, "0: as many as the machine has")->check(CLI::Range(0, 1024));
}

/// The blocks of the text, or of the samples that lie beside the model.
llm::TokenBlocks text_of(const Options& options) {
  llm::DataOptions data = options.data;
  if (data.text.empty() && data.tokens.empty()) {
    data.tokens = data.model / "samples.safetensors";
    if (!fs::exists(data.tokens)) {
      throw sinq::Error(sinq::Errc::kBadConfig,
                        "--check and --search need --text or --tokens; " + data.tokens.string() + " does not exist");
    }
  }
  return data.blocks();
}

/// The engine knows fewer architectures than the planner.
llm::Model runnable(const fs::path& folder) {
  try {
    return llm::Model::open(folder);
  } catch (const sinq::Error& e) {
    throw sinq::Error(e.code(), std::string("--check and --search have to run the model: ") + e.what());
  }
}

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2e", value);
  return text;
}

void describe(const Options& options, const sinq::fold::FactorMap& factors, std::ostream& out) {
  const sinq::fold::ScaleOptions& scales = options.scales;
  double most = 0.0;
  for (const auto& [name, tensor] : factors) {
    for (const double f : tensor.cols) most = std::max(most, std::abs(std::log(f)));
  }
  if (options.random_factors) {
    out << "scales           random, seed " << *options.random_factors << "\n";
  } else {
    out << "scales           tile " << scales.tile << ", " << scales.iterations << " iterations, " << scales.repeats
        << " repeats\n";
  }
  out << "factors          within 1/" << llm::fixed(std::exp(most), 3) << " .. " << llm::fixed(std::exp(most), 3)
      << ", of " << factors.size() << " tensors\n";
}

void run(const CLI::App& app, Options options, std::ostream& out) {
  const bool reads = options.check || options.search;
  if (!reads) {
    common::refuse_flags(app, {"--text", "--tokens", "--context", "--limit", "--threads"},
                         "is of use with --check or --search only: nothing else reads a text");
  }
  options.scales.validate();
  options.write.max_shard_bytes = static_cast<std::uint64_t>(options.max_shard_gigabytes * 1e9);
  common::require_new_folder(options.out, options.existing,
                             {options.data.model, options.data.text, options.data.tokens});
  const Source source = Source::open(options.data.model);

  // All that may refuse comes before the work.
  llm::TokenBlocks blocks;
  std::optional<llm::Model> original;
  if (reads) {
    blocks = text_of(options);
    original = runnable(options.data.model);
  }
  sinq::io::AtomicFolder folder(options.out, options.existing);
  sinq::fold::FactorMap factors;
  if (options.search) {
    auto best =
        search_scales(source, *original, options.scales, options.format, *options.search, blocks, options.data.threads);
    options.scales = best.options;
    factors = std::move(best.factors);
    out << "least loss       " << llm::fixed(best.loss, 6) << " of " << best.losses.size() << " candidates, "
        << llm::fixed(*std::max_element(best.losses.begin(), best.losses.end()), 6) << " the most\n";
  } else if (options.random_factors) {
    factors = sinq::fold::random_factors(
        source.plan,
        {.seed = *options.random_factors, .rounding = options.scales.rounding, .edges = options.scales.edges});
  } else {
    factors = find_factors(source.files, source.plan, options.scales);
  }
  describe(options, factors, out);
  const Index cut = write_folded(source, factors, folder, options.write);
  if (cut > 0) out << "lost digits      " << cut << " values that are too small for their type\n";
  if (!options.check) return;
  const Difference apart = compare(*original, llm::Model::open(options.out), blocks, options.data.threads);
  out << "largest logit difference  " << scientific(apart.largest_logit) << "\n"
      << "kl                        " << scientific(apart.kl) << "\n"
      << "positions                 " << apart.positions << "\n";
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("Folds column scales into what produces a layer's input: the same function, easier to quantize",
               "sinq-fold");
  app.set_version_flag("--version", std::to_string(SINQ_VERSION_MAJOR) + "." + std::to_string(SINQ_VERSION_MINOR) +
                                        "." + std::to_string(SINQ_VERSION_PATCH));
  Options options;
  add_options(app, options);
  return common::run_command_line(app, arguments, out, err, [&] { run(app, options, out); });
}

}  // namespace fold_program
