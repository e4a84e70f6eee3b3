#include "llm/svg_chart.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace llm {
namespace {

constexpr double kHeight = 520, kTop = 50, kBottom = 60;
constexpr double kLeft = 80, kGap = 40,
                 kRight = 170;  // of the panels: before, between, and behind them, for the legend
constexpr double kOneWidth = 570, kWidthOfSeveral = 400;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// A straight map from values to pixels.
struct Axis {
  double low, high, begin, end;
  [[nodiscard]] double operator()(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

struct Extent {
  double low, high;
};

/// The range of values, widened by a twentieth at each end (and by a little if it is a single value).
Extent extent(const std::vector<double>& values) {
  if (values.empty()) return {0, 1};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double margin = std::max((*high - *low) / 20, 0.05);
  return {*low - margin, *high + margin};
}

std::string text_at(double x, double y, const char* anchor, const std::string& text, const std::string& more = "") {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" +
         escaped(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char* color) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
         "\" stroke=\"" + color + "\"/>\n";
}

std::string circle(double x, double y, const char* color, const std::string& tooltip) {
  return "<circle cx=\"" + number(x) + "\" cy=\"" + number(y) + "\" r=\"4\" fill=\"" + color + "\"><title>" +
         escaped(tooltip) + "</title></circle>\n";
}

/// Lines and numbers of the x axis, every half or whole unit.
std::string x_ticks(const Axis& x, double bottom) {
  std::string out;
  const double step = x.high - x.low > 5 ? 1.0 : 0.5;
  for (double v = std::ceil(x.low / step) * step; v <= x.high; v += step) {
    out += line(x(v), kTop, x(v), bottom, "#e4e4e4") + text_at(x(v), bottom + 18, "middle", number(v));
  }
  return out;
}

/// Lines of the logarithmic y axis, at 1, 2 and 5 of each decade, and their numbers if `numbered`.
std::string y_ticks(const Axis& y, double left, double right, bool numbered) {
  std::string out;
  for (double decade = std::floor(y.low); decade <= y.high; ++decade) {
    for (const double mantissa : {1.0, 2.0, 5.0}) {
      const double v = decade + std::log10(mantissa);
      if (v < y.low || v > y.high) continue;
      out += line(left, y(v), right, y(v), "#e4e4e4");
      if (numbered) out += text_at(left - 8, y(v) + 4, "end", number(mantissa * std::pow(10.0, decade)));
    }
  }
  return out;
}

/// Points of one series, joined in the order of their x.
std::string curve(const Series& series, const Axis& x, const Axis& y, const char* color) {
  std::vector<Point> points = series.points;
  std::erase_if(points, [](const Point& p) { return !(p.y > 0); });
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  std::string path, marks;
  for (const Point& p : points) {
    path += number(x(p.x)) + "," + number(y(std::log10(p.y))) + " ";
    marks += circle(x(p.x), y(std::log10(p.y)), color, series.name + ": " + number(p.x) + ", " + number(p.y));
  }
  return "<polyline fill=\"none\" stroke=\"" + std::string(color) + "\" stroke-width=\"2\" points=\"" + path +
         "\"/>\n" + marks;
}

}  // namespace

std::string to_svg(const Chart& chart) {
  // Colours that people with any kind of colour vision tell apart (Okabe and Ito).
  constexpr std::array<const char*, 8> kColors{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                               "#e69f00", "#56b4e9", "#000000", "#8a6d00"};
  std::vector<double> xs, ys;
  std::vector<std::string> names;
  for (const Panel& panel : chart.panels) {
    for (const Series& series : panel.series) {
      if (std::find(names.begin(), names.end(), series.name) == names.end()) names.push_back(series.name);
      for (const Point& p : series.points) {
        if (!(p.y > 0)) continue;
        xs.push_back(p.x);
        ys.push_back(std::log10(p.y));
      }
    }
  }
  const auto color_of = [&](const std::string& name) {
    return kColors[static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin()) %
                   kColors.size()];
  };
  const auto count = static_cast<double>(chart.panels.size());
  const double width = chart.panels.size() > 1 ? kWidthOfSeveral : kOneWidth;
  const double end = kLeft + count * width + (count - 1) * kGap, bottom = kHeight - kBottom;
  const Extent x_extent = extent(xs), y_extent = extent(ys);
  const Axis y{y_extent.low, y_extent.high, bottom, kTop};

  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(end + kRight) + " " +
                    number(kHeight) + "\" font-family=\"sans-serif\" font-size=\"13\">\n";
  out += "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  for (std::size_t i = 0; i < chart.panels.size(); ++i) {
    const double left = kLeft + static_cast<double>(i) * (width + kGap), right = left + width;
    const Axis x{x_extent.low, x_extent.high, left, right};
    out += text_at((left + right) / 2, 28, "middle", chart.panels[i].title, " font-size=\"16\"");
    out += x_ticks(x, bottom) + y_ticks(y, left, right, i == 0);
    out += line(left, bottom, right, bottom, "black") + line(left, kTop, left, bottom, "black");
    out += text_at((left + right) / 2, kHeight - 16, "middle", chart.x_label);
    for (const Series& series : chart.panels[i].series) out += curve(series, x, y, color_of(series.name));
  }
  out += text_at(0, 0, "middle", chart.y_label,
                 " transform=\"translate(22 " + number((kTop + bottom) / 2) + ") rotate(-90)\"");
  double legend = kTop + 10;
  for (const std::string& name : names) {
    out += circle(end + 20, legend, color_of(name), name) + text_at(end + 32, legend + 4, "start", name);
    legend += 22;
  }
  return out + "</svg>\n";
}

}  // namespace llm
