# sinq::compiled: the heavy functions of the headers, compiled once. Whoever links it includes the same headers and gets
# the same results; files with flags of their own that change SINQ_ABI (include/sinq/abi.hpp) compile the headers as ever.

# sinq_get_abi(<variable>): the name of the inline namespace under this project's compiler and flags; empty if the
# compiler does not say.
function(sinq_get_abi variable)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}}")
  get_directory_property(options COMPILE_OPTIONS)
  list(FILTER options EXCLUDE REGEX "\\$<")
  if(CMAKE_CXX_COMPILER_TARGET)
    list(APPEND flags --target=${CMAKE_CXX_COMPILER_TARGET})
  endif()
  set(source ${PROJECT_BINARY_DIR}/sinq_abi.cpp)
  file(WRITE ${source} "#include <sinq/abi.hpp>\nSINQ_ABI\n")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${flags} ${options} -std=c++20 -E -P -I ${PROJECT_SOURCE_DIR}/include ${source}
                  OUTPUT_VARIABLE output ERROR_QUIET)
  string(REGEX MATCH "abi_[01_]+" abi "${output}")
  set(${variable} ${abi} PARENT_SCOPE)
endfunction()

sinq_get_abi(sinq_abi)
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/compiled/*.cpp)
# Without the option it is built only if something links it.
set(exclude EXCLUDE_FROM_ALL)
if(SINQ_BUILD_COMPILED)
  set(exclude)
endif()
add_library(sinq_compiled STATIC ${exclude} ${sources})
add_library(sinq::compiled ALIAS sinq_compiled)
set_target_properties(sinq_compiled PROPERTIES EXPORT_NAME compiled CXX_EXTENSIONS OFF UNITY_BUILD OFF
                                               POSITION_INDEPENDENT_CODE ON)
target_link_libraries(sinq_compiled PUBLIC sinq_run)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Position-independent code for shared libraries, without a price: nobody replaces these functions at run time.
  target_compile_options(sinq_compiled PRIVATE -fno-semantic-interposition)
endif()
if(sinq_abi)
  target_compile_definitions(sinq_compiled PUBLIC SINQ_COMPILED_FOR_${sinq_abi}=1)
endif()
sinq_set_warnings(sinq_compiled)
