// Distortion of the lane trellis on a Gaussian source, and the tables that learning starts from.
//
//   trellis_gaussian                       the table of every rate, from the library's own tables
//   trellis_gaussian --learn RATE SEED     tables learned from a random start, as in quantizers/trellis_start.hpp
#include <sinq/quantizers/trellis_least_squares.hpp>
#include <sinq/quantizers/trellis_search.hpp>
#include <sinq/quantizers/trellis_start.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>

namespace {

using sinq::Index;
using sinq::TrellisTables;
using sinq::detail::TrellisLeastSquares;
using sinq::detail::TrellisMemory;
using sinq::detail::TrellisSearch;

constexpr Index kSteps = 256, kLanes = 64;  // 128 columns of a panel

struct Outcome {
  double distortion = 0.0;
  double seconds = 0.0;
};

/// Codes `panels` panels of a source of variance 1; `scale` is what a level is worth.
Outcome code(const TrellisTables& tables, int quarter_bits, double scale, int panels, std::mt19937_64& random,
             TrellisLeastSquares* fit) {
  const TrellisSearch search(tables, quarter_bits, sinq::Isa::kBest);
  TrellisMemory memory;
  std::vector<float> targets(kSteps * kLanes);
  const std::vector<float> weights(targets.size(), 1.0F);
  std::vector<std::uint16_t> windows(targets.size());
  std::normal_distribution<double> normal;
  Outcome out;
  for (int p = 0; p < panels; ++p) {
    for (float& x : targets) x = static_cast<float>(normal(random) / scale);
    const auto start = std::chrono::steady_clock::now();
    search.search_panel(kSteps, targets.data(), weights.data(), false, windows.data(), memory);
    out.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const double error = scale * (static_cast<double>(targets[i]) - tables.level(windows[i]));
      out.distortion += error * error;
      if (fit != nullptr) fit->add(windows[i], targets[i], 1.0F);
    }
  }
  out.distortion /= static_cast<double>(panels) * static_cast<double>(targets.size());
  return out;
}

/// What a level is worth where the levels that code a source of variance 1 are used alike.
double natural_scale(const TrellisTables& tables, int quarter_bits) {
  double square = 0.0;
  for (std::uint32_t w = 0; w < 4096; ++w) square += tables.level(w) * tables.level(w);
  return std::sqrt((1.0 - std::exp2(-0.5 * quarter_bits)) * 4096.0 / square);
}

void learn(int quarter_bits, unsigned seed) {
  std::mt19937_64 random(seed);
  TrellisTables tables;
  for (auto* table : {&tables.a, &tables.b, &tables.c}) {
    // Sixteen quantiles of a Gaussian in random order, the outermost at a third of 125.
    constexpr std::int8_t kQuantiles[] = {-42, -30, -23, -17, -13, -9, -5, -2, 2, 5, 9, 13, 17, 23, 30, 42};
    std::copy(std::begin(kQuantiles), std::end(kQuantiles), table->begin());
    std::shuffle(table->begin(), table->end(), random);
  }
  double scale = natural_scale(tables, quarter_bits);
  for (const int panels : {2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 16, 16, 16}) {
    TrellisLeastSquares fit;
    code(tables, quarter_bits, scale, panels, random, &fit);
    scale *= static_cast<double>(fit.solve(tables));
  }
  std::mt19937_64 fresh(1);
  const Outcome outcome = code(tables, quarter_bits, scale, 16, fresh, nullptr);
  std::printf("%d %u %.6f %.6f", quarter_bits, seed, outcome.distortion, scale);
  for (const std::int8_t level : tables.bytes()) std::printf(" %d", level);
  std::printf("\n");
}

void print_table() {
  std::printf("rate  distortion  bits above 4^-rate  M weights/s\n");
  for (int q = sinq::TrellisGeometry::kMinQuarterBits; q <= sinq::TrellisGeometry::kMaxQuarterBits; ++q) {
    const auto& [level, tables] = sinq::detail::trellis_start(q);
    std::mt19937_64 random(1);
    constexpr int kPanels = 8;
    const Outcome outcome = code(tables, q, static_cast<double>(level), kPanels, random, nullptr);
    std::printf("%.2f  %.5f  %.3f  %.2f\n", 0.25 * q, outcome.distortion,
                0.5 * std::log2(outcome.distortion * std::exp2(0.5 * q)),
                kPanels * static_cast<double>(kSteps * kLanes) / outcome.seconds * 1e-6);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--learn") {
    learn(static_cast<int>(std::atof(argv[2]) * 4.0), static_cast<unsigned>(std::atoi(argv[3])));
    return 0;
  }
  if (argc != 1) {
    std::fprintf(stderr, "usage: trellis_gaussian [--learn RATE SEED]\n");
    return 2;
  }
  print_table();
  return 0;
}
