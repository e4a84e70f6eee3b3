#include <sinq/error.hpp>

#include "common/float_model.hpp"
#include "common/output.hpp"
#include "common/text.hpp"
#include "llm/json_difference.hpp"
#include "llm/model_identity.hpp"
#include "quantize/commands.hpp"
#include "quantize/conversion_plan.hpp"
#include "quantize/convert_shards.hpp"
#include "quantize/kept_tensors.hpp"

#include <chrono>
#include <iterator>
#include <ostream>
#include <set>

namespace convert {
namespace {

namespace fs = std::filesystem;
using common::number;
using Shards = std::map<std::string, FinishedShard>;

/// The report's file. One of this same conversion, which a run that was killed has left, is written again.
common::OutputFile report_file(const fs::path& path, Existing existing, const common::Paths& inputs,
                               const llm::Json& identity, const WorkFolder& work, const std::set<std::string>& model) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    try {
      const llm::Json report = llm::read_json(path);
      const auto same = [&](const char* key) { return report.contains(key) && report[key] == identity[key]; };
      if (same("settings") && same("version") && same("input")) existing = Existing::kReplaced;
    } catch (const sinq::Error&) {  // no report at all
    }
  }
  const bool beside = !path.empty() && fs::weakly_canonical(path).parent_path() == fs::weakly_canonical(work.out());
  if (beside && model.contains(path.filename().string())) {
    throw sinq::Error(sinq::Errc::kBadConfig, path.string() + ": --report is a file of the quantized model itself");
  }
  return {path, existing, inputs};
}

/// The names of the files that a model of these shards has.
std::set<std::string> names_of(const std::set<std::string>& shards, const SmallFiles& small) {
  std::set<std::string> out = shards;
  for (const auto& [name, text] : small.texts) out.insert(name);
  for (const auto& [name, path] : small.copies) out.insert(name);
  return out;
}

/// Refuses an output folder with another model or with shards of another conversion, or forgets the latter. Returns the
/// finished shards of this one.
Shards take_over(const WorkFolder& work, const llm::Json& identity, Existing existing,
                 const std::set<std::string>& written) {
  Shards finished = work.finished();
  for (auto it = finished.begin(); it != finished.end();) {
    const std::string what = llm::difference(it->second.state["identity"], identity);
    if (what.empty()) {
      ++it;
      continue;
    }
    if (existing == Existing::kRefused) {
      throw Conflict(common::exists_text(work.out() / it->first) + " (it is of another conversion: " + what + ")");
    }
    work.forget(it->first);
    it = finished.erase(it);
  }
  if (work.exists() || existing == Existing::kReplaced) return finished;
  std::vector<std::string> files = work.model_files();
  std::copy_if(written.begin(), written.end(), std::back_inserter(files),
               [&](const std::string& name) { return fs::exists(work.out() / name); });
  if (!files.empty()) throw Conflict(common::exists_text(work.out() / files.front()));
  return finished;
}

std::set<std::string> names_of(const ConversionPlan& plan, const std::optional<Part>& part) {
  const auto parts = split(plan, part ? part->of : 1);
  std::set<std::string> out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!part || parts[i] == part->number - 1) out.insert(plan.files.shards[i].file);
  }
  return out;
}

/// What is not quantized. Throws kUnsupported if nothing is.
KeptTensors kept_tensors(const ConversionPlan& plan, const Selection& selection, const fs::path& model) {
  KeptTensors out;
  bool is_all = true;
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    is_all = is_all && !plan.tasks[i].recipe;
    if (!plan.tasks[i].recipe) out.add(plan.tasks[i].source->info, selection.kept_because[i]);
  }
  if (is_all) out.refuse(model.string());
  return out;
}

