#pragma once

#include <sinq/calibration/activation_stats.hpp>
#include <sinq/fold/factors.hpp>
#include <sinq/matrix_view.hpp>

#include <vector>

namespace gguf {

/// What an error in each column weighs [cols], guessed from the matrix alone: training makes columns small whose inputs
/// are large, and Sinkhorn finds how small they are beside what their rows ask for.
[[nodiscard]] std::vector<float> sinkhorn_importance(const sinq::MatrixView& matrix);

/// The mean squares of the layer's inputs [cols], over the power of two of the greatest: the units of activations leave
/// float's range more easily than their ratios.
[[nodiscard]] std::vector<float> activation_importance(const sinq::ActivationStats& stats);

/// The same importance for a matrix whose columns were multiplied by factors: their inputs were divided by them.
/// `factors` may be null.
void follow_fold(const sinq::fold::Factors* factors, std::vector<float>& importance);

}  // namespace gguf
