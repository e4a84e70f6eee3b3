#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace llm {

/// How progress is shown. One step is `per_step` of `unit`, e.g. 1e-6 of "M weights".
struct ProgressStyle {
  std::string unit{};
  double per_step = 1.0;
  std::chrono::milliseconds log_interval{10000};  ///< between two lines of a log
};

/// "45%, 1.8 of 4.0 GB, 0.6/s, 4 s left": what is known after `seconds`.
[[nodiscard]] inline std::string progress_text(double done, double total, double seconds, const ProgressStyle& style) {
  const auto number = [](const char* format, double value) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return std::string(text);
  };
  const char* digits = style.per_step == 1.0 ? "%.0f" : "%.1f";
  std::string out = number("%.0f", total > 0 ? 100.0 * done / total : 100.0) + "%, " +
                    number(digits, done * style.per_step) + " of " + number(digits, total * style.per_step);
  if (!style.unit.empty()) out += " " + style.unit;
  if (done <= 0 || seconds <= 0) return out;
  const double left = seconds / done * (total - done);
  out += ", " + number("%.1f", done * style.per_step / seconds) + "/s, ";
  if (left < 100) return out + number("%.0f", left) + " s left";
  return out + number("%.0f", left / 60) + " min left";
}

/// How far a long task is: a bar on standard error if that is a terminal, else a line every few seconds, as logs like
/// it. `step` may be called from any thread.
class Progress {
 public:
  Progress(std::string title, std::ptrdiff_t total, ProgressStyle style = {})
      : title_(std::move(title)),
        total_(static_cast<double>(total)),
        style_(std::move(style)),
        on_terminal_(is_terminal()) {
    if (on_terminal_) draw();
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (on_terminal_) std::fprintf(stderr, "\r\033[K");
  }

  void step(std::ptrdiff_t count = 1) {
    const std::lock_guard lock(mutex_);
    done_ += static_cast<double>(count);
    const Clock::time_point now = Clock::now();
    // A terminal shows every step of slow tasks, and no more of quick ones than an eye can follow.
    const auto interval = on_terminal_ ? std::chrono::milliseconds(50) : style_.log_interval;
    if (now - shown_ < interval && !(on_terminal_ && done_ >= total_)) return;
    shown_ = now;
    draw();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static bool is_terminal() noexcept {
#if defined(__unix__) || defined(__APPLE__)
    return isatty(fileno(stderr)) != 0;
#else
    return false;
#endif
  }

  void draw() const {
    constexpr int kWidth = 30;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const std::string text = progress_text(done_, total_, seconds, style_);
    if (!on_terminal_) {
      std::fprintf(stderr, "%s: %s\n", title_.c_str(), text.c_str());
      return;
    }
    const int filled = total_ > 0 ? std::clamp(static_cast<int>(done_ * kWidth / total_), 0, kWidth) : kWidth;
    const std::string bar = std::string(static_cast<std::size_t>(filled), '=') +
                            std::string(static_cast<std::size_t>(kWidth - filled), ' ');
    std::fprintf(stderr, "\r\033[K%s [%s] %s", title_.c_str(), bar.c_str(), text.c_str());
    std::fflush(stderr);
  }

  std::string title_;
  double total_;
  ProgressStyle style_;
  bool on_terminal_;
  double done_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  std::mutex mutex_;
};

}  // namespace llm
