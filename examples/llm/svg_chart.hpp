#pragma once

#include <string>
#include <vector>

namespace llm {

struct Point {
  double x = 0, y = 0;
};

/// Points joined by a line, under one name.
struct Series {
  std::string name;
  std::vector<Point> points;
};

/// A line chart: linear x, logarithmic y.
struct Chart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
};

/// `chart` as an SVG document. Points whose y is not positive have no place on the axis and are left out.
[[nodiscard]] std::string to_svg(const Chart& chart);

}  // namespace llm
