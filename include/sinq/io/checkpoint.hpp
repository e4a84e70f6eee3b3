#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/error.hpp>
#include <sinq/io/float8_scales.hpp>
#include <sinq/io/json_events.hpp>
#include <sinq/io/mapped_file.hpp>
#include <sinq/io/output_path.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/io/tensor_files.hpp>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

namespace detail {

/// Reads {"weight_map": {tensor: file}, ...} and skips whatever else an index holds.
class IndexEvents final : public JsonEvents {
 public:
  using JsonEvents::JsonEvents;

  sinq::detail::Map<std::string, std::string> weight_map;
  bool has_weight_map = false;

  bool null() override { return skip("null"); }
  bool boolean(bool) override { return skip("a boolean"); }
  bool number_integer(number_integer_t) override { return skip("a number"); }
  bool number_unsigned(number_unsigned_t) override { return skip("a number"); }
  bool number_float(number_float_t, const string_t&) override { return skip("a number"); }
  bool start_array(std::size_t) override { return skip("an array") && enter(); }
  bool end_array() override { return leave(); }

  bool start_object(std::size_t) override {
    if (depth_ == 1 && key_ == "weight_map") {
      if (std::exchange(has_weight_map, true)) refuse("'weight_map' stands twice");
      in_map_ = true;
    } else if (depth_ != 0) {
      skip("an object");
    }
    return enter();
  }
  bool end_object() override {
    if (depth_ == 2) in_map_ = false;
    return leave();
  }
  bool key(string_t& key) override {
    if (depth_ == 1 || in_map_) key_ = std::move(key);
    return true;
  }
  bool string(string_t& file) override {
    if (!in_map_) return skip("a string");
    // The index is not trusted: a shard is a file of this folder.
    const bool plain = !file.empty() && file != "." && file != ".." &&
                       file.find_first_of(std::string_view("/\\:\0", 4)) == std::string::npos;
    if (!plain)
      refuse("tensor ", name_text(key_), " is said to be in ", name_text(file), ", which is no plain file name");
    if (!weight_map.emplace(key_, std::move(file)).second) refuse("tensor ", name_text(key_), " stands twice");
    return true;
  }

 private:
  static constexpr int kMaxDepth = 64;

  bool skip(std::string_view event) const {
    if (depth_ == 0) refuse("unexpected ", event, " instead of an object");
    if (in_map_ || (depth_ == 1 && key_ == "weight_map")) refuse("unexpected ", event, " in 'weight_map'");
    return true;
  }
  bool enter() {
    if (++depth_ > kMaxDepth) refuse("more than ", kMaxDepth, " levels");
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  bool in_map_ = false;
  std::string key_;
};

/// What a file is, as far as its first bytes tell.
[[nodiscard]] inline std::string_view file_kind(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return "not a folder";
  const MappedFile file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("GGUF")) return "is a GGUF file";
  return text.size() > 8 && text[8] == '{' ? "is a safetensors file" : "not a folder";
}

/// The names of the files of a folder that hold weights, in this or another form: the first ones, sorted.
[[nodiscard]] inline std::string weight_files(const std::filesystem::path& folder) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> names;
  for (const auto& path : entries_of(folder)) {
    const std::string extension = path.extension().string();
    for (const char* known : {".safetensors", ".gguf", ".bin", ".pt", ".pth"}) {
      if (extension == known) names.push_back(path.filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) out += (i == 0 ? "" : ", ") + name_text(names[i]);
  if (names.size() > kMost) out += sinq::detail::text(" and ", names.size() - kMost, " more");
  return out;
}

}  // namespace detail

/// Throws Errc::kIo, saying what is there instead, if `folder` is none with model.safetensors or its index.
inline void require_model_folder(const std::filesystem::path& folder) {
  const auto refuse = [&](const auto&... parts) {
    SINQ_THROW(Errc::kIo, sinq::detail::text(folder.string(), ": ", parts...));
  };
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) refuse("no such folder");
  if (!std::filesystem::is_directory(folder, error)) {
    refuse(detail::file_kind(folder), ", a Hugging Face folder is meant");
  }
  if (std::filesystem::exists(folder / kIndexFile, error) || std::filesystem::exists(folder / kSingleFile, error)) {
    return;
  }
  const std::string found = detail::weight_files(folder);
  refuse("neither ", kSingleFile, " nor ", kIndexFile, found.empty() ? "" : "; it holds ", found);
}

