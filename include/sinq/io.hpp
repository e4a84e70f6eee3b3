#pragma once

/// Files: safetensors, quantized tensors in them, Hugging Face checkpoints and those of the SINQ reference, GGUF. Needs
/// nlohmann-json (CMake target sinq::io).
#include <sinq/io/atomic_folder.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/checkpoint_writer.hpp>
#include <sinq/io/finite.hpp>
#include <sinq/io/gguf.hpp>
#include <sinq/io/gguf_model.hpp>
#include <sinq/io/gguf_writer.hpp>
#include <sinq/io/plain_tensor.hpp>
#include <sinq/io/quantized_writer.hpp>
#include <sinq/io/reference_checkpoint.hpp>
#include <sinq/io/reference_writer.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/io/safetensors_writer.hpp>
