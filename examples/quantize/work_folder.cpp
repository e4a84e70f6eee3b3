#include "quantize/work_folder.hpp"

#include <sinq/io/atomic_file.hpp>
#include <sinq/io/mapped_file.hpp>
#include <sinq/io/tensor_info.hpp>

#include "common/checksum.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <system_error>

namespace convert {
namespace {

namespace fs = std::filesystem;
using sinq::io::AtomicFile;
using sinq::io::MappedFile;

[[noreturn]] void raise(const fs::path& path, const char* action, const std::error_code& error) {
  throw sinq::Error(sinq::Errc::kIo, path.string() + ": cannot " + action + ": " + error.message());
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) raise(path, "create", error);
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) raise(path, "remove", error);
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    out.push_back(it->path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// Whether there is a file at `path` with just this content.
bool holds(const fs::path& path, std::span<const std::byte> content) {
  std::error_code error;
  if (!fs::is_regular_file(path, error) || fs::file_size(path, error) != content.size() || error) return false;
  const MappedFile file = MappedFile::open(path);
  return std::ranges::equal(file.bytes(), content);
}

}  // namespace

void write_atomically(const fs::path& path, const std::string& content) {
  const auto bytes = std::as_bytes(std::span(content));
  if (holds(path, bytes)) return;
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void copy_atomically(const fs::path& from, const fs::path& to) {
  constexpr std::size_t kPart = std::size_t{8} << 20;
  const MappedFile source = MappedFile::open(from);
  const auto bytes = source.bytes();
  AtomicFile file(to);
  for (std::size_t at = 0; at < bytes.size(); at += kPart) {
    const std::size_t size = std::min(kPart, bytes.size() - at);
    file.write(bytes.subspan(at, size));
    source.release(at, at + size);
  }
  file.commit();
}

WorkFolder::WorkFolder(fs::path out) : out_(std::move(out)), folder_(out_ / ".sinq-quantize") {}

void WorkFolder::create() const { make_folder(folder_); }

void WorkFolder::finish(const std::string& shard, const llm::Json& identity, const llm::Json& layers) const {
  const MappedFile file = MappedFile::open(shard_path(shard));
  const llm::Json state{
      {"identity", identity}, {"bytes", file.bytes().size()}, {"xxh64", common::checksum(file)}, {"layers", layers}};
  write_atomically(folder_ / (shard + ".json"), state.dump(1) + "\n");
}

std::map<std::string, FinishedShard> WorkFolder::finished() const {
  std::map<std::string, FinishedShard> out;
  std::error_code error;
  for (const fs::path& path : files_in(folder_)) {
    if (path.extension() != ".json") continue;
    const std::string shard = path.stem().string();
    llm::Json state;
    try {
      state = llm::read_json(path);
    } catch (const sinq::Error&) {
      continue;  // damaged: its shard is done again
    }
    const bool whole = state.is_object() && state.contains("identity") && state.contains("bytes") &&
                       state.contains("xxh64") && state.contains("layers");
    if (!whole) continue;
    const bool is_here = fs::is_regular_file(shard_path(shard), error);
    out.emplace(shard, FinishedShard{is_here ? shard_path(shard) : out_ / shard, std::move(state)});
  }
  return out;
}

void WorkFolder::forget(const std::string& shard) const {
  remove_file(folder_ / (shard + ".json"));  // first: a shard without it is not finished
  remove_file(shard_path(shard));
}

std::vector<std::string> WorkFolder::model_files() const {
  std::vector<std::string> out;
  std::error_code error;
  for (const fs::path& path : files_in(out_)) {
    const std::string name = path.filename().string();
    if (name == "config.json" || sinq::io::is_checkpoint_file(name)) out.push_back(name);
  }
  return out;
}

void WorkFolder::publish(const std::string& shard, const FinishedShard& finished) const {
  if (finished.file == out_ / shard) return;
  const fs::path target = sinq::io::output_file(out_ / shard);
  std::error_code error;
  fs::rename(finished.file, target, error);
  if (error) raise(target, "rename to", error);
}

void WorkFolder::clean() const {
  for (const fs::path& path : files_in(folder_)) {
    if (path.extension() == ".partial") remove_file(path);
  }
}

bool is_intact(const FinishedShard& shard) {
  std::error_code error;
  if (!fs::is_regular_file(shard.file, error) || shard.state["bytes"] != fs::file_size(shard.file, error)) return false;
  return shard.state["xxh64"] == common::checksum(MappedFile::open(shard.file));
}

}  // namespace convert