void describe(const ConversionPlan& plan, const fs::path& model, std::ostream& out) {
  double bits = 0, weights = 0;
  std::size_t quantized = 0, deep = 0;
  for (const auto& task : plan.tasks) {
    if (task.source->info.shape.size() > 2) ++deep;
    if (!task.recipe) continue;
    ++quantized;
    weights += static_cast<double>(task.weights());
    bits += static_cast<double>(task.weights()) * sinq::bits_per_weight(task.layout);
  }
  out << model.string() << ": " << plan.tasks.size() << " tensors: " << quantized << " to quantize";
  out << " (" << number("%.1f", weights / 1e6) << " M weights in " << number("%.3f", bits / weights) << " bits each), "
      << plan.tasks.size() - quantized << " to copy";
  if (deep > 0) out << " (" << deep << " of more than two dimensions)";
  out << "\n";
}

void forecast(const ConversionPlan& plan, const SmallFiles& small, const std::set<std::string>& own,
              std::ostream& out) {
  for (const auto& shard : plan.files.shards) {
    out << "  " << shard.file << "  " << shard.content.file_bytes() << " bytes"
        << (own.contains(shard.file) ? "" : ", of another part") << "\n";
  }
  const std::size_t others = small.texts.size() + small.copies.size();
  out << "  " << others << " other files  " << small.bytes() << " bytes\n"
      << "total " << plan.files.file_bytes() + small.bytes() << " bytes in " << plan.files.shards.size() + others
      << " files\n";
}

void write_report(const common::OutputFile& file, const Shards& shards) {
  if (file.wanted()) file.write(report_of(shards).dump(2) + "\n");
}

/// Keeps of `finished` what this run wants, and is whole; forgets the rest of what it wants.
Shards keep_intact(const WorkFolder& work, const Shards& finished, const std::set<std::string>& own, Errors errors,
                   std::ostream& out) {
  Shards kept;
  for (const auto& [name, shard] : finished) {
    if (!own.contains(name)) continue;
    const char* why = nullptr;
    if (errors == Errors::kMeasured && shard.state["layers"].is_null()) {
      why = "was made without --report";
    } else if (!is_intact(shard)) {
      why = "is damaged or gone";
    }
    if (why == nullptr) {
      kept.emplace(name, shard);
    } else {
      out << name << " " << why << ": it is made again\n";
      work.forget(name);
    }
  }
  return kept;
}

}  // namespace

void run_convert(const ConvertOptions& options, std::ostream& out) {
  if (!options.out.empty()) common::require_apart(options.out, {options.model});
  const auto checkpoint = sinq::io::Checkpoint::open(options.model);
  common::require_floats(checkpoint, options.model);
  const Selection selection = select(options.selection, checkpoint);
  const ConversionPlan plan = plan_conversion(checkpoint, selection, options.max_shard_bytes);
  const SmallFiles small = small_files(options.model, plan.identity["settings"], plan.files.index());
  const std::set<std::string> own = names_of(plan, options.part);
  const Errors errors = options.report.empty() ? Errors::kNotMeasured : Errors::kMeasured;
  const KeptTensors kept = kept_tensors(plan, selection, options.model);
  describe(plan, options.model, out);
  out << (options.action == Action::kForecast ? kept.text() : kept.unreadable_text());
  for (const auto& allocation : selection.allocations) {
    if (options.action == Action::kForecast) out << llm::table_of(*allocation);
    out << llm::summary_of(*allocation) << "\n";
  }
  if (options.action == Action::kForecast) return forecast(plan, small, own, out);

  const WorkFolder work(options.out);
  std::set<std::string> written;
  for (const auto& shard : plan.files.shards) written.insert(shard.file);
  written = names_of(written, small);
  const common::OutputFile report =
      report_file(options.report, options.existing, {options.model}, plan.identity, work, written);
  Shards shards = keep_intact(work, take_over(work, plan.identity, options.existing, written), own, errors, out);
  std::vector<std::size_t> todo;
  double weights = 0;
  for (std::size_t i = 0; i < plan.files.shards.size(); ++i) {
    const auto& shard = plan.files.shards[i];
    if (!own.contains(shard.file) || shards.contains(shard.file)) continue;
    todo.push_back(i);
    for (const std::size_t task : shard.groups) weights += static_cast<double>(plan.tasks[task].weights());
  }
  if (!shards.empty()) out << shards.size() << " of " << own.size() << " shards are there and intact\n";
  if (own.empty()) {
    out << "part " << options.part->number << "/" << options.part->of << ": nothing to do, the plan has "
        << plan.files.shards.size() << " shards (--max-shard-size makes more)\n";
  }
  work.create();
  const auto start = std::chrono::steady_clock::now();
  convert_shards(plan, todo, work, errors, options.threads);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (const auto& [name, shard] : work.finished()) {
    if (own.contains(name)) shards.insert_or_assign(name, shard);
  }
  write_report(report, shards);
  if (options.part) {
    out << options.out.string() << ": part " << options.part->number << "/" << options.part->of << " is done, "
        << own.size() << " of " << plan.files.shards.size() << " shards";
  } else {
    publish(work, shards, small);
    out << options.out.string() << ": " << plan.files.file_bytes() + small.bytes() << " bytes in "
        << plan.files.shards.size() + small.texts.size() + small.copies.size() << " files";
  }
  if (todo.empty()) {
    out << ", complete already\n";
  } else {
    out << ", " << number("%.2f", seconds.count()) << " s, " << number("%.1f", weights / 1e6 / seconds.count())
        << " M weights/s\n";
  }
}

