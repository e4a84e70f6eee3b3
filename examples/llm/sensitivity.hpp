#pragma once

#include "llm/default_sensitivity.hpp"
#include "llm/json_file.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace llm {

/// How much one matrix of a model matters.
struct MatrixSensitivity {
  std::string name;    ///< of the tensor
  double alpha = 0.0;  ///< nats per token that the model's output moves away (KL) for each relative squared error of 1
  double kl = 0.0;     ///< what was measured: of the model with this matrix alone quantized
  double error = 0.0;  ///< the relative squared error that did it; alpha is kl / error on the scale of the whole model
};

/// The matrices of a model, and what their sensitivities were measured with.
struct Sensitivities {
  Json model;     ///< {"name", "files": model_identity}
  Json measured;  ///< {"text", "seed", "blocks", "context", "recipe", "whole", "method", ...}
  std::vector<MatrixSensitivity> matrices;
};

/// {"format", "version", "model", "measured", "matrices"}.
[[nodiscard]] Json to_json(const Sensitivities& sensitivities);

/// Reads what `to_json` made. Throws kIo; kBadFile, naming field and matrix, for another format or version, a field
/// that is missing or of another type, a name that stands twice, and numbers that are not 0 or positive.
[[nodiscard]] Sensitivities read_sensitivities(const std::filesystem::path& file);

/// The same from a part of a file, "matrices". `where` stands in front of errors.
[[nodiscard]] std::vector<MatrixSensitivity> matrices_from_json(const Json& matrices, const std::string& where);
[[nodiscard]] Json to_json(const MatrixSensitivity& matrix);

/// alpha of each of `matrices`, by their names. Throws kBadFile, naming `file` and matrix, if one was not measured.
[[nodiscard]] std::vector<double> alphas_of(const Sensitivities& measured, std::span<const NamedMatrix> matrices,
                                            const std::filesystem::path& file);

}  // namespace llm
