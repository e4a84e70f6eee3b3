#pragma once

#include <sinq/error.hpp>
#include <sinq/io/tensor_info.hpp>

#include "quantize/linear_layers.hpp"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace convert {

/// The tensors of a model that are not quantized, and why, in words. Those alike but for the numbers in their names
/// share a line.
class KeptTensors {
 public:
  void add(const sinq::io::TensorInfo& info, std::string reason) {
    ++count_;
    const auto [reason_at, is_new_reason] = reasons_.try_emplace(reason, Reason{info.name, 0, reasons_.size()});
    ++reason_at->second.count;
    std::string name;
    for (const std::string_view part : detail::split(info.name, '.')) {
      const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
      name += (name.empty() ? "" : ".") + std::string(is_number ? "*" : part);
    }
    const std::string what = sinq::io::detail::name_text(name) + " " + std::string(sinq::io::name(info.dtype)) + " " +
                             sinq::io::detail::shape_text(info.shape);
    const bool unreadable = info.shape.size() >= 2 && !sinq::io::is_float(info.dtype) && is_in_block(info.name);
    const auto [line, is_new] = line_of_.try_emplace(what + ": " + reason, lines_.size());
    if (is_new) lines_.push_back({what, std::move(reason), 0, unreadable});
    ++lines_[line->second].count;
  }

  /// All of them, a line each.
  [[nodiscard]] std::string text() const { return text_of(false); }
  /// Those inside of blocks whose elements are no floats: one might have expected them to be quantized.
  [[nodiscard]] std::string unreadable_text() const { return text_of(true); }

  /// What is wrong with a model if these are all its tensors. Throws Errc::kUnsupported.
  [[noreturn]] void refuse(const std::string& model) const {
    std::vector<std::string> parts(reasons_.size());
    for (const auto& [reason, of] : reasons_) {
      parts[of.order] =
          std::to_string(of.count) + ": " + reason + " (" + sinq::io::detail::name_text(of.first_name) + ")";
    }
    std::string text = model + ": nothing to quantize; of " + std::to_string(count_) + " tensors ";
    for (std::size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : ", ") + parts[i];
    throw sinq::Error(sinq::Errc::kUnsupported, text);
  }

 private:
  struct Line {
    std::string what, reason;
    std::size_t count;
    bool unreadable;
  };
  struct Reason {
    std::string first_name;
    std::size_t count, order;
  };

  [[nodiscard]] std::string text_of(bool unreadable_only) const {
    std::string out;
    for (const Line& line : lines_) {
      if (unreadable_only && !line.unreadable) continue;
      out += "  kept: " + line.what + (line.count > 1 ? ", " + std::to_string(line.count) + " tensors" : "") + ": " +
             line.reason + "\n";
    }
    return out;
  }

  std::vector<Line> lines_;
  std::map<std::string, std::size_t> line_of_;
  std::map<std::string, Reason> reasons_;
  std::size_t count_ = 0;
};

}  // namespace convert
