#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/error.hpp>
#include <sinq/io/atomic_file.hpp>
#include <sinq/io/checkpoint_plan.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// Writes one safetensors file in any order: each part of a tensor goes straight to its place, so nothing is held in
/// memory. The file has its name only after `commit` (see AtomicFile).
class ShardWriter {
 public:
  /// `content` must outlive the writer. Throws Errc::kIo.
  ShardWriter(const std::filesystem::path& target, const SafetensorsPlan& content)
      : name_(target.string()), file_(target), content_(content), missing_(content.tensors.size()) {
    for (std::size_t i = 0; i < missing_.size(); ++i) {
      const TensorInfo& tensor = content.tensors[i];
      missing_[i] = tensor.end - tensor.begin;
      by_name_.emplace(tensor.name, i);
    }
    file_.write(std::as_bytes(std::span(content.header)));
  }

  /// Writes bytes of a tensor, from its byte `offset` on. Every byte is to be written once. Safe to call from several
  /// threads. Throws Errc::kBadConfig for a tensor that is not planned, Errc::kBadShape for bytes outside of it or too
  /// many, Errc::kIo.
  void write(std::string_view tensor, std::uint64_t offset, std::span<const std::byte> bytes) {
    const auto at = by_name_.find(tensor);
    if (at == by_name_.end()) {
      SINQ_THROW(Errc::kBadConfig,
                 sinq::detail::text(name_, ": tensor ", detail::name_text(tensor), " is not planned"));
    }
    const TensorInfo& info = content_.tensors[at->second];
    const std::uint64_t size = info.end - info.begin;
    if (offset > size || bytes.size() > size - offset) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text(name_, ": tensor ", detail::name_text(tensor), ": ", bytes.size(),
                                                     " bytes from byte ", offset, " on are more than its ", size));
    }
    file_.write_at(info.begin + offset, bytes);
    if (missing_[at->second].fetch_sub(bytes.size()) < bytes.size()) {
      SINQ_THROW(Errc::kBadShape,
                 sinq::detail::text(name_, ": tensor ", detail::name_text(tensor), ": bytes were written twice"));
    }
  }

  /// Makes the file durable and gives it its name. Throws Errc::kBadShape if bytes of a tensor are missing, Errc::kIo.
  void commit() {
    for (std::size_t i = 0; i < missing_.size(); ++i) {
      if (missing_[i] != 0) {
        SINQ_THROW(Errc::kBadShape, sinq::detail::text(name_, ": tensor ", detail::name_text(content_.tensors[i].name),
                                                       ": ", missing_[i].load(), " bytes are missing"));
      }
    }
    file_.commit();
  }

 private:
  std::string name_;
  AtomicFile file_;
  const SafetensorsPlan& content_;
  sinq::detail::Map<std::string_view, std::size_t> by_name_;
  std::vector<std::atomic<std::uint64_t>> missing_;  ///< bytes of each tensor
};

/// Writes a whole checkpoint in any order. A shard is open from its first byte to its last, then it gets its name;
/// tensors in the order of the plan keep one open at a time.
class CheckpointWriter {
 public:
  /// `plan` must outlive the writer; `folder` exists.
  CheckpointWriter(std::filesystem::path folder, const CheckpointPlan& plan)
      : folder_(std::move(folder)), plan_(plan), shards_(plan.shards.size()) {
    for (std::size_t i = 0; i < plan.shards.size(); ++i) {
      for (const auto& tensor : plan.shards[i].content.tensors) {
        by_name_.emplace(tensor.name, i);
        shards_[i].missing += tensor.end - tensor.begin;
      }
    }
  }

  /// As ShardWriter::write.
  void write(std::string_view tensor, std::uint64_t offset, std::span<const std::byte> bytes) {
    const auto at = by_name_.find(tensor);
    if (at == by_name_.end()) {
      SINQ_THROW(Errc::kBadConfig,
                 sinq::detail::text(folder_.string(), ": tensor ", detail::name_text(tensor), " is not planned"));
    }
    if (bytes.empty()) return;  // nothing of a shard that may be done
    Shard& shard = shards_[at->second];
    open(at->second)->write(tensor, offset, bytes);
    if (shard.missing.fetch_sub(bytes.size()) == bytes.size()) close(at->second);
  }
  /// All bytes of a tensor.
  void write(std::string_view tensor, std::span<const std::byte> bytes) { write(tensor, 0, bytes); }

  /// After the last tensor: the index, and shards that have no bytes to wait for. The checkpoint is then whole.
  /// Throws Errc::kBadShape if bytes are missing, Errc::kIo.
  void finish() {
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (shards_[i].state != State::kDone) close(i);
    }
    const std::string index = plan_.index();
    if (index.empty()) return;
    AtomicFile file(folder_ / kIndexFile);
    file.write(std::as_bytes(std::span(index)));
    file.commit();
  }

 private:
  enum class State : std::uint8_t { kUntouched, kOpen, kDone };
  struct Shard {
    std::atomic<std::uint64_t> missing{0};
    std::shared_ptr<ShardWriter> writer;
    State state = State::kUntouched;
  };

  std::shared_ptr<ShardWriter> open(std::size_t i) {
    const std::lock_guard<std::mutex> guard(lock_);
    Shard& shard = shards_[i];
    if (shard.state == State::kDone) {
      SINQ_THROW(Errc::kBadShape,
                 sinq::detail::text((folder_ / plan_.shards[i].file).string(), ": bytes were written twice"));
    }
    if (!shard.writer) {
      shard.writer = std::make_shared<ShardWriter>(folder_ / plan_.shards[i].file, plan_.shards[i].content);
      shard.state = State::kOpen;
    }
    return shard.writer;
  }

  void close(std::size_t i) {
    open(i)->commit();
    const std::lock_guard<std::mutex> guard(lock_);
    shards_[i].writer.reset();
    shards_[i].state = State::kDone;
  }

  std::filesystem::path folder_;
  const CheckpointPlan& plan_;
  sinq::detail::Map<std::string_view, std::size_t> by_name_;  ///< the shard of each tensor
  std::vector<Shard> shards_;
  std::mutex lock_;  ///< opening and closing of shards
};

}  // namespace sinq::inline SINQ_ABI::io
