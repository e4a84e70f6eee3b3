#pragma once

#include <sinq/io/checkpoint.hpp>
#include <sinq/io/reference_checkpoint.hpp>

#include <filesystem>
#include <string>

namespace common {

/// Throws kUnsupported, saying in which form, if the weights of `folder` are quantized already.
inline void require_floats(const sinq::io::Checkpoint& files, const std::filesystem::path& folder) {
  const auto refuse = [&](const std::string& form) {
    throw sinq::Error(sinq::Errc::kUnsupported, folder.string() + ": is quantized already (" + form +
                                                    "), the folder of the original model is meant");
  };
  if (!files.quantized_names().empty()) refuse("in sinq's own format");
  if (sinq::io::ReferenceCheckpoint::is_one(folder)) refuse("in the layout of huawei-csl/SINQ");
}

}  // namespace common
