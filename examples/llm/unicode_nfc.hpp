#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace llm {

/// Where `text` may not be in Unicode normal form C: the byte of the first character that NFC could change or combine,
/// or nothing if the text is surely in it. (The quick check of Unicode Standard Annex 15; Unicode 14.) Bytes that are
/// not UTF-8 are passed over.
[[nodiscard]] std::optional<std::size_t> first_outside_nfc(std::string_view text);

/// `text` in normal form C (Unicode 14). Bytes that are not UTF-8 stay as they are.
[[nodiscard]] std::string to_nfc(std::string_view text);

}  // namespace llm
