#pragma once

#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace llm {

/// A bar on standard error, if that is a terminal. `step` may be called from any thread.
class Progress {
 public:
  Progress(std::string title, long total) : title_(std::move(title)), total_(total), shown_(is_terminal()) { draw(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }

  void step() {
    if (!shown_) return;
    const std::lock_guard lock(mutex_);
    ++done_;
    draw();
  }

 private:
  static bool is_terminal() noexcept {
#if defined(__unix__) || defined(__APPLE__)
    return isatty(fileno(stderr)) != 0;
#else
    return false;
#endif
  }

  void draw() const {
    constexpr int kWidth = 40;
    if (!shown_) return;
    const int filled = total_ > 0 ? static_cast<int>(done_ * kWidth / total_) : kWidth;
    const std::string bar = std::string(static_cast<std::size_t>(filled), '=') +
                            std::string(static_cast<std::size_t>(kWidth - filled), ' ');
    std::fprintf(stderr, "\r\033[K%s [%s] %ld/%ld", title_.c_str(), bar.c_str(), done_, total_);
    std::fflush(stderr);
  }

  std::string title_;
  long total_;
  long done_ = 0;
  bool shown_;
  std::mutex mutex_;
};

}  // namespace llm
