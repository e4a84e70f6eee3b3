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

/// Lines in one frame.
struct Panel {
  std::string title;
  std::vector<Series> series;
};

/// Line charts side by side, with the same axes: linear x, logarithmic y.
struct Chart {
  std::string x_label, y_label;
  std::vector<Panel> panels;
};

/// `chart` as an SVG document. A series has its colour in all panels by its name. Points whose y is not positive have
/// no place on the axis and are left out.
[[nodiscard]] std::string to_svg(const Chart& chart);

}  // namespace llm
