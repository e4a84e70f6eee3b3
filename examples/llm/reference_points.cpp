#include "llm/reference_points.hpp"

#include <sinq/error.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <vector>

namespace llm {
namespace {

/// The cells of a table's line, without the blanks around them; none if it is no such line.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> out;
  if (line.empty() || line.front() != '|') return out;
  for (std::size_t begin = 1; begin < line.size();) {
    const std::size_t end = std::min(line.find('|', begin), line.size());
    const std::string cell = line.substr(begin, end - begin);
    const std::size_t first = cell.find_first_not_of(' ');
    out.push_back(first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
    begin = end + 1;
  }
  return out;
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

Series read_reference_points(const std::filesystem::path& file, const std::string& prefix) {
  std::ifstream stream(file);
  if (!stream) throw sinq::Error(sinq::Errc::kIo, file.string() + ": cannot be read");
  Series out{.name = prefix.substr(0, prefix.find(':')), .points = {}};
  std::optional<std::size_t> method, bpw, kl;
  for (std::string line; std::getline(stream, line);) {
    const std::vector<std::string> cells = cells_of(line);
    const auto column = [&](const char* name) -> std::optional<std::size_t> {
      const auto at = std::find(cells.begin(), cells.end(), name);
      if (at == cells.end()) return std::nullopt;
      return static_cast<std::size_t>(at - cells.begin());
    };
    if (column("method") && column("bpw") && column("kl")) {
      method = column("method");
      bpw = column("bpw");
      kl = column("kl");
    } else if (method && cells.size() > std::max({*method, *bpw, *kl}) && cells[*method].rfind(prefix, 0) == 0) {
      const std::optional<double> x = number(cells[*bpw]), y = number(cells[*kl]);
      if (x && y) out.points.push_back({*x, *y});
    }
  }
  if (!method) {
    throw sinq::Error(sinq::Errc::kBadFile, file.string() + ": no table with the columns method, bpw and kl");
  }
  if (out.points.empty()) throw sinq::Error(sinq::Errc::kBadFile, file.string() + ": no method begins with " + prefix);
  std::sort(out.points.begin(), out.points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  return out;
}

}  // namespace llm
