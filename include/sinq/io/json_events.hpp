#pragma once

#include <sinq/error.hpp>
#include <sinq/io/json.hpp>
#include <sinq/io/tensor_info.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

namespace sinq::inline SINQ_ABI::io::detail {

/// Base of readers of untrusted JSON: events instead of a tree, so that memory stays within what the reader keeps and
/// nesting costs nothing. Every event that a derived class does not override is refused, with its byte offset.
class JsonEvents : public nlohmann::json_sax<Json> {
 public:
  /// `what` names the source in errors, `origin` is the offset of the text in it.
  JsonEvents(std::string_view what, std::uint64_t origin) : what_(what), origin_(origin) {}

  /// Reads all of `bytes`. Throws Errc::kBadFile.
  void parse(std::span<const std::byte> bytes) {
    const char* begin = reinterpret_cast<const char*>(bytes.data());
    begin_ = position_ = begin;
    // The library takes a zero byte for the end of the text.
    if (const void* zero = bytes.empty() ? nullptr : std::memchr(begin, 0, bytes.size()); zero != nullptr) {
      position_ = static_cast<const char*>(zero);
      refuse("unexpected zero byte");
    }
    Json::sax_parse(Cursor{begin, &position_}, Cursor{begin + bytes.size(), &position_}, this);
  }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_unsigned(number_unsigned_t) override { return unexpected("a number"); }
  bool number_float(number_float_t, const string_t&) override {
    return unexpected("a number with a fraction or beyond 64 bits");
  }
  bool string(string_t&) override { return unexpected("a string"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool start_object(std::size_t) override { return unexpected("an object"); }
  bool key(string_t&) override { return unexpected("a key"); }
  bool end_object() override { return unexpected("the end of an object"); }
  bool start_array(std::size_t) override { return unexpected("an array"); }
  bool end_array() override { return unexpected("the end of an array"); }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    // The library's text begins with "[json.exception...] parse error at line 1, column 7: ".
    const std::string_view message = error.what();
    const auto start = message.find(": ");
    // What it quotes may be as long as the file.
    refuse(message.substr(start == std::string_view::npos ? 0 : start + 2, 300));
  }

 protected:
  /// Bytes of the source that were consumed.
  [[nodiscard]] std::uint64_t position() const noexcept {
    return origin_ + static_cast<std::uint64_t>(position_ - begin_);
  }
  [[nodiscard]] std::string_view what() const noexcept { return what_; }

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": JSON near byte ", position(), ": ", parts...));
  }
  /// What stands where it may not; a derived class adds where that is.
  [[noreturn]] virtual bool unexpected(std::string_view event) const { refuse("unexpected ", event); }

 private:
  /// Walks the text and notes where it is.
  struct Cursor {
    using iterator_category = std::forward_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    const char* at;
    const char** position;

    reference operator*() const noexcept { return *at; }
    Cursor& operator++() noexcept {
      *position = ++at;
      return *this;
    }
    friend bool operator==(const Cursor& a, const Cursor& b) noexcept { return a.at == b.at; }
  };

  std::string_view what_;
  std::uint64_t origin_;
  const char* begin_ = nullptr;
  const char* position_ = nullptr;
};

}  // namespace sinq::inline SINQ_ABI::io::detail
