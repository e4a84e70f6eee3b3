#pragma once

#include "npy.hpp"
#include "rounding.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace sinq::test {

/// Whether a golden case quantizes a matrix or runs the Sinkhorn normalizer alone.
enum class CaseKind { kQuantize, kSinkhorn };

/// One folder of golden/FORMAT.md. Methods are strings there; here they are taken apart once.
struct GoldenCase {
  std::filesystem::path dir;
  std::string id;
  CaseKind kind = CaseKind::kQuantize;
  std::string method;
  Rounding rounding = Rounding::kUniform;            ///< of the method requested
  Rounding effective_rounding = Rounding::kUniform;  ///< what ran: uniform if the gate fired
  bool sinkhorn = false;                             ///< "sinq" requested: the gate is asked
  bool gated = false;                                ///< the gate fired: plain uniform rounding ran
  bool awq = false;
  bool quant_aux = false;
  bool square = false;     ///< "2D" tiles
  bool half_meta = false;  ///< input and aux values rounded to float16
  int bits = 0;
  int iterations = 16;            ///< of Sinkhorn
  std::ptrdiff_t group_size = 0;  ///< requested
  std::ptrdiff_t tile = 0;        ///< used
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t cols = 0;
  std::ptrdiff_t tiles = 1;
  std::optional<float> kurtosis_threshold;  ///< empty: gate switched off
  float kurtosis = 0.0F;
  double relative_frobenius = 0.0;         ///< NaN for an all-zero matrix
  std::vector<int> fragile_tiles;          ///< one ulp decides which iterate is best there
  std::ptrdiff_t codes_near_boundary = 0;  ///< elements within 1e-4 of a decision boundary
  bool ties = false;                       ///< elements lie exactly on boundaries: no code may differ
  nlohmann::json json;

  [[nodiscard]] bool has(const std::string& name) const { return std::filesystem::exists(dir / (name + ".npy")); }
  [[nodiscard]] std::vector<float> floats(const std::string& name) const {
    return read_npy<float>(dir / (name + ".npy")).values;
  }
  [[nodiscard]] std::vector<std::uint8_t> bytes(const std::string& name) const {
    return read_npy<std::uint8_t>(dir / (name + ".npy")).values;
  }
  [[nodiscard]] std::vector<std::int32_t> ints(const std::string& name) const {
    return read_npy<std::int32_t>(dir / (name + ".npy")).values;
  }

  [[nodiscard]] std::ptrdiff_t groups() const { return cols / tile; }
  /// Position in s1, zero, mu2, ... of the group of row r: [rows, groups], or [tiles, tile, 1] for squares.
  [[nodiscard]] std::size_t group_index(std::ptrdiff_t r, std::ptrdiff_t g) const {
    return static_cast<std::size_t>(square ? ((r / tile) * groups() + g) * tile + r % tile : r * groups() + g);
  }
  /// Position in s2 and mu1: [cols], or [tiles, 1, tile], which is [rows / tile, cols].
  [[nodiscard]] std::size_t col_index(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return static_cast<std::size_t>(square ? (r / tile) * cols + c : c);
  }
  /// Tile number of (row r, group g), as in sink_best_k.
  [[nodiscard]] std::size_t tile_index(std::ptrdiff_t r, std::ptrdiff_t g) const {
    return static_cast<std::size_t>(square ? (r / tile) * groups() + g : g);
  }
  [[nodiscard]] bool fragile(std::size_t t) const {
    return std::find(fragile_tiles.begin(), fragile_tiles.end(), static_cast<int>(t)) != fragile_tiles.end();
  }
};