/// A tensor and the file that it lies in.
struct CheckpointTensor {
  const SafetensorsFile& file;
  const TensorInfo& info;
  const detail::Float8Matrix* float8 = nullptr;  ///< of a matrix of 8-bit floats: with its scales

  [[nodiscard]] std::span<const std::byte> bytes() const { return file.bytes(info); }
  /// See SafetensorsFile::matrix_view; 8-bit floats are multiplied with their scales when they are read.
  [[nodiscard]] MatrixView matrix_view() const { return float8 == nullptr ? file.matrix_view(info) : float8->view(); }
  /// Scales included.
  [[nodiscard]] std::uint64_t stored_bytes() const noexcept {
    return info.end - info.begin + (float8 == nullptr ? 0 : float8->scale_bytes());
  }
  /// See MappedFile::release.
  void release() const noexcept {
    file.release(info);
    if (float8 != nullptr) float8->release();
  }
};

/// The weights of a Hugging Face folder: one safetensors file, or several with an index that says which tensor is
/// where. Everything is checked when it is opened. Move-only; what it hands out dies with it. Reading from several
/// threads is safe.
///
/// A matrix of 8-bit floats is read with its scales, in whichever file they are; these, and those of its activations,
/// are no tensors of their own.
///
/// Its tensors come shard by shard, by file name, in each in the order of their bytes; its name is the folder's.
class Checkpoint : public detail::TensorFiles<SafetensorsFile, CheckpointTensor> {
 public:
  using Tensor = CheckpointTensor;

  /// Opens model.safetensors.index.json with its shards, else model.safetensors. A tensor that the index does not name
  /// is not part of the checkpoint. Throws Errc::kIo for a missing folder, file or shard, and Errc::kBadFile;
  /// Errc::kUnsupported for 8-bit floats with scales that are not known.
  [[nodiscard]] static Checkpoint open(const std::filesystem::path& folder) {
    require_model_folder(folder);
    std::error_code error;
    Checkpoint out;
    const auto index = folder / kIndexFile;
    if (std::filesystem::exists(index, error)) {
      out.open_shards(index, folder);
    } else {
      out.take_file(SafetensorsFile::open(folder / kSingleFile));
    }
    out.name_ = folder.string();
    out.sort_names();
    out.join_scales(folder / "config.json");
    return out;
  }

  /// A checkpoint that is one file, wherever that is. Throws as `open` does for 8-bit floats.
  [[nodiscard]] static Checkpoint of_file(SafetensorsFile file) {
    Checkpoint out;
    out.name_ = file.name();
    out.take_file(std::move(file));
    out.sort_names();
    out.join_scales({});
    return out;
  }

  /// The names of the quantized tensors of all files, sorted. Throws as `SafetensorsFile::quantized_names`.
  [[nodiscard]] std::vector<std::string> quantized_names() const {
    std::set<std::string> names;
    for (const auto& file : files_) {
      for (auto& tensor : file.quantized_names()) names.insert(std::move(tensor));
    }
    return {names.begin(), names.end()};
  }