void run_merge(const MergeOptions& options, std::ostream& out) {
  common::Paths inputs{options.model};
  std::error_code missing;
  for (const fs::path& part : options.parts) {
    if (!fs::equivalent(part, options.out, missing)) inputs.push_back(part);  // else it is what goes on
  }
  common::require_apart(options.out, inputs);
  const WorkFolder work(options.out);
  std::vector<fs::path> sources{options.out};
  sources.insert(sources.end(), options.parts.begin(), options.parts.end());
  Shards shards;
  for (const fs::path& source : sources) {
    for (auto& [name, shard] : WorkFolder(source).finished()) {
      if (shards.contains(name)) continue;
      if (!is_intact(shard)) throw sinq::Error(sinq::Errc::kBadFile, shard.file.string() + ": is damaged or gone");
      shards.emplace(name, std::move(shard));
    }
  }
  if (shards.empty()) {
    throw sinq::Error(sinq::Errc::kIo, options.out.string() + ": there are no parts: they come from runs with --shard");
  }
  const llm::Json identity = shards.begin()->second.state["identity"];
  for (const auto& [name, shard] : shards) {
    const std::string what = llm::difference(identity, shard.state["identity"]);
    if (!what.empty()) {
      throw Conflict(shard.file.string() + ": is of another conversion than " + shards.begin()->first + ": " + what);
    }
  }
  const auto count = identity["shards"].get<std::size_t>();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = sinq::io::shard_name(i, count);
    if (!shards.contains(name)) throw sinq::Error(sinq::Errc::kIo, name + ": is in none of the parts");
  }
  const std::string what =
      llm::difference(identity["input"], llm::model_identity(sinq::io::Checkpoint::open(options.model)));
  if (!what.empty()) throw Conflict(options.model.string() + ": is not the model of the parts: " + what);
  std::set<std::string> written;
  for (const auto& [name, shard] : shards) {
    written.insert(name);
    if (!options.report.empty() && shard.state["layers"].is_null()) refuse_unmeasured(name);
  }
  written = names_of(written, small_files(options.model, identity["settings"], ""));
  const common::OutputFile report = report_file(options.report, options.existing, inputs, identity, work, written);
  take_over(work, identity, options.existing, written);

  work.create();
  for (auto& [name, shard] : shards) {
    if (shard.file == work.shard_path(name) || shard.file == options.out / name) continue;
    copy_atomically(shard.file, work.shard_path(name));
    work.finish(name, identity, shard.state["layers"]);
  }
  shards = work.finished();
  const SmallFiles small = small_files(options.model, identity["settings"], index_of(shards));
  write_report(report, shards);
  publish(work, shards, small);
  std::uint64_t bytes = small.bytes();
  for (const auto& [name, shard] : shards) bytes += shard.state["bytes"].get<std::uint64_t>();
  out << options.out.string() << ": " << bytes << " bytes in "
      << shards.size() + small.texts.size() + small.copies.size() << " files\n";
}

}  // namespace convert
