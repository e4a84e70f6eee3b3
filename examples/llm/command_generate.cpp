#include "common/checks.hpp"
#include "common/command_line.hpp"
#include "llm/commands.hpp"
#include "llm/generate.hpp"
#include "llm/progress.hpp"
#include "llm/quantize_model.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <ostream>

namespace llm {
namespace {

struct GenerateOptions {
  std::filesystem::path model;
  std::string prompt;
  QuantizeSettings settings;
  Sampling sampling;
  Index max_tokens = 100;
};

void run_generate(const GenerateOptions& options, std::ostream& out) {
  validate(options.settings);
  const Tokenizer tokenizer = open_tokenizer(options.model);
  const std::vector<Token> prompt = tokenizer.encode(options.prompt);
  Sampler sampler(options.sampling);
  Model model = Model::open(options.model, options.settings.activations);
  const QuantizeSettings settings = settings_for(model, options.settings);
  std::fprintf(stderr, "%s\n", what_runs(model, options.model, settings).c_str());
  if (settings.weights == Weights::kQuantized) {
    const std::optional<InputStats> inputs = calibrate(model, calibration_blocks(model, options.model, settings), 0);
    Progress progress("quantize", static_cast<long>(model.linears().size()));
    model = quantize_model(
                model, settings, 0, [&] { progress.step(); }, inputs ? &*inputs : nullptr)
                .model;
  }
  const auto length = static_cast<Index>(prompt.size());
  Session session(model, std::max(length, std::min(length + options.max_tokens, model.config.max_positions)));
  Utf8Stream characters;
  out << options.prompt << std::flush;
  long tokens = 0;
  const auto start = std::chrono::steady_clock::now();
  generate(session, model, prompt, options.max_tokens, sampler, [&](Token token) {
    ++tokens;
    out << characters.put(tokenizer.bytes(token)) << std::flush;
    common::require_written(out);
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  out << characters.finish() << "\n";
  std::fprintf(stderr, "%ld tokens in %.3f s (the prompt's %zu read first): %.1f tokens/s on one thread\n", tokens,
               seconds, prompt.size(), static_cast<double>(tokens) / seconds);
}

}  // namespace

void add_generate_command(CLI::App& app, std::ostream& out) {
  auto* command = app.add_subcommand("generate", "Continue a text, running from quantized weights");
  const auto options = std::make_shared<GenerateOptions>();
  command->add_option("MODEL", options->model, "Hugging Face folder")->required();
  command->add_option("--prompt", options->prompt, "the text to continue")->required();
  command->add_option("--max-tokens", options->max_tokens)->check(common::kPositive)->capture_default_str();
  command->add_option("--temperature", options->sampling.temperature, "0: always the most likely token")
      ->check(common::kNotNegative)
      ->capture_default_str();
  command->add_option("--top-k", options->sampling.top_k, "choose among the k most likely; 0: all")
      ->check(common::kNotNegative);
  command->add_option("--seed", options->sampling.seed)->check(common::kNotNegative)->capture_default_str();
  add_quantize_options(*command, options->settings);
  command->callback([command, options, &out] {
    if (options->sampling.temperature == 0) {
      common::refuse_flags(
          *command, {"--top-k", "--seed"},
          "is of use with a --temperature above 0 only: nothing is drawn, the most likely token is taken");
    }
    run_generate(*options, out);
  });
}

}  // namespace llm