  /// A quantized tensor, where it lies. Throws as `SafetensorsFile::quantized`, and Errc::kBadFile if its parts are not
  /// all in one file.
  [[nodiscard]] QuantizedView quantized(std::string_view tensor) const& {
    const SafetensorsFile& file = at(detail::region_name(tensor, Region::kCodes)).file;
    const QuantizedView view = file.quantized(tensor);
    for (const auto& part : quantized_tensor_infos(tensor, view.layout())) {
      if (const SafetensorsFile& other = at(part.name).file; &other != &file) {
        SINQ_THROW(Errc::kBadFile, sinq::detail::text(name_, ": tensor ", detail::name_text(part.name), " is in ",
                                                      other.name(), ", not in ", file.name(), " with the codes"));
      }
    }
    if (find(tensor) != nullptr) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(name_, ": tensor ", detail::name_text(tensor),
                                                    " is there as it was and quantized"));
    }
    return view;
  }
  QuantizedView quantized(std::string_view tensor) && = delete;

 private:
  Checkpoint() = default;

  void take_file(SafetensorsFile file) {
    files_.push_back(std::move(file));
    for (const auto& info : files_[0].tensors()) tensors_.push_back({files_[0], info, nullptr});
  }

  void sort_names() {
    for (const auto& tensor : tensors_) by_name_.emplace(tensor.info.name, &tensor);
  }

  /// Gives matrices of 8-bit floats their scales, and takes these out of the list.
  void join_scales(const std::filesystem::path& config) {
    const auto is_joined = [](const Tensor& tensor) {
      return is_float8(tensor.info.dtype) && tensor.info.shape.size() == 2 && tensor.info.begin < tensor.info.end;
    };
    const auto count = std::count_if(tensors_.begin(), tensors_.end(), is_joined);
    if (count == 0) return;
    const Float8Block block = detail::float8_block(config);
    float8_.reserve(static_cast<std::size_t>(count));  // tensors point there
    std::map<const TensorInfo*, const detail::Float8Matrix*> joined;
    std::set<const TensorInfo*> taken;
    for (const Tensor& tensor : tensors_) {
      if (!is_joined(tensor)) continue;
      const auto [scale, activations] = detail::float8_companions(tensor.info.name, by_name_);
      float8_.emplace_back(tensor.file, tensor.info, scale == nullptr ? nullptr : &scale->file,
                           scale == nullptr ? nullptr : &scale->info, block);
      joined.emplace(&tensor.info, &float8_.back());
      if (scale != nullptr) taken.insert(&scale->info);
      for (const Tensor* activation : activations) taken.insert(&activation->info);
    }
    std::vector<Tensor> kept;
    for (const Tensor& tensor : tensors_) {
      if (taken.contains(&tensor.info)) continue;
      const auto matrix = joined.find(&tensor.info);
      kept.push_back({tensor.file, tensor.info, matrix == joined.end() ? nullptr : matrix->second});
    }
    tensors_ = std::move(kept);
    by_name_.clear();
    sort_names();
  }

  void open_shards(const std::filesystem::path& index, const std::filesystem::path& folder) {
    const std::string what = index.string();
    const MappedFile json = MappedFile::open(index);
    if (json.bytes().size() > kMaxHeaderBytes) {
      SINQ_THROW(Errc::kBadFile,
                 sinq::detail::text(what, ": ", json.bytes().size(), " bytes are more than ", kMaxHeaderBytes));
    }
    detail::IndexEvents events(what, 0);
    events.parse(json.bytes());
    if (!events.has_weight_map) SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": there is no 'weight_map'"));
    sinq::detail::Map<std::string, std::size_t> shards;
    for (const auto& [tensor, file] : events.weight_map) shards.emplace(file, 0);
    for (auto& [file, position] : shards) {
      position = files_.size();
      files_.push_back(SafetensorsFile::open(folder / file));
    }
    for (const auto& [tensor, file] : events.weight_map) {
      const SafetensorsFile& shard = files_[shards.find(file)->second];
      if (shard.find(tensor) == nullptr) {
        SINQ_THROW(Errc::kBadFile,
                   sinq::detail::text(what, ": tensor ", detail::name_text(tensor), " is said to be in ",
                                      detail::name_text(file), ", which does not hold it"));
      }
    }
    for (const auto& [file, position] : shards) {
      for (const auto& info : files_[position].tensors()) {
        const auto entry = events.weight_map.find(info.name);
        if (entry != events.weight_map.end() && entry->second == file)
          tensors_.push_back({files_[position], info, nullptr});
      }
    }
  }

  std::vector<detail::Float8Matrix> float8_;
};

/// See SafetensorsFile::matrix_view.
[[nodiscard]] inline MatrixView matrix_view(const Checkpoint::Tensor& tensor) { return tensor.matrix_view(); }

}  // namespace sinq::inline SINQ_ABI::io
