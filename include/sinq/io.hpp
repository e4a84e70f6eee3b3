#pragma once

/// Files: safetensors and Hugging Face checkpoints. Needs nlohmann-json (CMake target sinq::io).
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/checkpoint_writer.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/io/safetensors_writer.hpp>
