#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sinq::inline SINQ_ABI::fold {

/// What a norm multiplies its normalized input with.
enum class NormKind : std::uint8_t {
  kWeight,         ///< w
  kOnePlusWeight,  ///< 1 + w (Gemma): a factor f turns w into (1 + w) f - 1
};

/// What a tensor's elements are multiplied with. A vector [n] counts as n rows of one column.
struct Factors {
  std::vector<double> rows{};         ///< [rows]; empty: all 1
  std::vector<double> cols{};         ///< [cols]; empty: all 1
  NormKind norm = NormKind::kWeight;  ///< of vectors

  /// Multiplies `values` [rows.size(), columns], the given rows of the tensor, in place. Throws Errc::kBadShape where
  /// there are no such rows, or other columns.
  void apply(RowRange range, Index columns, double* values) const {
    if (range.begin < 0 || (!rows.empty() && range.end > static_cast<Index>(rows.size())) ||
        (!cols.empty() && columns != static_cast<Index>(cols.size()))) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text("fold: rows [", range.begin, ", ", range.end, ") x ", columns,
                                                     " columns, but there are factors of ", rows.size(), " rows and ",
                                                     cols.size(), " columns (0: all 1)"));
    }
    const double offset = norm == NormKind::kOnePlusWeight ? 1.0 : 0.0;
    for (Index r = range.begin; r < range.end; ++r) {
      const double row = rows.empty() ? 1.0 : rows[static_cast<std::size_t>(r)];
      for (Index c = 0; c < columns; ++c, ++values) {
        const double col = cols.empty() ? 1.0 : cols[static_cast<std::size_t>(c)];
        *values = (*values + offset) * (row * col) - offset;
      }
    }
  }

  friend bool operator==(const Factors&, const Factors&) = default;
};

/// The factors of every tensor that folding changes, by the tensor's name.
class FactorMap {
 public:
  /// Null: the tensor stays as it is.
  [[nodiscard]] const Factors* find(std::string_view tensor) const& noexcept {
    const auto at = by_name_.find(tensor);
    return at == by_name_.end() ? nullptr : &at->second;
  }
  const Factors* find(std::string_view tensor) && = delete;
  /// The factors of `tensor`, made if there are none.
  [[nodiscard]] Factors& of(const std::string& tensor) & { return by_name_[tensor]; }

  [[nodiscard]] auto begin() const noexcept { return by_name_.begin(); }
  [[nodiscard]] auto end() const noexcept { return by_name_.end(); }
  [[nodiscard]] bool empty() const noexcept { return by_name_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return by_name_.size(); }

  friend bool operator==(const FactorMap&, const FactorMap&) = default;

 private:
  std::map<std::string, Factors, std::less<>> by_name_;
};

}  // namespace sinq::inline SINQ_ABI::fold
