#include "quantize/convert_shards.hpp"

#include "llm/parallel_for.hpp"
#include "llm/progress.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

namespace convert {
namespace {

/// Memory that is shared by the tensors in work. Who needs more than there is waits until nobody else has any.
class Budget {
 public:
  explicit Budget(std::uint64_t bytes) : bytes_(bytes) {}

  /// A share, given back at the end of its life.
  class Share {
   public:
    Share(Budget& budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {
      std::unique_lock lock(budget.mutex_);
      budget.changed_.wait(lock, [&] { return budget.used_ == 0 || budget.used_ + bytes <= budget.bytes_; });
      budget.used_ += bytes;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      {
        const std::lock_guard lock(budget_.mutex_);
        budget_.used_ -= bytes_;
      }
      budget_.changed_.notify_all();
    }

   private:
    Budget& budget_;
    std::uint64_t bytes_;
  };

 private:
  std::uint64_t bytes_;
  std::uint64_t used_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// A shard in work: opened by its first tensor, finished by its last one.
class OpenShard {
 public:
  OpenShard(const sinq::io::ShardPlan& plan, const ConversionPlan& conversion, const WorkFolder& work)
      : plan_(plan), conversion_(conversion), work_(work), left_(plan.groups.size()) {}

  sinq::io::ShardWriter& writer() {
    const std::lock_guard lock(mutex_);
    if (!writer_) writer_ = std::make_unique<sinq::io::ShardWriter>(work_.shard_path(plan_.file), plan_.content);
    return *writer_;
  }

  void tensor_is_done(std::size_t task, llm::Json report, Errors errors) {
    {
      const std::lock_guard lock(mutex_);
      if (!report.is_null()) reports_.emplace(task, std::move(report));
      if (--left_ > 0) return;
    }
    writer_->commit();
    writer_.reset();
    llm::Json layers;
    if (errors == Errors::kMeasured) {
      layers = llm::Json::array();
      for (auto& [unused, layer] : reports_) layers.push_back(std::move(layer));
    }
    work_.finish(plan_.file, conversion_.identity, layers);
  }

 private:
  const sinq::io::ShardPlan& plan_;
  const ConversionPlan& conversion_;
  const WorkFolder& work_;
  std::size_t left_;
  std::map<std::size_t, llm::Json> reports_;
  std::unique_ptr<sinq::io::ShardWriter> writer_;
  std::mutex mutex_;
};

}  // namespace

void convert_shards(const ConversionPlan& plan, const std::vector<std::size_t>& shards, const WorkFolder& work,
                    Errors errors, int threads) {
  struct Item {
    std::size_t task;
    OpenShard* shard;
  };
  std::vector<std::unique_ptr<OpenShard>> open;
  std::vector<Item> items;
  std::uint64_t bytes = 0, most_memory = 1, largest = 0;
  for (const auto& task : plan.tasks) largest = std::max(largest, task.source_bytes());
  for (const std::size_t i : shards) {
    const auto& shard = plan.files.shards[i];
    open.push_back(std::make_unique<OpenShard>(shard, plan, work));
    for (const std::size_t task : shard.groups) {
      items.push_back({task, open.back().get()});
      bytes += plan.tasks[task].source_bytes();
      most_memory = std::max(most_memory, memory_of(plan.tasks[task]));
    }
  }
  const std::uint64_t memory = 2 * largest + (std::uint64_t{100} << 20);
  Budget budget(memory);

  // Where memory keeps tensors from being done at once, the threads left over work inside of each.
  const int all = llm::resolve_threads(threads);
  const int at_once = static_cast<int>(std::clamp<std::uint64_t>(memory / most_memory, 1, static_cast<unsigned>(all)));
  std::vector<std::unique_ptr<sinq::ThreadPool>> pools;
  for (int i = 0; i < at_once; ++i) pools.push_back(std::make_unique<sinq::ThreadPool>(all / at_once));

  llm::Progress progress("quantize", static_cast<std::ptrdiff_t>(bytes), {.unit = "MB", .per_step = 1e-6});
  llm::parallel_for(static_cast<Index>(items.size()), at_once, [&](int worker, Index i) {
    const Item& item = items[static_cast<std::size_t>(i)];
    const TensorTask& task = plan.tasks[item.task];
    llm::Json report;
    {
      const Budget::Share share(budget, memory_of(task));
      report = write_tensor(task, plan, *pools[static_cast<std::size_t>(worker)], errors, item.shard->writer());
    }
    item.shard->tensor_is_done(item.task, std::move(report), errors);
    progress.step(static_cast<std::ptrdiff_t>(task.source_bytes()));
  });
}

}  // namespace convert