namespace detail {

/// A JSON number; numbers that are not finite are strings ("inf", "nan"), and null counts as NaN.
inline double number(const nlohmann::json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return std::stod(value.get<std::string>());
  return std::numeric_limits<double>::quiet_NaN();
}

inline bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

inline void load_quantize(GoldenCase& c) {
  const nlohmann::json& j = c.json;
  c.method = j.at("method").get<std::string>();
  c.sinkhorn = contains(c.method, "sinq");
  c.awq = contains(c.method, "awq");
  c.quant_aux = j.value("quant_aux", false);
  c.gated = j.at("gate_branch") == "rtn";
  c.rounding = contains(c.method, "nf4")   ? Rounding::kNf4
               : contains(c.method, "nf3") ? Rounding::kNf3
               : contains(c.method, "hqq") ? Rounding::kHqq
               : contains(c.method, "noz") ? Rounding::kNoz
                                           : Rounding::kUniform;
  c.effective_rounding = c.gated ? Rounding::kUniform : c.rounding;
  c.square = j.at("tiling_mode") == "2D";
  c.half_meta = j.at("meta_dtype") == "float16";
  c.bits = j.at("nbits").get<int>();
  c.group_size = j.at("group_size").get<std::ptrdiff_t>();
  c.tile = j.at("tile").get<std::ptrdiff_t>();
  c.tiles = j.at("n_tiles").get<std::ptrdiff_t>();
  if (!j.at("kurtosis_threshold").is_null()) c.kurtosis_threshold = static_cast<float>(number(j["kurtosis_threshold"]));
  const nlohmann::json& metrics = j.at("metrics");
  c.relative_frobenius = number(metrics.contains("rel_fro_error_deq_uniform") ? metrics["rel_fro_error_deq_uniform"]
                                                                              : metrics.at("rel_fro_error"));
  const nlohmann::json& near = metrics.at("near_rounding_boundary");
  c.codes_near_boundary = near.at("<1e-4").get<std::ptrdiff_t>();
  // Chance puts about 2e-5 of the elements within 1e-5 of a boundary; more than 1% is a case made of ties.
  c.ties = near.value("<1e-5", std::ptrdiff_t{0}) * 100 > c.rows * c.cols;
  if (metrics.contains("sinkhorn") && metrics["sinkhorn"].contains("fragile_tiles_margin_lt_1e-5")) {
    c.fragile_tiles = metrics["sinkhorn"]["fragile_tiles_margin_lt_1e-5"].get<std::vector<int>>();
  }
}

}  // namespace detail

/// Whether `dir` holds a case.
inline bool is_case(const std::filesystem::path& dir) { return std::filesystem::is_regular_file(dir / "case.json"); }

/// Reads case.json; arrays are read when asked for. Throws std::runtime_error with path and reason.
inline GoldenCase load_case(const std::filesystem::path& dir) {
  GoldenCase c;
  c.dir = dir;
  try {
    c.json = nlohmann::json::parse(read_bytes(dir / "case.json"));
    const nlohmann::json& j = c.json;
    c.id = j.at("id").get<std::string>();
    const auto kind = j.at("kind").get<std::string>();
    if (kind != "sinkhorn" && kind != "quantize") {
      throw std::runtime_error((dir / "case.json").string() + ": kind \"" + kind +
                               "\" is neither quantize nor sinkhorn");
    }
    c.kind = kind == "sinkhorn" ? CaseKind::kSinkhorn : CaseKind::kQuantize;
    c.rows = j.at("shape").at(0).get<std::ptrdiff_t>();
    c.cols = j.at("shape").at(1).get<std::ptrdiff_t>();
    c.kurtosis = static_cast<float>(detail::number(j.at("kurtosis")));
    if (c.kind == CaseKind::kQuantize) {
      detail::load_quantize(c);
    } else {
      c.iterations = j.at("order").get<int>();
      c.tile = c.cols;
      // A decision that rests on less than 1e-5, as FORMAT.md defines a fragile tile.
      if (detail::number(j.at("metrics").at("min_decision_margin")) < 1e-5) c.fragile_tiles = {0};
    }
  } catch (const nlohmann::json::exception& e) {
    throw std::runtime_error((dir / "case.json").string() + ": " + e.what());
  }
  return c;
}

/// The case folders that `dir` names: itself, or its sub-folders, sorted. Throws std::runtime_error if there are none.
inline std::vector<std::filesystem::path> case_folders(const std::filesystem::path& dir) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(dir)) throw std::runtime_error(dir.string() + ": no such folder");
  if (is_case(dir)) return {dir};
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.is_directory() && is_case(entry.path())) found.push_back(entry.path());
  }
  if (found.empty()) throw std::runtime_error(dir.string() + ": holds neither case.json nor folders with a case.json");
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace sinq::test
