#include "llm/sensitivity.hpp"

#include <sinq/finite.hpp>
#include <sinq/io/tensor_info.hpp>

#include <map>
#include <set>

namespace llm {
namespace {

constexpr const char* kFormat = "sinq-sensitivity";
constexpr int kVersion = 1;

[[noreturn]] void refuse(const std::string& where, const std::string& what) {
  throw sinq::Error(sinq::Errc::kBadFile, where + ": " + what);
}

/// `object[key]` as a T, an error with `where` in front.
template <class T>
T field(const Json& object, const char* key, const std::string& where) {
  try {
    return required<T>(object, key);
  } catch (const sinq::Error& error) {
    refuse(where, error.what());
  }
}

}  // namespace

Json to_json(const MatrixSensitivity& matrix) {
  return {{"name", matrix.name}, {"alpha", matrix.alpha}, {"kl", matrix.kl}, {"error", matrix.error}};
}

Json to_json(const Sensitivities& sensitivities) {
  Json matrices = Json::array();
  for (const MatrixSensitivity& matrix : sensitivities.matrices) matrices.push_back(to_json(matrix));
  return {{"format", kFormat},
          {"version", kVersion},
          {"model", sensitivities.model},
          {"measured", sensitivities.measured},
          {"matrices", std::move(matrices)}};
}

std::vector<double> alphas_of(const Sensitivities& measured, std::span<const NamedMatrix> matrices,
                              const std::filesystem::path& file) {
  std::map<std::string, double> alphas;
  for (const MatrixSensitivity& known : measured.matrices) alphas.emplace(known.name, known.alpha);
  std::vector<double> out;
  for (const NamedMatrix& matrix : matrices) {
    const auto at = alphas.find(matrix.name);
    if (at == alphas.end()) {
      refuse(file.string(), "has no sensitivity of " + sinq::io::detail::name_text(matrix.name));
    }
    out.push_back(at->second);
  }
  return out;
}

std::vector<MatrixSensitivity> matrices_from_json(const Json& matrices, const std::string& where) {
  if (!matrices.is_array()) refuse(where, "matrices: is no list");
  std::vector<MatrixSensitivity> out;
  std::set<std::string> names;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const std::string place = where + ": matrices[" + std::to_string(i) + "]";
    MatrixSensitivity& matrix = out.emplace_back();
    matrix.name = field<std::string>(matrices[i], "name", place);
    const std::string named = where + ": " + sinq::io::detail::name_text(matrix.name);
    if (!names.insert(matrix.name).second) refuse(named, "stands twice");
    const auto number = [&](const char* key) {
      const auto value = field<double>(matrices[i], key, named);  // NaN is written as null: missing
      if (!sinq::is_finite(value) || value < 0.0) {
        refuse(named, std::string(key) + " " + std::to_string(value) + " is not 0 or positive");
      }
      return value;
    };
    matrix.alpha = number("alpha");
    matrix.kl = number("kl");
    matrix.error = number("error");
  }
  return out;
}

Sensitivities read_sensitivities(const std::filesystem::path& file) {
  const Json json = read_json(file);
  const std::string where = file.string();
  if (!json.is_object() || !json.contains("format") || json["format"] != kFormat) {
    refuse(where, std::string("is no file of sensitivities: format is not ") + kFormat);
  }
  if (const int version = field<int>(json, "version", where); version != kVersion) {
    refuse(where,
           "version " + std::to_string(version) + " is not known; this program reads " + std::to_string(kVersion));
  }
  Sensitivities out{
      .model = field<Json>(json, "model", where), .measured = field<Json>(json, "measured", where), .matrices = {}};
  static_cast<void>(field<std::string>(out.model, "name", where + ": model"));
  static_cast<void>(field<Json>(out.model, "files", where + ": model"));
  if (!has(json, "matrices")) refuse(where, "matrices: missing");
  out.matrices = matrices_from_json(json["matrices"], where);
  return out;
}

}  // namespace llm
