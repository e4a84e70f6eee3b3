#pragma once

#include <sinq/io/gguf_writer.hpp>

#include "gguf/convert_options.hpp"
#include "gguf/mixture.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gguf {

/// A model on its way into a GGUF file, or several. Everything is checked, and their sizes known, before any weight is
/// read, but for mixtures of types, which are chosen by what types make of the weights.
class Conversion {
 public:
  /// Throws as `open_content` and `choose_mixture`, and kIo, kBadFile, kBadData for what importance is taken from.
  explicit Conversion(ConvertOptions options);
  ~Conversion();
  Conversion(Conversion&&) noexcept;
  Conversion& operator=(Conversion&&) = delete;

  /// One for each file.
  [[nodiscard]] const std::vector<sinq::io::GgufPlan>& plans() const noexcept;
  /// The types that were chosen, or null.
  [[nodiscard]] const Mixture* mixture() const noexcept;
  /// What a user should know, a sentence each.
  [[nodiscard]] std::vector<std::string> notes() const;
  /// All that is read.
  [[nodiscard]] std::vector<std::filesystem::path> inputs() const;
  /// The files that `write` makes of `target`: itself, or "stem-00001-of-00003.gguf" ... of "stem.gguf".
  [[nodiscard]] std::vector<std::filesystem::path> outputs(const std::filesystem::path& target) const;

  /// Called after each tensor.
  using Step = std::function<void()>;
  /// Writes the files, whole or not at all, a few rows at a time; they get their names when all are whole, the first
  /// one, which stands for all, at last. Once. Throws kIo, and kBadData, naming tensor, row and column, for numbers of
  /// any tensor that are not finite or that its type cannot hold.
  void write(const std::filesystem::path& target, const Step& step = {});

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace gguf
