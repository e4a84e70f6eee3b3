#pragma once

/// The version of the library; CMake reads it from here, nothing else states it.
#define SINQ_VERSION_MAJOR 0
#define SINQ_VERSION_MINOR 1
#define SINQ_VERSION_PATCH 0
