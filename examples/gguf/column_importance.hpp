#pragma once

#include <sinq/calibration/activation_stats.hpp>
#include <sinq/fold/factors.hpp>
#include <sinq/matrix_view.hpp>

#include <span>
#include <vector>

namespace gguf {

/// What an error in each column weighs [cols], guessed from rows `rows` of a matrix alone: training makes columns small
/// whose inputs are large, and Sinkhorn finds how small they are beside what their rows ask for.
[[nodiscard]] std::vector<float> sinkhorn_importance(const sinq::MatrixView& matrix, sinq::RowRange rows);

/// What errors in columns weigh, from their inputs' mean squares [cols], divided by a power of two so that float holds
/// them. Zeros are no knowledge, and neutral: such a column weighs as the others on average; if all are zero, the
/// result is empty, and all columns weigh alike.
[[nodiscard]] std::vector<float> importance_of(std::span<const double> mean_squares);

/// The same of what was measured on a layer's inputs.
[[nodiscard]] std::vector<float> activation_importance(const sinq::ActivationStats& stats);

/// The same importance for a matrix whose columns were multiplied by factors: their inputs were divided by them.
/// `factors` may be null.
void follow_fold(const sinq::fold::Factors* factors, std::vector<float>& importance);

}  // namespace gguf
