#pragma once

/// Files: safetensors and Hugging Face checkpoints. Needs nlohmann-json (CMake target sinq::io).
